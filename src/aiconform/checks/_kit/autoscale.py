"""A workload with accelerators under a HorizontalPodAutoscaler: where it runs, what is asked, and what is seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiconform.catalog import accelerators as vendors
from aiconform.checks._kit import pods, workloads
from aiconform.checks._kit.workloads import Workload
from aiconform.engine import AcceleratorNode, Context, Facts, Handle, State, Unmet, kinds, needs

Obj = dict[str, Any]

MAXIMUM = 2
PERIOD_S = 15
"""Upstream's default time between two looks of the autoscaler."""
STEADY_S = 2 * PERIOD_S + 3
ONCE_MORE_S = PERIOD_S + 3
LOOK_S = 2.0


def nodes(facts: Facts) -> list[AcceleratorNode]:
    """The nodes that the workload could run on, the one that is used first: exclusive accelerators before shares."""
    fitting = [found for found in facts.accelerators if found.allocatable >= MAXIMUM]
    return sorted(fitting, key=lambda found: not needs.exclusive(found))


def room(facts: Facts) -> Unmet | None:
    """Some node offers two accelerators: with one, no second replica can ever run."""
    if nodes(facts):
        return None
    by_hand = "replicas with accelerators that follow a metric of their own up and down"
    if gap := needs.unrecognised(facts, "needs a node with two accelerators", by_hand, facts.parts):
        return gap
    offered = "; ".join(f"{a.allocatable} {a.resource} on {a.node}" for a in facts.accelerators)
    return Unmet("not run", f"needs a node with two accelerators; the nodes offer {offered or 'none that is known'}")


def holds(facts: Facts) -> frozenset[str]:
    """The accelerators of the node that is used."""
    return frozenset(found.lock for found in nodes(facts)[:1])


@dataclass(frozen=True)
class Scaled:
    """A workload, its autoscaler, and the node that both are for."""

    workload: Workload
    autoscaler: Handle
    node: AcceleratorNode


async def serve(ctx: Context, hint: str) -> tuple[Workload, AcceleratorNode, str]:
    """Create the workload with one replica that holds one accelerator; returns the pod's name too."""
    chosen = nodes(ctx.facts)[0]
    hostname = chosen.label["kubernetes.io/hostname"]
    limits = {chosen.resource: "1"}
    workload = await workloads.serve(ctx, hint, node=hostname, limits=limits, requests={"cpu": "100m"})
    [pod] = await running(ctx, workload, chosen, 1)
    return workload, chosen, pod


async def running(ctx: Context, workload: Workload, chosen: AcceleratorNode, number: int) -> list[str]:
    """Wait until exactly so many pods are ready on the node, each with one accelerator; returns their names."""

    def ready(objects: list[Obj]) -> State:
        there = [found for found in objects if not found["metadata"].get("deletionTimestamp")]
        good = [found for found in there if is_ready(found) and _granted(found, chosen) == 1]
        names = ", ".join(found["metadata"]["name"] for found in good)
        if len(good) == len(there) == number:
            return State("met", f"{names} on {chosen.node}, one {chosen.resource} each")
        trouble = pods.running(there) if there else State("waiting", "")
        if trouble.outcome in ("blocked", "wrong"):
            return trouble
        return State("waiting", f"{len(good)} of {number} ready: {names or 'none'}")

    expected = f"{number} pod(s) run on {chosen.node}, each with one {chosen.resource}"
    target = workloads.pods_of(ctx, workload)
    found = await ctx.until(target, ready, expected=expected, within_s=120)
    return [pod["metadata"]["name"] for pod in found if not pod["metadata"].get("deletionTimestamp")]


async def hold_their_own(ctx: Context, chosen: AcceleratorNode, names: list[str]) -> None:
    """Each pod finds one device in its container, and where devices are not shared, each another.

    What a pod asks for and a node promises says nothing of what arrives: only the container knows.
    """
    kind = vendors.by_resource(chosen.resource)
    expected = f"each of {len(names)} containers finds one device" + (" of its own" if needs.exclusive(chosen) else "")
    if kind is None or not kind.device_glob or " " in kind.device_glob:
        raise ctx.undecided(expected, "not looked", f"it is not known what devices {chosen.resource} brings")
    held: dict[str, list[str]] = {}
    for name in names:
        path = kinds.POD.path(ctx.namespace, f"{name}:{workloads.PORT}", "proxy")
        answer = await ctx.get(f"{path}/devices", query={"like": kind.device_glob})
        held[name] = [str(number) for number in answer.get("devices") or ()]
    numbers = [number for found in held.values() for number in found]
    apart = len(set(numbers)) == len(names) or not needs.exclusive(chosen)
    observed = "; ".join(f"{name}: {', '.join(found) or 'none'}" for name, found in held.items())
    ctx.expect(expected, observed, ok=all(len(found) == 1 for found in held.values()) and apart)


def is_ready(pod: Obj) -> bool:
    """Whether a pod runs and says that it is ready."""
    conditions = pod.get("status", {}).get("conditions") or ()
    return any(item.get("type") == "Ready" and item.get("status") == "True" for item in conditions)


def _granted(pod: Obj, chosen: AcceleratorNode) -> int:
    if pod["spec"].get("nodeName") != chosen.node:
        return 0
    limits = [container["resources"].get("limits") or {} for container in pod["spec"]["containers"]]
    return sum(int(one.get(chosen.resource, "0")) for one in limits)


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
