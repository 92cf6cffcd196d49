"""What containers find installed on nodes, held against what the nodes advertise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiconform.checks._kit import advertised, devices
from aiconform.checks._kit.advertised import Version
from aiconform.checks._kit.devices import Probing
from aiconform.engine import AcceleratorNode, Context

AT_A_TIME = 20
"""Nodes that are looked into at the same time: large clusters in minutes, and never more pods than that."""


@dataclass(frozen=True)
class _Look:
    """A node, what it advertises, and a pod that looks from within."""

    node: AcceleratorNode
    told: Mapping[str, Version]
    probing: Probing


async def compare(ctx: Context, nodes: Sequence[AcceleratorNode]) -> None:
    """State for each node that a container on it finds the versions that it advertises.

    Raises:
        StopProbe: it does not (failed), or the vendor table or the node does not tell enough (undecided).
    """
    for first in range(0, len(nodes), AT_A_TIME):
        looks = [await _look(ctx, node) for node in nodes[first : first + AT_A_TIME]]
        for look in looks:
            await _compare(ctx, look)
        for look in looks:
            await ctx.delete(look.probing.handle)


async def _look(ctx: Context, node: AcceleratorNode) -> _Look:
    devices.must_know(ctx, node.kind, "device_glob", "driver_command", by_hand=advertised.BY_HAND)
    told = await advertised.by(ctx, node)
    return _Look(node, told, await devices.holding_pod(ctx, "driver", node, *devices.every_answer(node.kind)))


async def _compare(ctx: Context, look: _Look) -> None:
    node, kind = look.node, look.node.kind
    seen = await devices.report(ctx, look.probing, expected=f"a pod with one {node.resource} runs on {node.node}")
    ctx.expect("exactly one device node", f"{seen.one('devices')} on {node.node}", ok=devices.count(seen) == 1)
    if kind.tool:
        ok = seen.one("driver_exit") == "0" and seen.one("tool") not in ("", "none")
        observed = f"{seen.one('tool')}, exit {seen.one('driver_exit')}"
        ctx.expect(f"{kind.tool} is injected and answers", observed, ok=ok)
    advertised.same(ctx, node, look.told, seen)
    devices.must_know(ctx, kind, "tool", "runtime_command", by_hand=advertised.BY_HAND)
