"""Volcano as an operator: a vcjob whose lost member it makes anew, and one with a plugin that does not exist."""

from __future__ import annotations

from typing import Any

from aiconform.checks._kit import operator, operator_batch
from aiconform.checks._kit.gang_volcano import QUEUE, SCHEDULER, TITLE
from aiconform.checks._kit.operator_batch import MEMBERS, Batch
from aiconform.engine import Context, Handle, State, kinds

Obj = dict[str, Any]

_JOB_LABEL = "volcano.sh/job-name"
_NO_PLUGIN = "no-such-plugin"


def _vcjob(name: str, template: Obj, members: int, *plugins: str) -> Obj:
    spec = {
        "minAvailable": members,
        "schedulerName": SCHEDULER,
        "queue": QUEUE,
        "plugins": {plugin: [] for plugin in plugins},
        "tasks": [{"name": "member", "replicas": members, "template": template}],
    }
    kind = kinds.VOLCANO_JOB
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name}, "spec": spec}


def twins(ctx: Context) -> tuple[Obj, Obj]:
    """Two vcjobs of one member that ends at once; one of them asks for a plugin that Volcano does not have."""
    idle = operator_batch.idle(ctx)
    return _vcjob(ctx.name("right"), idle, 1, "env"), _vcjob(ctx.name("wrong"), idle, 1, _NO_PLUGIN)


async def job(ctx: Context, template: Obj) -> Handle:
    """A vcjob whose members are told their index."""
    return await operator.make(ctx, TITLE, _vcjob(ctx.name("batch"), template, MEMBERS, "env"))


def runs(objects: list[Obj]) -> State:
    """The vcjob says that it runs, with all members."""
    status = objects[0].get("status") or {}
    phase, running = (status.get("state") or {}).get("phase", "not told"), int(status.get("running") or 0)
    text = f"vcjob {phase}, {running} of {MEMBERS} running"
    return State("met" if phase == "Running" and running == MEMBERS else "waiting", text)


async def victim(_ctx: Context, _made: Handle, members: list[Obj]) -> tuple[Handle, frozenset[str]]:
    """A member's pod, which nobody but Volcano makes anew."""
    first = min(members, key=lambda pod: str(pod["metadata"]["name"]))
    return operator_batch.handle_of(first, kinds.POD), frozenset({first["metadata"]["uid"]})


async def fleeting(ctx: Context) -> Obj:
    """A vcjob that ends at once."""
    return _vcjob(ctx.name("goes"), operator_batch.idle(ctx), 1)


def dealt(objects: list[Obj]) -> State:
    """The vcjob has a phase, whichever."""
    phase = ((objects[0].get("status") or {}).get("state") or {}).get("phase", "")
    return State("met" if phase else "waiting", f"vcjob {phase or 'not looked at yet'}")


VOLCANO = operator_batch.operator(
    Batch(
        TITLE,
        kinds.VOLCANO_JOB,
        ("Job",),
        selectors=("app in (volcano-scheduler,volcano-controller,volcano-admission)",),
        twins=twins,
        mistake=f"unable to find job plugin: {_NO_PLUGIN}",
        job=job,
        labels=lambda made: {_JOB_LABEL: made.name},
        runs=runs,
        teller=lambda _ctx, made: made,
        victim=victim,
        fleeting=fleeting,
        dealt=dealt,
        rights=(
            "delete pods",
            "create delete get list watch jobs.batch.volcano.sh",
        ),
    )
)
