"""Virtual accelerators are asked for in the way parts of physical ones are (KAR-0004)."""

from __future__ import annotations

from aiconform.catalog import accelerators
from aiconform.checks._kit import devices, sharing
from aiconform.engine import Check, Context, needs

CHECK = Check(
    "virtualized_accelerator",
    needs=(
        needs.accelerator(
            "a node with virtual accelerators",
            needs.virtual,
            otherwise="n/a",
            by_hand="whether the devices are virtual, and if so as many pods as devices and each one's product",
        ),
    ),
    holds=needs.holds(needs.virtual),
    limits=(
        "Licences and the hypervisor's own management are not looked at.",
        "Devices are asked for as extended resources; virtual ones by DRA are not examined.",
    ),
    rights=(
        "create delete list watch pods",
        "get nodes pods/log",
    ),
    usual_s=24,
)


@CHECK.positive(
    "as many pods as virtual devices run, each on one that says it is virtual",
    fails_if="a pod does not start, its health command fails, or its device is another's or names a physical product",
    timeout_s=300,
)
async def virtual_devices(ctx: Context) -> None:
    node = devices.chosen(ctx, needs.virtual)
    ctx.expect(
        "the node says that its devices are virtual", node.virtual, ok=bool(await devices.allocatable(ctx, node))
    )
    holders = await sharing.fill(ctx, node, node.allocatable)
    sharing.healthy(ctx, holders.reports)
    found = sharing.uuids(ctx, holders.reports)
    ctx.expect("every pod has another device", ", ".join(found), ok=len(set(found)) == len(found))
    devices.must_know(ctx, node.kind, "product_command", by_hand="what each pod's device names its product")
    products = [seen.one("product") for seen in holders.reports]
    ctx.expect(
        "every pod's device names a virtual product",
        ", ".join(products),
        ok=all(accelerators.virtual_product(product) for product in products),
    )
    ctx.memo["holders"] = holders


@CHECK.negative(
    "one pod more than virtual devices stays pending", fails_if="it is given a node", control=virtual_devices
)
async def one_more(ctx: Context) -> None:
    ctx.memo["waiting"] = await sharing.one_more(ctx, ctx.memo["holders"].node)


@CHECK.recovery("the waiting pod starts once a device is free", fails_if="it goes on waiting", after=one_more)
async def room_appears(ctx: Context) -> None:
    seen = await sharing.make_room(ctx, ctx.memo["holders"].pods[0], ctx.memo["waiting"])
    sharing.healthy(ctx, [seen])
