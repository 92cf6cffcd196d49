"""An AI operator runs, refuses what is wrong by its own webhook, and keeps its objects as they should be (KAR-0063)."""

from __future__ import annotations

from aiconform.checks._kit import operator
from aiconform.checks._kit.operator_jobset import JOB_SET
from aiconform.checks._kit.operator_kuberay import KUBERAY
from aiconform.checks._kit.operator_kueue import KUEUE
from aiconform.checks._kit.operator_trainer import TRAINER
from aiconform.checks._kit.operator_volcano import VOLCANO
from aiconform.engine import Check, Context

KNOWN = (KUBERAY, TRAINER, JOB_SET, KUEUE, VOLCANO)

CHECK = Check(
    "robust_controller",
    needs=(operator.need(KNOWN),),
    limits=(
        "One operator is tried: asked for, or the first of KubeRay, Kubeflow Trainer, JobSet, Kueue and Volcano.",
        "It is tried as it is installed: the check neither installs nor removes an operator.",
        "Members that compute are pods, which may share a node of the cluster.",
    ),
    headline="denied by {webhook}; computed by {computed by}",
    rights=(
        "get list watch pods",
        "get pods/log",
        "list deployments.apps services",
        "list validatingwebhookconfigurations.admissionregistration.k8s.io",
        "?list mutatingwebhookconfigurations.admissionregistration.k8s.io",
        operator.rights(KNOWN),
    ),
    usual_s=41,
)


@CHECK.positive(
    "its definitions are established and its pods are ready", fails_if="a kind is not served, or a pod is not ready"
)
async def installed(ctx: Context) -> None:
    await operator.installed(ctx, operator.chosen(ctx, KNOWN))


@CHECK.positive(
    "a custom resource is reconciled: its pods are made and become ready",
    fails_if="no pods are made for it, or it never says that it is ready",
    after=installed,
    timeout_s=900,
)
async def reconciled(ctx: Context) -> None:
    await operator.chosen(ctx, KNOWN).start(ctx)


@CHECK.negative(
    "an object that the schema permits but that is wrong is denied by the operator's own webhook",
    fails_if="it is accepted, or refused by anybody else, or the webhook also refuses the right one",
    control=reconciled,
)
async def wrong_refused(ctx: Context) -> None:
    await operator.refuses(ctx, operator.chosen(ctx, KNOWN), operator.others(ctx, KNOWN))


@CHECK.positive(
    "it computes: a distributed task returns its result from more than one member",
    fails_if="the result is wrong or missing, or came from one member alone",
    after=reconciled,
    timeout_s=400,
)
async def computes(ctx: Context) -> None:
    await operator.chosen(ctx, KNOWN).compute(ctx)


@CHECK.recovery(
    "a part of it that is deleted is put right, and it computes again",
    fails_if="nothing takes the place of its head, job, member or Workload, or the members do not compute",
    after=computes,
    timeout_s=500,
)
async def head_replaced(ctx: Context) -> None:
    await operator.chosen(ctx, KNOWN).disturb(ctx)


@CHECK.recovery(
    "an object goes once it is deleted, also where the operator holds it by a finalizer",
    fails_if="an operator that holds its objects does not, or it stays",
    after=installed,
)
async def finalized(ctx: Context) -> None:
    await operator.chosen(ctx, KNOWN).finalize(ctx)


@CHECK.recovery(
    "deleting it removes everything that was made for it", fails_if="a pod or a Service outlives it", after=reconciled
)
async def removed(ctx: Context) -> None:
    await operator.chosen(ctx, KNOWN).remove(ctx)
