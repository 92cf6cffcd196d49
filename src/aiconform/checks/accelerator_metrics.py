"""Each accelerator's use can be read by machines, and follows what the accelerator does (KAR-0059)."""

from __future__ import annotations

from aiconform.checks._kit import (
    claims,
    metrics_collected,
    metrics_devices,
    metrics_exporters,
    metrics_load,
    metrics_watch,
    prometheus_found,
)
from aiconform.engine import Check, Context, needs

CHECK = Check(
    "accelerator_metrics",
    needs=(needs.accelerator("a node with an accelerator", by_hand=metrics_exporters.BY_HAND, claims=True),),
    holds=needs.holds(lambda _: True, claims=True),
    limits=(
        "Exporters are found by the labels that their charts set, and asked through the API server's proxy.",
        "Parts of devices (MIG) are not compared.",
        "Of nodes with the same product one is examined from within; of the others, what exporters tell.",
        "The load is a kernel of ours that spins; what metrics show of a model's work is not looked at.",
        "Temperature, power and interconnect may be absent; whether they follow the load is not looked at.",
    ),
    rights=(
        "create delete get list watch pods",
        "get pods/log pods/proxy",
        "list services servicemonitors.monitoring.coreos.com",
        prometheus_found.ASKING,
        claims.RIGHTS,
    ),
    usual_s=16,
)


@CHECK.positive(
    "every node's exporter tells utilisation and memory of each of its devices",
    fails_if="a node has no exporter, its page is not valid, a device is missing, or a value is out of range",
)
async def each_device(ctx: Context) -> None:
    doors = await metrics_exporters.find(ctx)
    pages = [await metrics_exporters.read(ctx, door) for door in doors]
    for door, page in zip(doors, pages, strict=True):
        metrics_devices.inventory(ctx, door, page)
    ctx.memo["doors"] = doors


@CHECK.positive(
    "they are the devices that containers hold",
    fails_if="an id, product, PCI address or driver version is not the one that a container finds",
    after=each_device,
)
async def same_devices(ctx: Context) -> None:
    doors = ctx.memo["doors"]
    examined = metrics_devices.one_of_each(doors)
    held = await metrics_devices.hold(ctx, [door.node for door in examined])
    watch = metrics_watch.Watch(doors)
    await watch.rest(ctx)
    for door, mine in zip(examined, held, strict=True):
        metrics_devices.same(ctx, door, watch.pages[door.node.node], mine)
    ctx.memo["held"], ctx.memo["watch"] = held, watch


@CHECK.positive(
    "Prometheus has the same values of the same devices",
    fails_if="a device, metric or label is missing there, a value differs, or no new value comes in",
    after=each_device,
)
async def collected(ctx: Context) -> None:
    monitoring = await metrics_collected.find(ctx, ctx.memo["doors"])
    await metrics_collected.collected(ctx, monitoring, ctx.memo["doors"])
    ctx.memo["monitoring"] = monitoring


@CHECK.positive(
    "load on a device shows as utilisation and memory of that device",
    fails_if="its values do not rise, at the exporter or in Prometheus",
    after=same_devices,
    timeout_s=480,
)
async def load_rises(ctx: Context) -> None:
    held = metrics_devices.chosen(ctx.memo["held"])
    await ctx.delete(held.spare.handle)
    await ctx.until_gone(held.spare.handle, within_s=60)
    await ctx.memo["watch"].look(ctx)
    ctx.memo["load"] = load = await metrics_load.start(ctx, held.node)
    await metrics_load.rises(ctx, ctx.memo["watch"], load, ctx.memo.get("monitoring"))


@CHECK.negative(
    "no other device that we hold shows it",
    fails_if="an idle device's utilisation or memory rises while the loaded one is busy",
    control=load_rises,
)
async def others_stay(ctx: Context) -> None:
    await metrics_load.others_stay(ctx, ctx.memo["watch"], ctx.memo["load"], ctx.memo["held"])


@CHECK.recovery(
    "the values fall when the load ends",
    fails_if="they stay, at the exporter or in Prometheus",
    after=load_rises,
    timeout_s=400,
)
async def load_ends(ctx: Context) -> None:
    load = ctx.memo["load"]
    await ctx.delete(load.pod)
    await metrics_load.falls(ctx, ctx.memo["watch"], load, ctx.memo.get("monitoring"))
