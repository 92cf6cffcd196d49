"""A pool of nodes that an autoscaler makes larger and smaller: its nodes over time, and pods for them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiconform.catalog import accelerators as vendors
from aiconform.catalog.accelerators import AcceleratorKind
from aiconform.checks._kit import devices, pods
from aiconform.checks._kit.devices import Probing
from aiconform.checks._kit.script import Script
from aiconform.engine import Context, Facts, Handle, State, Target, Unmet, kinds, needs, slices
from aiconform.engine.facts import hidden
from aiconform.engine.nodepools import CLUSTER_AUTOSCALER, KARPENTER, STATUS, UNNAMED, NodePool

Obj = dict[str, Any]

UP_S = 1200
DOWN_S = 1800
"""What clouds may take to bring a node and to let it go."""
SIMULATED_S = 120
"""The same where accelerators are simulated, so that no machine has to be found and booted."""
QUIET_S = 180
QUIET_SIMULATED_S = 30
QUIET_TIMES = 1.5
"""How long no node may come, at least, once the autoscaler has said that none will: that much longer than one took that
was asked for, and for these seconds."""
HOLD_S = 7200
UNKNOWN = "aiconform.dev/offered-nowhere"
"""An extended resource that no node and no pool has."""


_BY_HAND = "a pending pod with accelerators that brings a node, and the node that goes once the pod has gone"


def grows(facts: Facts) -> Unmet | None:
    """Some pool with accelerators is minded by an autoscaler and has room to grow."""
    if any(not pool.stuck for pool in facts.pools):
        return None
    why = "; ".join(f"{pool.name} ({pool.autoscaler}): {pool.stuck}" for pool in facts.pools)
    unread = hidden(facts.gaps, kinds.NODE_POOL.plural, STATUS[1])
    if facts.pools and unread:
        others = f"cannot tell whether another pool of nodes with accelerators can grow: {'; '.join(unread)}"
        return Unmet("undecided", f"{others}; those that are known cannot: {why}")
    if facts.pools:
        return Unmet("not run", f"no pool of nodes with accelerators can grow, so nothing would be proved: {why}")
    if gap := needs.unrecognised(facts, "needs a pool of nodes with accelerators", _BY_HAND):
        return gap
    if facts.gaps:
        why = f"cannot tell whether nodes are scaled automatically: {'; '.join(facts.gaps)}"
        return Unmet("undecided", f"{why}; --pool-label KEY=VALUE tells which nodes are of a pool that is")
    return Unmet(
        "not run",
        "no autoscaler tells of nodes with accelerators: neither by NodePools of karpenter.sh/v1 nor by groups in "
        "Cluster Autoscaler's status that have nodes now, known by their labels; where a platform hides that, "
        "--pool-label KEY=VALUE tells which nodes are of a pool; without an autoscaler the requirement does not apply",
    )


def chosen(facts: Facts) -> NodePool:
    """The pool that is looked at: one that has nodes, first by name."""
    return next(pool for pool in facts.pools if not pool.stuck)


def held(facts: Facts) -> frozenset[str]:
    """The accelerators of the pool, and the pool itself."""
    if grows(facts) is not None:
        return frozenset()
    pool = chosen(facts)
    return frozenset({f"pool/{pool.name}"} | {found.lock for found in facts.chosen if found.node in pool.nodes})


@dataclass
class Watched:
    """The nodes of a pool as they were seen over time.

    Attributes:
        baseline: uid by name of the nodes that were there at first.
        came_after_s: how long the node took that was asked for.
        claimable: devices that can be claimed, by node, when they were last looked at.
        points: seconds since the run began, and nodes that could take a pod.
    """

    pool: NodePool
    per_node: int
    baseline: dict[str, str] = field(default_factory=dict)
    came_after_s: float = 0.0
    claimable: dict[str, int] = field(default_factory=dict)
    points: list[tuple[float, float]] = field(default_factory=list)

    @property
    def up_s(self) -> float:
        """How long a node may take to come."""
        return SIMULATED_S if self.pool.simulated else UP_S

    @property
    def down_s(self) -> float:
        """How long a node may take to go."""
        return SIMULATED_S if self.pool.simulated else DOWN_S

    @property
    def quiet_s(self) -> float:
        """How long to watch that no node comes."""
        least = QUIET_SIMULATED_S if self.pool.simulated else QUIET_S
        return float(max(least, math.ceil(QUIET_TIMES * self.came_after_s)))

    @property
    def target(self) -> Target:
        """All nodes of the pool."""
        return Target(kinds.NODE, "", dict([self.pool.label]))

    def note(self, ctx: Context, nodes: Sequence[Obj]) -> None:
        """Remember how many nodes there are now."""
        now, count = ctx.now, float(sum(usable(node) for node in nodes))
        if not self.points or self.points[-1][1] != count:
            self.points.append((now, count))

    async def look(self, ctx: Context) -> None:
        """Look what can be claimed, where the pool's accelerators are claimed: nodes do not tell that."""
        kind = vendors.by_driver(self.pool.resource) if self.pool.device_class else None
        if kind is None or kind.dra is None:
            return
        driver = kind.dra.driver
        found = await ctx.list(kinds.RESOURCE_SLICE, fields=f"spec.driver={driver}")
        self.claimable = {}
        for spec in slices.current(driver, found):
            free = [device for device in spec.get("devices") or [] if slices.counts(kind.dra, device)]
            name = str(spec.get("nodeName", ""))
            self.claimable[name] = self.claimable.get(name, 0) + len(free)

    def new(self, nodes: Sequence[Obj]) -> list[Obj]:
        """Those that were not there at first, by uid."""
        known = set(self.baseline.values())
        return [node for node in nodes if node["metadata"]["uid"] not in known]

    def lost(self, nodes: Sequence[Obj]) -> list[str]:
        """Names of those that were there at first and are not, or cannot take pods."""
        there = {node["metadata"]["uid"] for node in nodes if usable(node)}
        return [name for name, uid in self.baseline.items() if uid not in there]

    def offered(self, node: Obj) -> int:
        """Accelerators that a node offers to pods; of those that are claimed, as :meth:`look` last saw them."""
        if self.pool.device_class:
            return self.claimable.get(str(node["metadata"]["name"]), 0)
        amount = str((node.get("status", {}).get("allocatable") or {}).get(self.pool.resource, "0"))
        return int(amount) if amount.isdigit() else 0


def usable(node: Obj) -> bool:
    """Ready, and open to pods: neither cordoned nor marked by an autoscaler as coming or going."""
    spec, conditions = node.get("spec", {}), node.get("status", {}).get("conditions") or []
    ready = any(found.get("type") == "Ready" and found.get("status") == "True" for found in conditions)
    closed = any(taint.get("key") in _CLOSED for taint in spec.get("taints") or [])
    return ready and not spec.get("unschedulable") and not closed and "deletionTimestamp" not in node["metadata"]


_CLOSED = ("karpenter.sh/unregistered", "karpenter.sh/disrupted", "ToBeDeletedByClusterAutoscaler")


def kind_of(pool: NodePool) -> AcceleratorKind | None:
    """What the vendor tables know of a pool's accelerators."""
    return vendors.by_driver(pool.resource) if pool.device_class else vendors.by_resource(pool.resource)


async def pod(ctx: Context, hint: str, pool: NodePool, resources: Mapping[str, str]) -> Probing:
    """Create a pod that goes to nodes of the pool alone, with these resources, and tells what it holds.

    The pool's own resource is asked for in the way the run has chosen, which may be by a claim.
    """
    end = ctx.name("report-ends")
    kind = kind_of(pool)
    looks = [devices.list_nodes(kind)] if kind else []
    run = Script("\n".join([*looks, f"echo {end}", f"exec sleep {HOLD_S}"]), end)
    asked = await devices.wish(ctx, hint, pool, int(resources[pool.resource]))
    others = {key: amount for key, amount in resources.items() if key != pool.resource}
    container = pods.Container(devices.CONTAINER, run, limits={**asked.limits, **others}, claims=asked.claims)
    manifest = pods.pod(ctx, hint, container, claims=asked.sources)
    spec = manifest["spec"]
    spec["activeDeadlineSeconds"] = HOLD_S
    spec["nodeSelector"] = pods.on_linux(dict([pool.label]))
    known = {taint["key"] for taint in spec["tolerations"]}
    spec["tolerations"] += [{"key": key, "operator": "Exists"} for key in pool.taints if key not in known]
    manifest["metadata"]["annotations"] = dict(_STAYS)
    return Probing(await ctx.create(manifest), run)


_STAYS = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false", "karpenter.sh/do-not-disrupt": "true"}
"""By these, autoscalers leave a pod where it is: else they may tidy up a node that is watched."""


async def words(
    ctx: Context, pool: NodePool, about: Handle | Obj, namespace: str, reasons: Sequence[str] = ()
) -> list[str]:
    """What the pool's autoscaler said about an object in events, if given for these reasons alone."""
    name = about.name if isinstance(about, Handle) else str(about["metadata"]["name"])
    found = await ctx.list(kinds.EVENT, namespace, fields=f"regarding.name={name}")
    return [
        f"{_reporter(event)}: {event.get('reason')}: {event.get('note')}"
        for event in found
        if _reporter(event).startswith(_REPORTERS[pool.autoscaler])
        and (event.get("reason") in reasons if reasons else not str(event.get("note")).startswith(_PLAIN_STATUS))
    ]


ACTED = ("Nominated", "TriggeredScaleUp")
"""Reasons of events by which Karpenter and Cluster Autoscaler say that a node will come for a pod."""
REFUSED = ("FailedScheduling", "NotTriggerScaleUp")
"""Those by which they say that none will."""
_KARPENTERS = ("karpenter", "eks-auto-mode/compute")
_REPORTERS = {
    KARPENTER: _KARPENTERS,
    CLUSTER_AUTOSCALER: ("cluster-autoscaler",),
    UNNAMED: (*_KARPENTERS, "cluster-autoscaler"),
}
"""How their events begin to name them; EKS Auto Mode runs Karpenter under a name of its own."""
_PLAIN_STATUS = "Status condition transitioned"


def _reporter(event: Obj) -> str:
    source = event.get("deprecatedSource") or {}
    return str(event.get("reportingController") or source.get("component") or "")


def all_offer(watched: Watched, nodes: Sequence[Obj]) -> State:
    """Every node can take pods and offers the same number of accelerators."""
    offers = {node["metadata"]["name"]: watched.offered(node) for node in nodes}
    told = ", ".join(f"{name}: {amount}" for name, amount in sorted(offers.items())) or "no node"
    same = bool(nodes) and set(offers.values()) == {watched.per_node} and all(map(usable, nodes))
    return State("met" if same else "waiting", f"{told} {watched.pool.resource}")
