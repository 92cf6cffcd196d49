"""Kubeflow Trainer: a TrainJob of two nodes, whose JobSet it makes anew, and one of a runtime that does not exist."""

from __future__ import annotations

from typing import Any

from aiconform.checks._kit import operator, operator_batch
from aiconform.checks._kit.operator_batch import MEMBERS, Batch
from aiconform.engine import Context, Handle, State, kinds
from aiconform.engine.kinds import Kind

Obj = dict[str, Any]

TITLE = "Kubeflow Trainer"
CONTAINER = "node"
"""What Trainer calls the container that trains, and the Job of those that do."""
_STEP = {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}
_SET_LABEL = "jobset.sigs.k8s.io/jobset-name"
_RUNTIME = "runtime"


def _made(kind: Kind, name: str, spec: Obj) -> Obj:
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name}, "spec": spec}


def _train_job(name: str, runtime: str, *, suspend: bool = False) -> Obj:
    group = kinds.TRAINING_RUNTIME.api_version.partition("/")[0]
    reference = {"apiGroup": group, "kind": kinds.TRAINING_RUNTIME.kind, "name": runtime}
    return _made(kinds.TRAIN_JOB, name, {"runtimeRef": reference, "suspend": suspend})


def twins(ctx: Context) -> tuple[Obj, Obj]:
    """Two suspended jobs; one of them names a runtime that nobody made."""
    right = _train_job(ctx.name("right"), ctx.memo[_RUNTIME], suspend=True)
    return right, _train_job(ctx.name("wrong"), ctx.name("nothing"), suspend=True)


async def job(ctx: Context, template: Obj) -> Handle:
    """A runtime of ours, and a job of it."""
    name = ctx.name("batch")
    job_spec = {"backoffLimit": 0, "template": template}
    replicated = {"name": CONTAINER, "template": {"metadata": {"labels": _STEP}, "spec": job_spec}}
    spec = {"mlPolicy": {"numNodes": MEMBERS}, "template": {"spec": {"replicatedJobs": [replicated]}}}
    await operator.make(ctx, TITLE, _made(kinds.TRAINING_RUNTIME, name, spec))
    ctx.memo[_RUNTIME] = name
    return await operator.make(ctx, TITLE, _train_job(name, name))


def runs(objects: list[Obj]) -> State:
    """The job says that its nodes are ready."""
    told = (objects[0].get("status") or {}).get("jobsStatus") or []
    ready = sum(int(one.get("ready") or 0) for one in told if one.get("name") == CONTAINER)
    return State("met" if ready == 1 else "waiting", f"{ready} of 1 Jobs ready")


async def victim(ctx: Context, made: Handle, members: list[Obj]) -> tuple[Handle, frozenset[str]]:
    """Its JobSet, with both members."""
    found = await ctx.read_named(kinds.JOB_SET, made.name, made.namespace)
    return operator_batch.handle_of(found, kinds.JOB_SET), frozenset(str(pod["metadata"]["uid"]) for pod in members)


async def fleeting(ctx: Context) -> Obj:
    """A suspended job, of a runtime that is made for it."""
    name = ctx.name("goes")
    job_spec = {"template": operator_batch.idle(ctx, CONTAINER)}
    replicated = {"name": CONTAINER, "template": {"metadata": {"labels": _STEP}, "spec": job_spec}}
    spec = {"mlPolicy": {"numNodes": 1}, "template": {"spec": {"replicatedJobs": [replicated]}}}
    await operator.make(ctx, TITLE, _made(kinds.TRAINING_RUNTIME, name, spec))
    return _train_job(name, name, suspend=True)


TRAINER = operator_batch.operator(
    Batch(
        TITLE,
        kinds.TRAIN_JOB,
        ("TrainJob", "TrainingRuntime", "ClusterTrainingRuntime"),
        selectors=("app.kubernetes.io/name=trainer", "app.kubernetes.io/name=kubeflow-trainer"),
        twins=twins,
        mistake="specified trainingRuntime must be created",
        job=job,
        labels=lambda made: {_SET_LABEL: made.name},
        runs=runs,
        teller=lambda _ctx, made: made,
        victim=victim,
        fleeting=fleeting,
        dealt=operator_batch.suspended,
        rights=(
            "create delete get list watch trainjobs.trainer.kubeflow.org",
            "create delete list watch trainingruntimes.trainer.kubeflow.org",
            "delete get jobsets.jobset.x-k8s.io",
        ),
        container=CONTAINER,
    )
)
