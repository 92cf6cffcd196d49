"""One device is offered as several, and that many pods use it at the same time (KAR-0003)."""

from __future__ import annotations

from aiconform.checks._kit import devices, sharing
from aiconform.engine import Check, Context, needs

CHECK = Check(
    "gpu_sharing",
    needs=(
        needs.accelerator(
            "a node whose devices are shared (time-slicing, MPS)",
            needs.shared,
            by_hand="the shares that a node offers, as many pods on it, and the same device's identity in each of them",
        ),
    ),
    holds=needs.holds(needs.shared),
    limits=(
        "How fairly the device's time is divided, and whether memory is kept apart, is not looked at.",
        "Shares are asked for as extended resources; shares by DRA, and parts of devices (MIG), are not examined.",
    ),
    headline="each device offered {replicas} times ({strategy})",
    rights=(
        "create delete list watch pods",
        "get nodes pods/log",
    ),
    usual_s=32,
)


@CHECK.positive(
    "the node offers more shares than it has devices",
    fails_if="allocatable is not the number of devices times the replicas that its labels name",
)
async def offered(ctx: Context) -> None:
    node = devices.chosen(ctx, needs.shared)
    allocatable = await devices.allocatable(ctx, node)
    ctx.expect(
        f"{node.physical} device(s) x {node.replicas} = {node.physical * node.replicas} {node.resource} allocatable",
        f"{allocatable} on {node.node}",
        ok=allocatable == node.physical * node.replicas > node.physical > 0,
        figures={"strategy": node.strategy or "not named", "replicas": str(node.replicas)},
    )


@CHECK.positive(
    "as many pods as shares run on the same physical device",
    fails_if="a pod does not start, names another device, or its health command fails",
    timeout_s=300,
)
async def together(ctx: Context) -> None:
    node = devices.chosen(ctx, needs.shared)
    holders = await sharing.fill(ctx, node, node.allocatable)
    sharing.healthy(ctx, holders.reports)
    found = sharing.uuids(ctx, holders.reports)
    ctx.expect(
        f"{node.physical} device(s) behind {len(found)} pods",
        ", ".join(sorted(set(found))),
        ok=len(set(found)) == node.physical < len(found),
    )
    ctx.memo["holders"] = holders


@CHECK.negative(
    "one pod more than shares stays pending",
    fails_if="it is given a node although every share is taken",
    control=together,
)
async def one_more(ctx: Context) -> None:
    ctx.memo["waiting"] = await sharing.one_more(ctx, ctx.memo["holders"].node)


@CHECK.recovery("the waiting pod starts once a share is free", fails_if="it goes on waiting", after=one_more)
async def room_appears(ctx: Context) -> None:
    holders = ctx.memo["holders"]
    seen = await sharing.make_room(ctx, holders.pods[0], ctx.memo["waiting"])
    sharing.healthy(ctx, [seen])
    known = {report.one("uuid") for report in holders.reports}
    ctx.expect("on the same physical device", seen.one("uuid"), ok=seen.one("uuid") in known)
