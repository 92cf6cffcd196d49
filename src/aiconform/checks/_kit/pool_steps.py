"""The steps of a pool's way from N nodes to N + 1 and back, each with what it expects."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiconform.catalog import accelerators as vendors
from aiconform.checks._kit import devices, nodepools, pods, script
from aiconform.checks._kit.devices import Probing
from aiconform.checks._kit.nodepools import Watched
from aiconform.engine import Context, Handle, Series, State, kinds
from aiconform.engine.nodepools import NodePool

Obj = dict[str, Any]

STABLE_S = 20
REFUSED_WITHIN_S = 120
EVENT_WITHIN_S = 120


async def fill(ctx: Context, pool: NodePool) -> Watched:
    """Give every node of the pool a pod that takes its accelerators; a pool without nodes gets its first so."""
    watched = Watched(pool, pool.per_node or 1)
    share = {pool.resource: str(watched.per_node)}
    there = await ctx.list(kinds.NODE, labels=dict([pool.label]))
    keepers = range(1, max(len(there), 1) + 1)
    made = [(await nodepools.pod(ctx, f"keeper-{number}", pool, share)).handle for number in keepers]
    found = await ctx.until(
        made,
        pods.running,
        expected=f"a pod with {watched.per_node} {pool.resource} runs for each node of pool {pool.name}",
        within_s=watched.up_s,
    )
    await ctx.show(made)
    nodes = await ctx.list(kinds.NODE, labels=dict([pool.label]))
    await watched.look(ctx)
    if not there and len(nodes) == 1:  # only now it is known what a node of the pool is
        watched.per_node = watched.offered(nodes[0])
    watched.baseline = {node["metadata"]["name"]: node["metadata"]["uid"] for node in nodes}
    watched.note(ctx, nodes)
    where = [str(pod["spec"].get("nodeName")) for pod in found]
    state = nodepools.all_offer(watched, nodes)
    expected = f"one such pod on each of the pool's nodes, and each node offers {watched.per_node} {pool.resource}"
    observed = f"pods on {', '.join(sorted(where))}; {state.observed}"
    if len(nodes) > len(keepers):
        raise ctx.undecided(expected, observed, "the pool grew meanwhile, or pods of others hold accelerators of it")
    ctx.expect(
        expected,
        observed,
        ok=sorted(where) == sorted(watched.baseline) and state.outcome == "met",
        figures={"autoscaler": pool.autoscaler, "bounds": pool.bounds, "nodes": str(len(nodes))},
    )
    return watched


async def stays(ctx: Context, watched: Watched, during_s: float = STABLE_S) -> None:
    """The pool is exactly the nodes it was, for a while."""

    def changed(nodes: Sequence[Obj]) -> State:
        watched.note(ctx, nodes)
        new, lost = [_name(node) for node in watched.new(nodes)], watched.lost(nodes)
        if new or lost:
            return State("met", f"came: {', '.join(new) or 'none'}; went: {', '.join(lost) or 'none'}")
        return State("waiting", f"{len(watched.baseline)} nodes, the same by uid")

    expected = f"pool {watched.pool.name} stays at {len(watched.baseline)} nodes, the same by uid, for {during_s:g} s"
    await ctx.never(watched.target, changed, expected=expected, during_s=during_s)


async def ask_for_more(ctx: Context, watched: Watched) -> Probing:
    """Create the pod that nobody has room for, and see the scheduler say so."""
    pool = watched.pool
    share = {pool.resource: str(watched.per_node)}
    trigger = await nodepools.pod(ctx, "one-more", pool, share)
    await ctx.until(
        trigger.handle,
        pods.refused_for(*devices.refusal(pool)),
        expected=f"the scheduler refuses one pod more for want of {pool.resource}",
        within_s=REFUSED_WITHIN_S,
    )
    return trigger


async def new_node(ctx: Context, watched: Watched) -> Obj:
    """Wait for a node that was not there, with its accelerators, while none of the others is lost."""
    begun = ctx.now

    def came(nodes: Sequence[Obj]) -> State:
        watched.note(ctx, nodes)
        lost, new = watched.lost(nodes), watched.new(nodes)
        if lost:
            return State("wrong", f"lost {', '.join(lost)} of the nodes that were there before")
        ready = [node for node in new if nodepools.usable(node)]
        if ready and watched.pool.device_class:
            return State("met", f"node {_name(ready[0])} is Ready")
        ready = [node for node in ready if watched.offered(node) >= watched.per_node]
        if ready:
            return State("met", f"node {_name(ready[0])} is Ready and offers {watched.offered(ready[0])}")
        names = ", ".join(f"{_name(node)} (not ready, or without accelerators)" for node in new)
        return State("waiting", names or "no new node")

    expected = f"pool {watched.pool.name} gets a node with {watched.per_node} {watched.pool.resource}"
    nodes = await ctx.until(watched.target, came, expected=expected, within_s=watched.up_s)
    new = watched.new(nodes)
    if watched.pool.device_class:
        await ctx.poll(_claimable(ctx, watched, _name(new[0])), expected=expected, within_s=watched.up_s)
    simulated = vendors.simulated_node(new[0]["metadata"].get("labels") or {})
    if simulated and not watched.pool.simulated:  # nothing of the run says so yet
        raise ctx.undecided("a node whose accelerators are as real as they seemed", simulated, "simulated all the same")
    ctx.expect(
        "exactly one node came",
        ", ".join(_name(node) for node in new),
        ok=len(new) == 1,
        figures={"pending to node Ready with accelerators": f"{ctx.now - begun:.1f} s"},
    )
    watched.came_after_s = ctx.now - begun
    return new[0]


def _claimable(ctx: Context, watched: Watched, node: str) -> Callable[[], Awaitable[State]]:
    """A sample: a node's devices can be claimed."""

    async def look() -> State:
        await watched.look(ctx)
        there = watched.claimable.get(node, 0)
        met = there >= watched.per_node
        return State("met" if met else "waiting", f"{there} devices of {watched.pool.resource} on {node}")

    return look


async def runs_there(ctx: Context, watched: Watched, trigger: Probing, node: Obj) -> None:
    """The pod runs on the new node and has its accelerators, and all nodes that were there before still are."""
    begun = ctx.now
    expected = f"{trigger.handle} runs"
    [found] = await ctx.until(trigger.handle, pods.running, expected=expected, within_s=watched.up_s)
    await ctx.show([trigger.handle])
    ctx.expect(
        f"on {_name(node)}, whose uid is not among those there were",
        f"on {found['spec'].get('nodeName')}",
        ok=found["spec"].get("nodeName") == _name(node),
        figures={"node Ready to pod running": f"{ctx.now - begun:.1f} s"},
    )
    # a node can be said to have accelerators that it does not have: only the container knows
    seen = devices.count(await script.report(ctx, trigger.handle, devices.CONTAINER, trigger.script))
    kind = nodepools.kind_of(watched.pool)
    classes = devices.classes_untold(ctx, kind) if kind and not seen else []
    ctx.expect(
        f"the container finds {watched.per_node} device(s) there",
        "it did not say" if seen is None else f"{seen} device(s)",
        ok=seen == watched.per_node,
        cause=f"if pods have to name a RuntimeClass here: --runtime-class {' or '.join(classes)}" if classes else "",
    )
    nodes = await ctx.list(kinds.NODE, labels=dict([watched.pool.label]))
    await watched.look(ctx)
    state, lost = nodepools.all_offer(watched, nodes), watched.lost(nodes)
    watched.note(ctx, nodes)
    ctx.expect(
        f"{len(watched.baseline)} nodes as before and one new, each with {watched.per_node} {watched.pool.resource}",
        f"{state.observed}; lost: {', '.join(lost) or 'none'}",
        ok=state.outcome == "met" and not lost and len(nodes) == len(watched.baseline) + 1,
    )


async def says_it_acted(ctx: Context, watched: Watched, trigger: Handle) -> None:
    """The autoscaler's own words on why the node came."""
    await _told(ctx, watched, trigger, nodepools.ACTED, f"{watched.pool.autoscaler} says that it acted")


async def _told(ctx: Context, watched: Watched, pod: Handle, reasons: Sequence[str], expected: str) -> None:
    async def sample() -> State:
        told = await nodepools.words(ctx, watched.pool, pod, ctx.namespace, reasons)
        nothing = f"no event of {watched.pool.autoscaler} with reason {' or '.join(reasons)}"
        return State("met", "; ".join(told)) if told else State("nothing", nothing)

    await ctx.poll(sample, expected=expected, within_s=EVENT_WITHIN_S, every_s=2)


async def back_to_baseline(ctx: Context, watched: Watched, node: Obj) -> None:
    """Wait until the pool is exactly the nodes it was; what the autoscaler says of the new one is shown."""
    begun = ctx.now

    def back(nodes: Sequence[Obj]) -> State:
        watched.note(ctx, nodes)
        lost, new = watched.lost(nodes), watched.new(nodes)
        if lost:
            return State("wrong", f"lost {', '.join(lost)} of the nodes that were there before")
        if new:
            return State("waiting", f"{', '.join(map(_name, new))} is still there")
        return State("met", f"{len(nodes)} nodes, those that were there before, by uid")

    expected = f"{_name(node)} goes, and the {len(watched.baseline)} nodes that were there before stay"
    await ctx.until(watched.target, back, expected=expected, within_s=watched.down_s)
    points = (*watched.points, (ctx.now, float(len(watched.baseline))))
    few, many = len(watched.baseline), len(watched.baseline) + 1
    seen = [int(count) for _, count in points]
    ctx.expect(
        f"{few} nodes, then {many}, then {few} that can take pods, at no time fewer or more",
        ", ".join(str(count) for count in seen),
        ok=(min(seen), max(seen), seen[0], seen[-1]) == (few, many, few, few),
        figures={
            "pod deleted to node gone": f"{ctx.now - begun:.1f} s",
            "the autoscaler's words": "; ".join(await nodepools.words(ctx, watched.pool, node, "default")) or "none",
        },
        series=(Series(f"nodes of {watched.pool.name}", "nodes", points),),
    )


async def ask_for_what_it_lacks(ctx: Context, watched: Watched) -> Handle:
    """Create a pod that asks for accelerators and for a resource that nothing offers."""
    pool = watched.pool
    left = watched.new(await ctx.list(kinds.NODE, labels=dict([pool.label])))
    if left:
        names = ", ".join(map(_name, left))
        raise ctx.undecided("the pool is as it was at first", f"{names} is there still", "a node of before did not go")
    share = {pool.resource: str(watched.per_node), nodepools.UNKNOWN: "1"}
    refused = (await nodepools.pod(ctx, "impossible", pool, share)).handle
    await ctx.until(
        refused,
        pods.refused_for("Insufficient", nodepools.UNKNOWN),
        expected=f"the scheduler refuses a pod that also asks for {nodepools.UNKNOWN}",
        within_s=REFUSED_WITHIN_S,
    )
    return refused


async def says_why_not(ctx: Context, watched: Watched, refused: Handle) -> None:
    """The autoscaler looked at the pod and says that it can do nothing for it; and the pod still waits."""
    expected = f"{watched.pool.autoscaler} says that no node would help {refused}"
    await _told(ctx, watched, refused, nodepools.REFUSED, expected)
    found = pods.started([await ctx.read(refused)])
    ctx.expect(f"{refused} was given no node", found.observed, ok=found.outcome == "waiting")


def _name(node: Obj) -> str:
    return str(node["metadata"]["name"])
