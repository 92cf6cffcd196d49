"""An AI operator runs, refuses what is wrong by its own webhook, and keeps its objects as they should be (KAR-0063)."""

from __future__ import annotations

from aiconform.checks._kit import operator
from aiconform.checks._kit.operator_kuberay import KUBERAY
from aiconform.engine import Check, Context

KNOWN = (KUBERAY,)

CHECK = Check(
    "robust_controller",
    needs=(operator.need(KNOWN),),
    limits=(
        "One operator is tried, the first that is known (KubeRay); others on the cluster are not looked at.",
        "It is tried as it is installed: the check neither installs nor removes an operator.",
        "The nodes that a task is computed on are Ray's: pods, which may share a node of the cluster.",
    ),
    rights=(
        "create delete get list watch pods rayclusters.ray.io rayjobs.ray.io",
        "get list services",
        "get pods/log",
        "list deployments.apps",
        "get customresourcedefinitions.apiextensions.k8s.io=rayclusters.ray.io",
        "list validatingwebhookconfigurations.admissionregistration.k8s.io",
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
    await operator.refuses(ctx, operator.chosen(ctx, KNOWN))


@CHECK.positive(
    "it computes: a distributed task returns its result from more than one node",
    fails_if="the result is wrong or missing, or came from one node alone",
    after=reconciled,
    timeout_s=400,
)
async def computes(ctx: Context) -> None:
    await operator.chosen(ctx, KNOWN).compute(ctx)


@CHECK.recovery(
    "its head is replaced when it is deleted, and it computes again",
    fails_if="no new head appears, or the worker does not join it",
    after=computes,
    timeout_s=500,
)
async def head_replaced(ctx: Context) -> None:
    await operator.chosen(ctx, KNOWN).disturb(ctx)


@CHECK.recovery(
    "an object that the operator holds by a finalizer is let go once it is deleted",
    fails_if="the operator does not hold it, or it stays",
    after=installed,
)
async def finalized(ctx: Context) -> None:
    await operator.chosen(ctx, KNOWN).finalize(ctx)


@CHECK.recovery(
    "deleting it removes everything that was made for it", fails_if="a pod or a Service outlives it", after=reconciled
)
async def removed(ctx: Context) -> None:
    await operator.chosen(ctx, KNOWN).remove(ctx)
