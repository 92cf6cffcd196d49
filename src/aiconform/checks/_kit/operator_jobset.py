"""JobSet: a set of two Jobs, one of which it makes anew, and a set that waits for a Job that it does not have."""

from __future__ import annotations

from typing import Any

from aiconform.checks._kit import operator, operator_batch
from aiconform.checks._kit.operator_batch import MEMBERS, Batch
from aiconform.engine import Context, Handle, State, kinds

Obj = dict[str, Any]

TITLE = "JobSet"
_SET_LABEL = "jobset.sigs.k8s.io/jobset-name"
_NOBODY = "nobody"


def _job_set(name: str, template: Obj, *, awaits: str = "member", suspend: bool = False) -> Obj:
    """A set of one Job with two indexed members."""
    job = {
        "parallelism": MEMBERS,
        "completions": MEMBERS,
        "completionMode": "Indexed",
        "backoffLimit": 0,
        "template": template,
    }
    spec = {
        "suspend": suspend,
        "successPolicy": {"operator": "All", "targetReplicatedJobs": [awaits]},
        "replicatedJobs": [{"name": "member", "replicas": 1, "template": {"spec": job}}],
    }
    kind = kinds.JOB_SET
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name}, "spec": spec}


def twins(ctx: Context) -> tuple[Obj, Obj]:
    """Two suspended sets; one of them is done when a Job is that it does not have."""
    idle = operator_batch.idle(ctx)
    right = _job_set(ctx.name("right"), idle, suspend=True)
    return right, _job_set(ctx.name("wrong"), idle, awaits=_NOBODY, suspend=True)


async def job(ctx: Context, template: Obj) -> Handle:
    """A set whose Job has both members."""
    return await operator.make(ctx, TITLE, _job_set(ctx.name("batch"), template))


def runs(objects: list[Obj]) -> State:
    """The set says that its Job is ready."""
    told = (objects[0].get("status") or {}).get("replicatedJobsStatus") or []
    ready = sum(int(one.get("ready") or 0) for one in told)
    return State("met" if ready == 1 else "waiting", f"{ready} of 1 Jobs ready")


async def victim(ctx: Context, made: Handle, members: list[Obj]) -> tuple[Handle, frozenset[str]]:
    """Its Job, with both members."""
    [found] = await ctx.list(kinds.JOB, made.namespace, labels={_SET_LABEL: made.name})
    return operator_batch.handle_of(found, kinds.JOB), frozenset(str(pod["metadata"]["uid"]) for pod in members)


async def fleeting(ctx: Context) -> Obj:
    """A suspended set."""
    return _job_set(ctx.name("goes"), operator_batch.idle(ctx), suspend=True)


JOB_SET = operator_batch.operator(
    Batch(
        TITLE,
        kinds.JOB_SET,
        ("JobSet",),
        selectors=(
            "app.kubernetes.io/name=jobset",
            "app.kubernetes.io/part-of=jobset,control-plane=controller-manager",
        ),
        twins=twins,
        mistake=f"invalid replicatedJob name '{_NOBODY}'",
        job=job,
        labels=lambda made: {_SET_LABEL: made.name},
        runs=runs,
        teller=lambda _ctx, made: made,
        victim=victim,
        fleeting=fleeting,
        dealt=operator_batch.suspended,
        rights=(
            "create delete get list watch jobsets.jobset.x-k8s.io",
            "delete list watch jobs.batch",
        ),
    )
)
