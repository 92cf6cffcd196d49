"""Operators that run batch jobs: two members that compute, one part that is destroyed and put right, and the end.

What differs between products is in an adapter (``operator_volcano``, ``operator_kueue``, ...): a
:class:`Batch`. The rest, in the shape that the check asks for, is :func:`operator`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiconform.checks._kit import operator as operators
from aiconform.checks._kit import pods, script
from aiconform.checks._kit.operator import Operator
from aiconform.checks._kit.pods import Container
from aiconform.checks._kit.script import Script
from aiconform.engine import Condition, Context, Handle, State, Target, kinds
from aiconform.engine.kinds import Kind

Obj = dict[str, Any]

MEMBERS = 2
SQUARES = [4, 9]
"""What the members compute: each the square of two more than its index."""
CONTAINER = "member"
START_S = 180
AGAIN_S = 120

_COMPUTE = "index=$((${VC_TASK_INDEX:-${JOB_COMPLETION_INDEX:-97}} + 2))\necho square=$((index * index))"


@dataclass(frozen=True)
class Batch:
    """What is known of one such operator.

    Attributes:
        name: the product's.
        kind: its main custom resource, which its webhook judges.
        definitions: kinds that it must serve.
        selectors: labels by which its charts and manifests mark its Deployments, tried one after another.
        twins: see :class:`~aiconform.checks._kit.operator.Operator`.
        mistake: likewise.
        job: makes a job of two members from a template of their pods, and returns it once the operator took it up.
        labels: labels of the pods of a job.
        runs: says of the object that tells of the job whether it runs.
        teller: that object: the job itself, or one that the operator makes for it.
        victim: a part of it that the operator must put right, and the uids of the members that go with it.
        fleeting: an object that is deleted once the operator has dealt with it; what it needs is made before.
        dealt: what tells that it has.
        rights: see :class:`~aiconform.checks._kit.operator.Operator`.
        container: what the container of a member is called.
    """

    name: str
    kind: Kind
    definitions: tuple[str, ...]
    selectors: tuple[str, ...]
    twins: Callable[[Context], tuple[Obj, Obj]]
    mistake: str
    job: Callable[[Context, Obj], Awaitable[Handle]]
    labels: Callable[[Handle], Mapping[str, str]]
    runs: Condition
    teller: Callable[[Context, Handle], Target | Handle]
    victim: Callable[[Context, Handle, list[Obj]], Awaitable[tuple[Handle, frozenset[str]]]]
    fleeting: Callable[[Context], Awaitable[Obj]]
    dealt: Condition
    rights: tuple[str, ...]
    container: str = CONTAINER


def operator(batch: Batch) -> Operator:
    """The operator in the shape that the check asks for."""
    return Operator(
        batch.name,
        batch.kind,
        batch.definitions,
        selectors=batch.selectors,
        no_webhook=lambda _pod: "",
        twins=batch.twins,
        mistake=batch.mistake,
        start=partial(_start, batch),
        compute=partial(_compute, batch),
        disturb=partial(_disturb, batch),
        finalize=partial(_finalize, batch),
        remove=partial(_remove, batch),
        rights=batch.rights,
    )


def template(ctx: Context, run: Script, container: str = CONTAINER) -> Obj:
    """A pod template of members, which say their result and stay."""
    made = pods.pod(ctx, "member", Container(container, run))
    return {"metadata": {}, "spec": made["spec"]}


def idle(ctx: Context, container: str = CONTAINER) -> Obj:
    """A pod template for an object that is not to run."""
    return template(ctx, Script("exec true", ""), container)


async def _start(batch: Batch, ctx: Context) -> None:
    """A job of two members, which the operator starts and says that it runs."""
    run = script.script(ctx, _COMPUTE)
    made = await batch.job(ctx, template(ctx, run, batch.container))
    ctx.memo["cluster"], ctx.memo["script"] = made, run
    ctx.memo["members"] = await _whole(batch, ctx, made, frozenset(), START_S)
    await ctx.until(batch.teller(ctx, made), batch.runs, expected=f"{batch.name} says that {made} runs", within_s=60)
    await ctx.show([made])


async def _whole(batch: Batch, ctx: Context, made: Handle, without: frozenset[str], within_s: float) -> list[Obj]:
    where = Target(kinds.POD, made.namespace, batch.labels(made))
    expected = f"{batch.name} has {MEMBERS} members of {made} run" + (
        ", in place of those that went" if without else ""
    )
    found = await ctx.until(where, whole(without), expected=expected, within_s=within_s)
    return [pod for pod in found if pod["metadata"]["uid"] not in without]


def whole(without: frozenset[str]) -> Condition:
    """A condition on the pods of a job: both members run, and are none of those ``without``."""

    def is_whole(objects: list[Obj]) -> State:
        alive = [pod for pod in objects if not pod["metadata"].get("deletionTimestamp")]
        ours = [pod for pod in alive if pod["metadata"]["uid"] not in without]
        left = len(objects) - len(ours)
        text = f"{len(ours)} of {MEMBERS} members are there" + (f", {left} of before still going" if left else "")
        if sum(not pods.taken(pod) for pod in ours) > MEMBERS:
            return State("wrong", text)
        state = pods.running(ours) if ours else State("waiting", text)
        if state.outcome != "met":
            return state
        return State("met" if len(ours) == MEMBERS and not left else "waiting", f"{text}; {state.observed}")

    return is_whole


async def _compute(batch: Batch, ctx: Context) -> None:
    """Each member tells its part of the result in its log."""
    members = sorted(ctx.memo["members"], key=lambda pod: str(pod["metadata"]["name"]))
    told: dict[str, str] = {}
    for pod in members:
        meta = pod["metadata"]
        handle = Handle(kinds.POD, meta["namespace"], meta["name"], meta["uid"])
        told[meta["name"]] = (await script.report(ctx, handle, batch.container, ctx.memo["script"])).one("square")
    ctx.expect(
        f"{SQUARES}, one from each of {MEMBERS} members",
        ", ".join(f"{square or 'nothing'} from {name}" for name, square in told.items()),
        ok=sorted(told.values()) == sorted(map(str, SQUARES)),
        figures={"computed by": f"{len(told)} members"},
    )


async def _disturb(batch: Batch, ctx: Context) -> None:
    """Destroy a part of it; the operator puts it right, and both members compute."""
    made = ctx.memo["cluster"]
    victim, gone = await batch.victim(ctx, made, ctx.memo["members"])
    await ctx.delete(victim)  # what takes its place may have its name, so it is not waited for by that
    ctx.memo["members"] = await _whole(batch, ctx, made, gone, AGAIN_S)
    await ctx.until(
        batch.teller(ctx, made), batch.runs, expected=f"{batch.name} says again that {made} runs", within_s=60
    )
    await _compute(batch, ctx)


async def _remove(batch: Batch, ctx: Context) -> None:
    """Delete the job; its members go with it."""
    made = ctx.memo["cluster"]
    found = await ctx.list(kinds.POD, made.namespace, labels=dict(batch.labels(made)))
    ctx.expect(f"{made} has members that can go", f"{len(found)} pods", ok=bool(found))
    await ctx.delete(made)
    await ctx.until_gone(made, within_s=AGAIN_S)
    for pod in found:
        meta = pod["metadata"]
        await ctx.until_gone(Handle(kinds.POD, meta["namespace"], meta["name"], meta["uid"]), within_s=90)


def handle_of(found: Obj, kind: Kind) -> Handle:
    """An object that the operator made, as one to delete."""
    meta = found["metadata"]
    return Handle(kind, meta["namespace"], meta["name"], meta["uid"])


async def _finalize(batch: Batch, ctx: Context) -> None:
    """Make an object, wait until the operator has dealt with it, delete it, and see it go."""
    made = await operators.make(ctx, batch.name, await batch.fleeting(ctx))
    await ctx.until(made, batch.dealt, expected=f"{batch.name} deals with {made}", within_s=60)
    await ctx.delete(made)
    await ctx.until_gone(made, within_s=60)


def suspended(objects: list[Obj]) -> State:
    """Its operator says of the object that it is suspended."""
    conditions = (objects[0].get("status") or {}).get("conditions") or []
    told = any(one.get("type") == "Suspended" and one.get("status") == "True" for one in conditions)
    return State("met" if told else "waiting", "Suspended" if told else "not looked at yet")
