"""KAI Scheduler: pods that name a PodGroup of ours, in a queue of ours."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from aiconform.checks._kit import gang, gang_room
from aiconform.checks._kit.gang import Aside, Deployed, Group
from aiconform.checks._kit.gang_room import GROUP_LABEL, Room
from aiconform.engine import Context, Facts, Handle, State, Target, kinds
from aiconform.engine.kinds import Kind

Obj = dict[str, Any]

TITLE = "KAI Scheduler"
SCHEDULER = "kai-scheduler"

_QUEUE_LABEL = "kai.scheduler/queue"
_GROUP = "pod-group-name"
"""Annotation of pods without an owner. KAI overwrites it on all others, by a PodGroup that it makes for the owner: of a
single member for a Job, and so for the guard."""
_UNSCHEDULABLE = "UnschedulableOnNodePool"
_UNLIMITED = {"quota": -1, "limit": -1, "overQuotaWeight": 1}


def served(facts: Facts) -> bool:
    """Whether its PodGroups and queues are served."""
    return {kinds.KAI_POD_GROUP.api_version, kinds.KAI_QUEUE.api_version} <= facts.groups


@dataclass(frozen=True)
class Kai:
    """See :class:`aiconform.checks._kit.gang.GangSystem`."""

    rights: ClassVar[tuple[str, ...]] = (
        "create delete get list watch podgroups.scheduling.run.ai",
        "create delete list watch queues.scheduling.run.ai",
    )
    words: str = TITLE
    queue: str = ""

    async def ready(self, ctx: Context, room: Room) -> Kai | Aside:
        """Its scheduler speaks on a pod; makes the queue, which needs one above it."""
        parent, queue = ctx.name("kai-above"), ctx.name("kai")
        resources = dict.fromkeys(("cpu", "memory", "gpu"), _UNLIMITED)
        await ctx.create(_made(kinds.KAI_QUEUE, parent, {"resources": resources}))
        await ctx.create(_made(kinds.KAI_QUEUE, queue, {"parentQueue": parent, "resources": resources}))
        aside = await gang.takes_pods(ctx, room, Deployed(TITLE), SCHEDULER, {_QUEUE_LABEL: queue})
        return aside or replace(self, queue=queue)

    async def group(self, ctx: Context, room: Room, members: int) -> Group:
        """A PodGroup, and its pods."""
        name = ctx.name("kai")
        handle = await ctx.create(
            _made(kinds.KAI_POD_GROUP, name, {"minMember": members, "queue": self.queue, "markUnschedulable": True})
        )
        parts: list[Handle] = []
        for _ in range(members):
            pod = gang_room.member(ctx, room, name, gang.HOLD_S)
            pod["metadata"]["labels"][_QUEUE_LABEL] = self.queue
            pod["metadata"]["annotations"] = {_GROUP: name}
            pod["metadata"]["ownerReferences"] = []
            pod["spec"]["schedulerName"] = SCHEDULER
            parts.append(await ctx.create(pod))
        return Group(handle, name, members, tuple(parts))

    async def admitted(self, ctx: Context, group: Group) -> Aside | None:
        """Its scheduler gives every member a node."""

        def placed(objects: list[Obj]) -> State:
            number = sum(bool(pod["spec"].get("nodeName")) for pod in objects)
            return State("met" if number == group.members else "waiting", f"{number} of {group.members} have a node")

        where = Target(kinds.POD, ctx.namespace, {GROUP_LABEL: group.name})
        return (await gang.admits(ctx, self.words, group, where, placed))[0]

    async def refusal(self, ctx: Context, group: Group) -> State:
        """The PodGroup's own condition says why it does not start."""
        found = await ctx.read(group.handle)
        told = (found.get("status") or {}).get("schedulingConditions") or []
        said = [one for one in told if one.get("type") == _UNSCHEDULABLE and one.get("status") == "True"]
        words = "; ".join(f"{one.get('reason')}: {one.get('message')}" for one in said)
        return State("met" if said else "waiting", f"PodGroup: {words}" if said else "PodGroup: no word of it")

    async def completed(self, ctx: Context, group: Group) -> None:
        """Every member has ended well."""

        def done(objects: list[Obj]) -> State:
            phases = [str(pod.get("status", {}).get("phase")) for pod in objects]
            if "Failed" in phases:
                return State("wrong", f"members: {', '.join(phases)}")
            number = phases.count("Succeeded")
            return State("met" if number == group.members else "waiting", f"{number} of {group.members} succeeded")

        await ctx.until(list(group.parts), done, expected=f"{self.words}: the members complete", within_s=90)


def _made(kind: Kind, name: str, spec: Obj) -> Obj:
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name}, "spec": spec}
