"""Kueue: a suspended Job that names a queue, placed as a whole by topology-aware scheduling.

Its queue is ours and has quota for much more than the room: what a group is refused for is room on the node.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from aiconform.checks._kit import gang, gang_room
from aiconform.checks._kit.gang import Aside, Group
from aiconform.checks._kit.gang_room import Room
from aiconform.engine import Context, Facts, Handle, RefusedError, State, Target, kinds
from aiconform.engine.kinds import Kind

Obj = dict[str, Any]

TITLE = "Kueue"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
_TOPOLOGY_REQUEST = "kueue.x-k8s.io/podset-required-topology"
JOB_LABEL = "kueue.x-k8s.io/job-uid"
_LEVEL = "kubernetes.io/hostname"
_DEPLOYMENTS = "app.kubernetes.io/name=kueue,control-plane=controller-manager"


def served(facts: Facts) -> bool:
    """Whether Kueue's kinds are served, in the version that has topologies."""
    return kinds.WORKLOAD.api_version in facts.groups


@dataclass(frozen=True)
class Kueue:
    """See :class:`aiconform.checks._kit.gang.GangSystem`."""

    rights: ClassVar[tuple[str, ...]] = (
        "create delete get list watch jobs.batch",
        "create delete list watch clusterqueues.kueue.x-k8s.io localqueues.kueue.x-k8s.io",
        "create delete list watch resourceflavors.kueue.x-k8s.io topologies.kueue.x-k8s.io",
        "list watch workloads.kueue.x-k8s.io",
        "list deployments.apps",
    )
    words: str = TITLE
    queue: str = ""

    async def ready(self, ctx: Context, room: Room) -> Kueue | Aside:
        """Its controller; makes the queue with its flavor and topology."""
        found = await gang.deployed(ctx, TITLE, _DEPLOYMENTS)
        if found.aside:
            return found.aside
        words, name = found.words, ctx.name("gang")
        try:
            queue = await self._queue(ctx, room, name)
        except RefusedError as refused:
            outcome: Literal["failed", "undecided"] = "undecided" if refused.status in (401, 403) else "failed"
            return Aside(words, refused.cause, outcome)
        state, _ = await ctx.seen(queue, _active, expected=f"{words} takes up our queue", within_s=gang.ALIVE_S)
        if state.outcome != "met":
            reason = f"our queue is not taken up in {gang.ALIVE_S} s: {state.observed}"
            return gang.not_known(words, state) or found.silent(reason)
        return replace(self, words=words, queue=name)

    async def _queue(self, ctx: Context, room: Room, name: str) -> Handle:
        await ctx.create(_made(kinds.TOPOLOGY, name, {"levels": [{"nodeLabel": _LEVEL}]}))
        await ctx.create(_made(kinds.RESOURCE_FLAVOR, name, {"nodeLabels": {_LEVEL: room.node}, "topologyName": name}))
        await ctx.create(_made(kinds.CLUSTER_QUEUE, name, _quota(ctx, room, name)))
        return await ctx.create(_made(kinds.LOCAL_QUEUE, name, {"clusterQueue": name}))

    async def group(self, ctx: Context, room: Room, members: int) -> Group:
        """A suspended Job whose pods are to be on one node, all of them."""
        name = ctx.name("kueue")
        template = gang_room.template(ctx, room, name, gang.HOLD_S)
        template["metadata"]["annotations"] = {_TOPOLOGY_REQUEST: _LEVEL}
        spec = {
            "suspend": True,
            "parallelism": members,
            "completions": members,
            "backoffLimit": 0,
            "template": template,
        }
        manifest = _made(kinds.JOB, name, spec)
        manifest["metadata"]["labels"] = {QUEUE_LABEL: self.queue}
        return Group(await ctx.create(manifest), name, members)

    async def admitted(self, ctx: Context, group: Group) -> Aside | None:
        """The Workload is admitted, with a place for every pod."""

        def admitted(objects: list[Obj]) -> State:
            found = gang.owned(objects, group.handle)
            yes = found is not None and gang.condition_of(found, "Admitted").get("status") == "True"
            return State("met", "Workload admitted") if yes else State("waiting", _standing(found))

        aside, seen = await gang.admits(ctx, self.words, group, _workload(ctx, group), admitted)
        if aside:
            return aside
        sets = ((seen[0]["status"].get("admission") or {}).get("podSetAssignments")) or []
        places = [one.get("count") for one in sets if one.get("topologyAssignment")]
        if not places:
            reason = "admitted by quota alone: topology-aware scheduling is off, so the room on nodes is not looked at"
            return Aside(self.words, reason, "undecided")
        ctx.expect(
            f"places for all {group.members} members at once", f"{sum(places)} places", ok=places == [group.members]
        )
        return None

    async def refusal(self, ctx: Context, group: Group) -> State:
        """The Workload's condition says what does not fit."""
        found = gang.owned(
            await ctx.list(kinds.WORKLOAD, ctx.namespace, labels={JOB_LABEL: group.handle.uid}), group.handle
        )
        said = gang.condition_of(found or {}, "QuotaReserved")
        if said.get("status") == "True":
            return State("wrong", f"Workload: {said.get('message')}")
        refused = said.get("status") == "False" and said.get("reason") == "Pending" and said.get("message")
        return State("met" if refused else "waiting", _standing(found))

    async def completed(self, ctx: Context, group: Group) -> None:
        """The Job is Complete."""
        await gang.job_completed(ctx, self.words, group)


def _quota(ctx: Context, room: Room, flavor: str) -> Obj:
    """The first group stands first until it fits: Kueue does not look again when other pods leave a node."""
    covered = ["cpu", "memory"] + ([room.resource] if room.resource != "cpu" else [])
    resources = [{"name": name, "nominalQuota": "1000Gi" if name == "memory" else "1000"} for name in covered]
    return {
        "queueingStrategy": "StrictFIFO",
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": ctx.namespace}},
        "resourceGroups": [{"coveredResources": covered, "flavors": [{"name": flavor, "resources": resources}]}],
    }


def _active(objects: list[Obj]) -> State:
    said = gang.condition_of(objects[0], "Active")
    text = f"LocalQueue: {said.get('message', 'no word of it yet')}"
    return State("met" if said.get("status") == "True" else "waiting", text)


def _standing(found: Obj | None) -> str:
    said = gang.condition_of(found or {}, "QuotaReserved")
    if found is None:
        return "no Workload was made"
    return f"Workload {said.get('reason', 'not looked at yet')}: {said.get('message', '')}".rstrip(": ")


def _workload(ctx: Context, group: Group) -> Target:
    return Target(kinds.WORKLOAD, ctx.namespace, {JOB_LABEL: group.handle.uid})


def _made(kind: Kind, name: str, spec: Obj) -> Obj:
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name}, "spec": spec}
