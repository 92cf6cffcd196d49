"""Several pods on shares of one node's devices: used for physical devices that are shared and for virtual ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aiconform.checks._kit import devices, pods
from aiconform.checks._kit.devices import Probing
from aiconform.checks._kit.script import Report
from aiconform.engine import AcceleratorNode, Context
from aiconform.engine.guards import QUOTA

WITHIN_S = 120
WINDOW_S = 20


@dataclass(frozen=True)
class Holders:
    """Pods that hold every share of a node, and what each of them reports."""

    node: AcceleratorNode
    pods: tuple[Probing, ...]
    reports: tuple[Report, ...]


async def fill(ctx: Context, node: AcceleratorNode, number: int) -> Holders:
    """Create ``number`` pods with one share each, wait until all run at the same time, and read their reports.

    Raises:
        StopProbe: there are more shares than pods of ours may be (undecided), or a pod does not run.
    """
    by_hand = f"{number} pods that each hold a share, the device's identity and a healthy answer in each of them"
    devices.must_know(ctx, node.kind, "uuid_command", "health_command", by_hand=by_hand)
    most = int(QUOTA["pods"]) - 1  # one more is made afterwards
    if number > most:
        cause = f"a run makes at most {most + 1} pods in a namespace; show by hand: {by_hand}"
        raise ctx.undecided(f"at most {most} shares on {node.node}", f"{number} {node.resource}", cause)
    look = devices.every_answer(node.kind)
    made = [await devices.holding_pod(ctx, f"share-{n}", node, *look) for n in range(1, number + 1)]
    handles = [probing.handle for probing in made]
    await ctx.until(
        handles, pods.running, expected=f"{number} pods run on {node.node} at the same time", within_s=WITHIN_S
    )
    await ctx.show(handles)
    reports = [await devices.report(ctx, probing, expected=f"{probing.handle} still runs") for probing in made]
    return Holders(node, tuple(made), tuple(reports))


def healthy(ctx: Context, reports: Sequence[Report]) -> None:
    """Every pod's health command exits 0."""
    exits = [seen.one("health_exit") or "none" for seen in reports]
    ctx.expect("the health command exits 0 in every pod", f"exits: {', '.join(exits)}", ok=set(exits) == {"0"})


def uuids(ctx: Context, reports: Sequence[Report]) -> list[str]:
    """The one device each pod names."""
    found = [seen.one("uuid") for seen in reports]
    exits = {seen.one("uuid_exit") for seen in reports}
    ctx.expect("every pod names one device", ", ".join(found), ok=all(found) and exits == {"0"})
    return found


async def one_more(ctx: Context, node: AcceleratorNode, *, root: bool = False) -> Probing:
    """Create one pod more than fits, and watch it wait, refused for this resource."""
    waiting = await devices.holding_pod(ctx, "one-more", node, *devices.every_answer(node.kind), root=root)
    refused = pods.refused_for(*devices.refusal(node))
    await ctx.until(waiting.handle, refused, expected=f"refused for want of {node.resource}", within_s=60)
    await ctx.never(waiting.handle, pods.started, expected=f"no node for {WINDOW_S} s", during_s=WINDOW_S)
    await ctx.show([waiting.handle])
    return waiting


async def make_room(ctx: Context, leaving: Probing, waiting: Probing) -> Report:
    """Delete one holder, and see the waiting pod start."""
    await ctx.delete(leaving.handle)
    return await devices.report(ctx, waiting, expected=f"{waiting.handle} starts once {leaving.handle} is gone")
