"""A container reaches the accelerators it was granted and no others, whatever it tries (KAR-0049)."""

from __future__ import annotations

from aiconform.checks._kit import claims, devices, isolation, pods, sharing
from aiconform.engine import Check, Context, needs

CHECK = Check(
    "secure_accelerator_access",
    needs=(
        needs.accelerator(
            "a node with two or more exclusive accelerators",
            needs.several,
            by_hand="device nodes in a pod with a request, in one without, and in two that try each other's device",
            claims=True,
        ),
    ),
    holds=needs.holds(needs.several, claims=True),
    limits=(
        "Privileged containers and host paths are not tried: admission has to refuse those.",
        "One node is looked at, and of RuntimeClasses those that the vendor's own software makes, by their names.",
    ),
    # the attempts need the runtime's default capabilities (mknod), which the restricted standard drops
    pod_security="baseline",
    headline="another's device: {other's device}",
    rights=(
        "create delete get list watch pods",
        "get pods/log",
        claims.RIGHTS,
    ),
    usual_s=49,
)


@CHECK.positive("a container with a request sees exactly one device", fails_if="it sees none or more than one")
async def granted(ctx: Context) -> None:
    ctx.memo["held"] = await isolation.hold(ctx, isolation.place(ctx))


@CHECK.negative(
    "a container without a request sees none, however it asks the runtime",
    fails_if="it sees a device node: by default, or by the vendor's variables, under its RuntimeClasses too",
    control=granted,
    timeout_s=300,
)
async def not_granted(ctx: Context) -> None:
    await isolation.ask_without_request(ctx, isolation.place(ctx), ctx.memo["held"])


@CHECK.negative(
    "a sibling container of the same pod sees none",
    fails_if="the container without the request sees a device",
    control=granted,
)
async def sibling(ctx: Context) -> None:
    await isolation.siblings(ctx, isolation.place(ctx))


@CHECK.negative(
    "a container cannot reach another's device",
    fails_if="mknod and open, the other's UUID in the environment, /proc or sysfs lead to it",
    control=granted,
)
async def another(ctx: Context) -> None:
    await isolation.intrude(ctx, isolation.place(ctx), ctx.memo["held"])


@CHECK.negative(
    "more devices than are free are not granted",
    fails_if="the pod is given the node although every device is held",
    control=granted,
)
async def over_request(ctx: Context) -> None:
    node = isolation.place(ctx)
    for number in range(node.allocatable - (2 if "intruder" in ctx.memo else 1)):
        filler = await devices.holding_pod(ctx, f"filler-{number}", node, "true", root=True)
        why = devices.explain(ctx, filler)
        await ctx.until(
            filler.handle, pods.running, expected="the remaining devices are held", within_s=90, explain=why
        )
    ctx.memo["waiting"] = await sharing.one_more(ctx, node, root=True)


@CHECK.recovery("a released device is granted again", fails_if="the waiting pod does not get it", after=over_request)
async def released(ctx: Context) -> None:
    held = ctx.memo["held"]
    seen = await sharing.make_room(ctx, held.holder, ctx.memo["waiting"])
    ctx.expect("exactly 1 device node", seen.one("devices"), ok=devices.count(seen) == 1)
    found = seen.one("uuid") or isolation.number(seen)
    ctx.expect("the device that was released", found, ok=found == held.identity)
