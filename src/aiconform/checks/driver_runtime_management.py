"""What a node says about its accelerator driver and runtime is what its containers find installed (KAR-0001)."""

from __future__ import annotations

from aiconform.checks._kit import advertised, claims, devices, installed
from aiconform.engine import Check, Context, needs

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
    await installed.compare(ctx, ctx.facts.chosen)


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
