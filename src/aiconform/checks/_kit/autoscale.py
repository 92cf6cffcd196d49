"""A workload with accelerators under a HorizontalPodAutoscaler: where it runs, what is asked, and what is seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiconform.catalog import accelerators as vendors
from aiconform.checks._kit import devices, pods, workloads
from aiconform.checks._kit.workloads import Workload
from aiconform.engine import AcceleratorNode, Context, Facts, Handle, State, Unmet, kinds, needs

Obj = dict[str, Any]

MAXIMUM = 2
PERIOD_S = 15
"""Upstream's default time between two looks of the autoscaler."""
STEADY_S = 2 * PERIOD_S + 3
ONCE_MORE_S = PERIOD_S + 3
LOOK_S = 2.0


@dataclass(frozen=True)
class Site:
    """Where the workload may run: one node with two accelerators, or else two nodes with one each."""

    parts: tuple[AcceleratorNode, ...]

    @property
    def resource(self) -> str:
        """What the replicas ask for."""
        return self.parts[0].resource

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of its nodes."""
        return tuple(part.node for part in self.parts)

    @property
    def words(self) -> str:
        """Its nodes in words."""
        return " and ".join(self.nodes)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Values of their hostname labels."""
        return tuple(part.label["kubernetes.io/hostname"] for part in self.parts)

    @property
    def exclusive(self) -> bool:
        """Whether no device is offered several times."""
        return all(needs.exclusive(part) for part in self.parts)


def sites(facts: Facts) -> list[Site]:
    """Where the workload could run, what is used first: exclusive accelerators before shares, one node before two."""
    single = [Site((found,)) for found in facts.accelerators if found.allocatable >= MAXIMUM]
    lonely = [found for found in facts.accelerators if found.allocatable < MAXIMUM]
    pairs = [
        Site((first, second))
        for number, first in enumerate(lonely)
        for second in lonely[number + 1 :]
        if first.resource == second.resource
    ]
    return sorted([*single, *pairs], key=lambda site: not site.exclusive)


def room(facts: Facts) -> Unmet | None:
    """Two accelerators of one kind are offered: with one, no second replica can ever run."""
    if sites(facts):
        return None
    by_hand = "replicas with accelerators that follow a metric of their own up and down"
    if gap := needs.unrecognised(facts, "needs a node with two accelerators", by_hand, facts.parts):
        return gap
    offered = "; ".join(f"{a.allocatable} {a.resource} on {a.node}" for a in facts.accelerators)
    return Unmet("not run", f"needs two accelerators of one kind; the nodes offer {offered or 'none that is known'}")


def holds(facts: Facts) -> frozenset[str]:
    """The accelerators of the nodes that are used."""
    return frozenset(part.lock for site in sites(facts)[:1] for part in site.parts)


@dataclass(frozen=True)
class Scaled:
    """A workload, its autoscaler, and where it may run."""

    workload: Workload
    autoscaler: Handle
    site: Site


async def serve(ctx: Context, hint: str) -> tuple[Workload, Site, str]:
    """Create the workload with one replica that holds one accelerator; returns the pod's name too."""
    site = sites(ctx.facts)[0]
    limits = {site.resource: "1"}
    workload = await workloads.serve(ctx, hint, nodes=site.hosts, limits=limits, requests={"cpu": "100m"})
    [pod] = await running(ctx, workload, site, 1)
    return workload, site, pod


async def running(ctx: Context, workload: Workload, site: Site, number: int) -> list[str]:
    """Wait until exactly so many pods are ready there, each with one accelerator; returns their names."""

    def ready(objects: list[Obj]) -> State:
        if not objects:
            return workloads.NO_POD
        there = [found for found in objects if not found["metadata"].get("deletionTimestamp")]
        good = [found for found in there if is_ready(found) and _granted(found, site) == 1]
        names = ", ".join(found["metadata"]["name"] for found in good)
        if len(good) == len(there) == number:
            return State("met", f"{names} on {site.words}, one {site.resource} each")
        trouble = pods.running(there) if there else State("waiting", "")
        if trouble.outcome in ("blocked", "wrong"):
            return trouble
        return State("waiting", f"{len(good)} of {number} ready: {names or 'none'}")

    expected = f"{number} pod(s) run on {site.words}, each with one {site.resource}"
    target = workloads.pods_of(ctx, workload)
    why = workloads.why_no_pods(ctx, workload)
    found = await ctx.until(target, ready, expected=expected, within_s=120, explain=why)
    return [pod["metadata"]["name"] for pod in found if not pod["metadata"].get("deletionTimestamp")]


async def hold_their_own(ctx: Context, workload: Workload, site: Site, names: list[str]) -> None:
    """Each pod finds one device in its container, and where devices are not shared, each another.

    What a pod asks for and a node promises says nothing of what arrives: only the container knows.
    """
    kind = vendors.by_resource(site.resource)
    expected = f"each of {len(names)} containers finds one device" + (" of its own" if site.exclusive else "")
    if kind is None or not kind.device_glob or " " in kind.device_glob:
        raise ctx.undecided(expected, "not looked", f"it is not known what devices {site.resource} brings")
    where = await _nodes_of(ctx, workload) if len(site.parts) > 1 else {}
    held: dict[str, list[str]] = {}
    for name in names:
        path = kinds.POD.path(ctx.namespace, f"{name}:{workloads.PORT}", "proxy")
        answer = await ctx.get(f"{path}/devices", query={"like": kind.device_glob})
        held[name] = [str(number) for number in answer.get("devices") or ()]
    # devices of two nodes may have the same number
    numbers = [(where.get(name, ""), number) for name, found in held.items() for number in found]
    apart = len(set(numbers)) == len(names) or not site.exclusive
    observed = "; ".join(f"{name}: {', '.join(found) or 'none'}{_at(where, name)}" for name, found in held.items())
    one_each = all(len(found) == 1 for found in held.values())
    if not any(held.values()):
        await devices.only_by_class(ctx, workload.deployment, site.parts[0])
    if one_each and not apart and not all(part.sharing_told for part in site.parts):
        cause = f"nothing on {site.words} tells whether {site.resource} is offered several times for each device"
        raise ctx.undecided(expected, observed, cause)
    ctx.expect(expected, observed, ok=one_each and apart)


async def _nodes_of(ctx: Context, workload: Workload) -> dict[str, str]:
    found = await ctx.list(kinds.POD, ctx.namespace, labels={workloads.APP_LABEL: workload.app})
    return {str(pod["metadata"]["name"]): str(pod["spec"].get("nodeName")) for pod in found}


def _at(where: Mapping[str, str], name: str) -> str:
    return f" on {where[name]}" if name in where else ""


def is_ready(pod: Obj) -> bool:
    """Whether a pod runs and says that it is ready."""
    conditions = pod.get("status", {}).get("conditions") or ()
    return any(item.get("type") == "Ready" and item.get("status") == "True" for item in conditions)


def _granted(pod: Obj, site: Site) -> int:
    if pod["spec"].get("nodeName") not in site.nodes:
        return 0
    limits = [container["resources"].get("limits") or {} for container in pod["spec"]["containers"]]
    return sum(int(one.get(site.resource, "0")) for one in limits)


async def autoscaler(ctx: Context, workload: Workload, metric: Obj) -> Handle:
    """Create a HorizontalPodAutoscaler for the workload: one to two replicas, up and down without delay."""
    at_once = {"stabilizationWindowSeconds": 0}
    return await ctx.create(
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": workload.app},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": workload.deployment.name},
                "minReplicas": 1,
                "maxReplicas": MAXIMUM,
                "metrics": [metric],
                "behavior": {
                    "scaleUp": {**at_once, "policies": [{"type": "Pods", "value": 4, "periodSeconds": 1}]},
                    "scaleDown": {**at_once, "policies": [{"type": "Percent", "value": 100, "periodSeconds": 1}]},
                },
            },
        }
    )


async def told_by_event(ctx: Context, scaled: Scaled, size: int, metric: str) -> None:
    """The autoscaler's own event says the new size and names the metric."""

    async def look() -> State:
        events = await ctx.list(kinds.EVENT, ctx.namespace)
        notes = [
            str(event.get("note", ""))
            for event in events
            if (event.get("regarding") or {}).get("uid") == scaled.autoscaler.uid
        ]
        named = [note for note in notes if f"New size: {size}" in note and metric in note]
        return State("met" if named else "waiting", named[0] if named else "; ".join(notes) or "no event")

    await ctx.poll(look, expected=f"an event of the autoscaler says size {size} and names {metric}", within_s=30)
