"""What a node says about its accelerator driver and runtime is what its containers find installed (KAR-0001)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aiconform.checks._kit import advertised, claims, devices
from aiconform.checks._kit.advertised import Version
from aiconform.checks._kit.devices import Probing
from aiconform.engine import AcceleratorNode, Check, Context, needs

_AT_A_TIME = 20
"""Nodes that are looked into at the same time: large clusters in minutes, and never more pods than that."""

CHECK = Check(
    "driver_runtime_management",
    needs=(needs.accelerator("a node with an accelerator", by_hand=advertised.BY_HAND, claims=True),),
    holds=needs.holds(lambda _: True, claims=True),
    limits=(
        "One device of each node is looked into; of its others only what DRA advertises, where it does, is compared.",
    ),
    headline="advertised {advertised}, installed {installed}",
    rights=(
        "create delete list watch pods",
        "get nodes pods/log",
        claims.RIGHTS,
        claims.DEVICES,
    ),
    usual_s=9,
)


@CHECK.positive(
    "what every node advertises is what a container on it finds",
    fails_if="a node advertises another version than its container's driver and runtime answer",
    timeout_s=300,
)
async def advertised_is_installed(ctx: Context) -> None:
    nodes = ctx.facts.chosen
    for first in range(0, len(nodes), _AT_A_TIME):
        looks = [await _look(ctx, node) for node in nodes[first : first + _AT_A_TIME]]
        for look in looks:
            await _compare(ctx, look)
        for look in looks:
            await ctx.delete(look.probing.handle)


@dataclass(frozen=True)
class _Look:
    """A node, what it advertises, and a pod that looks from within."""

    node: AcceleratorNode
    told: Mapping[str, Version]
    probing: Probing


async def _look(ctx: Context, node: AcceleratorNode) -> _Look:
    devices.must_know(ctx, node.kind, "device_glob", "driver_command", by_hand=advertised.BY_HAND)
    told = await advertised.by(ctx, node)
    return _Look(node, told, await devices.holding_pod(ctx, "driver", node, *devices.every_answer(node.kind)))


async def _compare(ctx: Context, look: _Look) -> None:
    node, probing, kind = look.node, look.probing, look.node.kind
    seen = await devices.report(ctx, probing, expected=f"a pod with one {node.resource} runs on {node.node}")
    ctx.expect("exactly one device node", f"{seen.one('devices')} on {node.node}", ok=devices.count(seen) == 1)
    if kind.tool:
        ok = seen.one("driver_exit") == "0" and seen.one("tool") not in ("", "none")
        observed = f"{seen.one('tool')}, exit {seen.one('driver_exit')}"
        ctx.expect(f"{kind.tool} is injected and answers", observed, ok=ok)
    advertised.same(ctx, node, look.told, seen)
    devices.must_know(ctx, kind, "tool", "runtime_command", by_hand=advertised.BY_HAND)


@CHECK.negative(
    "without a request the same image has no driver",
    fails_if="the image brings the tool itself, so nothing was shown about the node",
    control=advertised_is_installed,
)
async def image_has_none(ctx: Context) -> None:
    node = ctx.facts.chosen[0]
    kind = node.kind
    looks = (*devices.look_in(kind), devices.list_nodes(kind), devices.has_tool(kind))
    probing = await devices.plain_pod(ctx, "plain", node, *looks)
    seen = await devices.report(ctx, probing, expected=f"a pod without a request runs on {node.node}")
    ctx.expect(
        f"no {kind.tool} and no device node",
        f"{seen.one('tool')}, {seen.one('devices')} device nodes",
        ok=seen.one("tool") == "none" and devices.count(seen) == 0,
    )
