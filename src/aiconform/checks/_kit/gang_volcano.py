"""Volcano: a vcjob, whose PodGroup tells how it stands with the group."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from aiconform.checks._kit import gang, gang_room
from aiconform.checks._kit.gang import Aside, Group
from aiconform.checks._kit.gang_room import Room
from aiconform.engine import Context, Facts, RefusedError, State, Target, kinds

Obj = dict[str, Any]

TITLE = "Volcano"
QUEUE = "default"
SCHEDULER = "volcano"
_FOREIGN = "a PodGroup of its name belongs to something else"
_DEPLOYMENTS = "app in (volcano-scheduler,volcano-controller,volcano-admission)"


def served(facts: Facts) -> bool:
    """Whether Volcano's kinds are served."""
    return {kinds.VOLCANO_JOB.api_version, kinds.POD_GROUP.api_version} <= facts.groups


@dataclass(frozen=True)
class Volcano:
    """See :class:`aiconform.checks._kit.gang.GangSystem`."""

    rights: ClassVar[tuple[str, ...]] = (
        "create delete get list watch jobs.batch.volcano.sh",
        "get list watch podgroups.scheduling.volcano.sh",
        "list deployments.apps",
        "?list events",
    )
    words: str = TITLE

    async def ready(self, ctx: Context, room: Room) -> Volcano | Aside:
        """Its scheduler, its controllers and its webhooks."""
        found = await gang.deployed(ctx, TITLE, _DEPLOYMENTS)
        aside = found.aside if found.told else await gang.takes_pods(ctx, room, found, SCHEDULER)
        return aside or replace(self, words=found.words)

    async def group(self, ctx: Context, room: Room, members: int) -> Group:
        """A vcjob with one task, all of whose pods are the minimum."""
        name = ctx.name("volcano")
        template = gang_room.template(ctx, room, name, gang.HOLD_S)
        spec: Obj = {
            "minAvailable": members,
            "schedulerName": SCHEDULER,
            "queue": QUEUE,
            "maxRetry": 1,
            "tasks": [{"name": "member", "replicas": members, "template": template}],
        }
        manifest: Obj = {**_of(kinds.VOLCANO_JOB), "metadata": {"name": name}, "spec": spec}
        return Group(await ctx.create(manifest), name, members)

    async def admitted(self, ctx: Context, group: Group) -> Aside | None:
        """The PodGroup reaches phase Running."""

        def running(objects: list[Obj]) -> State:
            found = gang.owned(objects, group.handle)
            if objects and found is None:
                return State("wrong", _FOREIGN)
            phase, least = _phase(found), (found or {}).get("spec", {}).get("minMember")
            return State("met" if phase == "Running" else "waiting", f"PodGroup {phase}, minMember {least}")

        return (await gang.admits(ctx, self.words, group, _pod_group(ctx, group), running))[0]

    async def refusal(self, ctx: Context, group: Group) -> State:
        """The PodGroup says so by a condition, or waits in phase Pending with the gate's events."""
        found = await _read(ctx, group)
        phase = _phase(found)
        if found is None:
            return State("waiting", f"PodGroup {phase}")
        if gang.owned([found], group.handle) is None:
            return State("wrong", _FOREIGN)
        if phase not in ("Pending", "Inqueue"):
            started = phase in ("Running", "Completed")
            running = found.get("status", {}).get("running", 0)
            return State("wrong" if started else "waiting", f"PodGroup {phase}, {running} members run")
        said = gang.condition_of(found, "Unschedulable")
        if said.get("status") == "True" and not gang.condition_of(found, "Scheduled"):
            return State("met", f"PodGroup {phase}, {said.get('reason')}: {said.get('message')}")
        message = await _gate(ctx, found) if phase == "Pending" else ""
        return State("met" if message else "waiting", f"PodGroup {phase}" + (f": {message}" if message else ""))

    async def completed(self, ctx: Context, group: Group) -> None:
        """The vcjob is Completed."""

        def done(objects: list[Obj]) -> State:
            state = objects[0].get("status", {}).get("state") or {}
            phase = str(state.get("phase", "unknown"))
            bad = phase in ("Failed", "Aborted", "Terminated")
            return State("met" if phase == "Completed" else "wrong" if bad else "waiting", f"vcjob {phase}")

        await ctx.until(group.handle, done, expected=f"{self.words}: the job completes", within_s=90)


async def _gate(ctx: Context, pod_group: Obj) -> str:
    """What the queue's gate says of a group that may not have pods yet, in events that repeat.

    One event means nothing: a group that is about to start has one in its first second, too.
    """
    path = kinds.Kind("v1", "Event", "events").path(ctx.namespace)
    name = pod_group["metadata"]["name"]
    listed = await ctx.get(path, query={"fieldSelector": f"involvedObject.name={name},reason=Unschedulable"})
    repeated = [one for one in listed.get("items") or [] if int(one.get("count") or 0) >= 3]
    return "; ".join(sorted({str(one.get("message", "")) for one in repeated}))


def _pod_group(ctx: Context, group: Group) -> Target:
    return Target(kinds.POD_GROUP, ctx.namespace, {}, f"metadata.name={_name(group)}")


async def _read(ctx: Context, group: Group) -> Obj | None:
    """The PodGroup; None if it is not made yet."""
    try:
        return await ctx.read_named(kinds.POD_GROUP, _name(group), ctx.namespace)
    except RefusedError as refused:
        if refused.status == 404 and refused.reason == "NotFound" and _name(group) in refused.message:
            return None
        raise


def _name(group: Group) -> str:
    return f"{group.handle.name}-{group.handle.uid}"


def _phase(found: Obj | None) -> str:
    return "not made" if found is None else str(found.get("status", {}).get("phase", "without phase"))


def _of(kind: kinds.Kind) -> Obj:
    return {"apiVersion": kind.api_version, "kind": kind.kind}
