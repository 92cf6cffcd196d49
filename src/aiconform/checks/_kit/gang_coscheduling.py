"""Coscheduling, the plugin of kube-scheduler: a Job whose pods name a PodGroup, held back until all have a place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from aiconform.checks._kit import gang, gang_room
from aiconform.checks._kit.gang import Aside, Group
from aiconform.checks._kit.gang_room import GROUP_LABEL, Room
from aiconform.engine import Condition, Context, Facts, State, Target, kinds

Obj = dict[str, Any]

TITLE = "Coscheduling"
SCHEDULER = "scheduler-plugins-scheduler"
"""As upstream's chart names it."""
PERMIT_S = 10
"""How long members that have a place wait for the others before they give it back."""

_OPTION = "coscheduling-scheduler"
_LABEL = "scheduling.x-k8s.io/pod-group"
_CONTROLLER = "app=scheduler-plugins-controller"
_SAYINGS = ("optimistic rejection in PostFilter", "gets rejected due to Pod", "cannot find enough sibling pods")
"""The plugin's words on pods that do not start because of their group."""


def served(facts: Facts) -> bool:
    """Whether its PodGroups are served."""
    return kinds.COSCHEDULING_POD_GROUP.api_version in facts.groups


@dataclass(frozen=True)
class Coscheduling:
    """See :class:`aiconform.checks._kit.gang.GangSystem`."""

    rights: ClassVar[tuple[str, ...]] = (
        "create delete get list watch jobs.batch podgroups.scheduling.x-k8s.io",
        "list deployments.apps",
    )
    words: str = TITLE
    scheduler: str = SCHEDULER

    async def ready(self, ctx: Context, room: Room) -> Coscheduling | Aside:
        """Its controller, and the scheduler that has the plugin, which goes by any name."""
        found = await gang.deployed(ctx, TITLE, _CONTROLLER)
        if found.aside:
            return found.aside
        told = ctx.option(_OPTION)
        scheduler = told or SCHEDULER
        aside = await gang.takes_pods(ctx, room, found, scheduler)
        if aside and not told:
            hint = f"if its scheduler has another name, tell it by --{_OPTION}"
            return replace(aside, reason=f"{aside.reason}; {hint}", outcome="undecided")
        return aside or replace(self, words=found.words, scheduler=scheduler)

    async def group(self, ctx: Context, room: Room, members: int) -> Group:
        """A PodGroup, and a Job whose pods are of it."""
        name = ctx.name("coscheduling")
        kind = kinds.COSCHEDULING_POD_GROUP
        spec: Obj = {"minMember": members, "scheduleTimeoutSeconds": PERMIT_S}
        await ctx.create({**_of(kind), "metadata": {"name": name}, "spec": spec})
        template = gang_room.template(ctx, room, name, gang.HOLD_S)
        template["metadata"]["labels"][_LABEL] = name
        template["spec"]["schedulerName"] = self.scheduler
        job = {"parallelism": members, "completions": members, "backoffLimit": 0, "template": template}
        return Group(await ctx.create({**_of(kinds.JOB), "metadata": {"name": name}, "spec": job}), name, members)

    async def admitted(self, ctx: Context, group: Group) -> Aside | None:
        """The PodGroup says that its members run, or have run."""
        where = Target(kinds.COSCHEDULING_POD_GROUP, ctx.namespace, {}, f"metadata.name={group.name}")
        return (await gang.admits(ctx, self.words, group, where, admitted(group.members)))[0]

    async def refusal(self, ctx: Context, group: Group) -> State:
        """What the plugin says on a member that waits for the others."""
        found = await ctx.read_named(kinds.COSCHEDULING_POD_GROUP, group.name, ctx.namespace)
        phase = _phase(found)
        pods = await ctx.list(kinds.POD, ctx.namespace, labels={GROUP_LABEL: group.name})
        said = sorted({_message(pod) for pod in pods} - {""})
        if phase in ("Running", "Finished", "Scheduled"):
            return State("wrong", f"PodGroup {phase}")
        own = [message for message in said if any(saying in message for saying in _SAYINGS)]
        return State("met" if own else "waiting", f"PodGroup {phase}: {'; '.join(own or said) or 'no word'}")

    async def completed(self, ctx: Context, group: Group) -> None:
        """The Job is Complete."""
        await gang.job_completed(ctx, self.words, group)


def admitted(members: int) -> Condition:
    """A condition on a PodGroup: it is of so many members, and they run or have run."""

    def condition(objects: list[Obj]) -> State:
        if not objects:
            return State("waiting", "no PodGroup")
        phase, least = _phase(objects[0]), objects[0].get("spec", {}).get("minMember")
        met = phase in ("Running", "Finished") and least == members
        return State("met" if met else "waiting", f"PodGroup {phase}, minMember {least}")

    return condition


def _phase(found: Obj) -> str:
    return str((found.get("status") or {}).get("phase") or "not looked at yet")


def _message(pod: Obj) -> str:
    said = gang.condition_of(pod, "PodScheduled")
    return str(said.get("message", "")) if said.get("status") == "False" else ""


def _of(kind: kinds.Kind) -> Obj:
    return {"apiVersion": kind.api_version, "kind": kind.kind}
