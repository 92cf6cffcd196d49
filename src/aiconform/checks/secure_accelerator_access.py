"""A container reaches the accelerators it was granted and no others, whatever it tries (KAR-0049)."""

from __future__ import annotations

from aiconform.checks._kit import devices, isolation, pods, script, sharing
from aiconform.engine import Check, Context, needs

CHECK = Check(
    "secure_accelerator_access",
    needs=(needs.accelerator("a node with two or more exclusive accelerators", needs.several),),
    holds=needs.holds(needs.several),
    limits=("Privileged containers and host paths are not tried: admission has to refuse those.",),
    # the attempts need the runtime's default capabilities (mknod), which the restricted standard drops
    pod_security="baseline",
)


@CHECK.positive("a container with a request sees exactly one device", fails_if="it sees none or more than one")
async def granted(ctx: Context) -> None:
    node = devices.chosen(ctx, needs.several)
    look = (
        devices.list_nodes(node.kind),
        devices.ask_tool("uuid", node.kind.uuid_command),
        devices.ask_tool("pci", node.kind.pci_command),
    )
    holder = await devices.holding_pod(ctx, "holder", node, *look, root=True)
    seen = await devices.report(ctx, holder, expected=f"a pod with one {node.resource} runs on {node.node}")
    ctx.expect(
        "exactly 1 device node", f"{seen.one('devices')}: {', '.join(seen.all('device'))}", ok=devices.count(seen) == 1
    )
    ctx.expect("one UUID", seen.one("uuid"), ok=bool(seen.one("uuid")))
    ctx.memo["holder"], ctx.memo["held"] = holder, seen


@CHECK.negative(
    "a container without a request sees none, however it asks the runtime",
    fails_if="it sees a device node, by default or by the vendor's environment variable under any RuntimeClass",
    control=granted,
    timeout_s=300,
)
async def not_granted(ctx: Context) -> None:
    node = devices.chosen(ctx, needs.several)
    everything = dict.fromkeys(node.kind.visible_devices, "all")
    present = [name for name in node.kind.runtime_classes if name in ctx.facts.runtime_classes]
    for runtime_class, env in [("", {}), ("", everything), *((name, everything) for name in present)]:
        plain = await devices.plain_pod(
            ctx, "plain", node, devices.list_nodes(node.kind), root=True, env=env, runtime_class=runtime_class
        )
        how = f"RuntimeClass {runtime_class or 'default'}, {' '.join(f'{k}=all' for k in env) or 'no environment'}"
        seen = await devices.report(ctx, plain, expected=f"a pod without a request runs ({how})")
        ctx.expect(f"0 device nodes ({how})", seen.one("devices"), ok=devices.count(seen) == 0)


@CHECK.negative(
    "a sibling container of the same pod sees none",
    fails_if="the container without the request sees a device",
    control=granted,
)
async def sibling(ctx: Context) -> None:
    node = devices.chosen(ctx, needs.several)
    look = script.script(ctx, devices.list_nodes(node.kind))
    manifest = pods.pod(
        ctx,
        "siblings",
        pods.Container("with", look, limits={node.resource: "1"}),
        pods.Container("without", look),
        node=node.label["kubernetes.io/hostname"],
        root=True,
    )
    pod = await ctx.create(manifest)
    await ctx.until(pod, pods.running, expected="a pod of two containers runs", within_s=90)
    counts = {name: devices.count(await script.report(ctx, pod, name, look)) for name in ("with", "without")}
    ctx.expect(
        "with the request 1, without 0",
        ", ".join(f"{k} {v}" for k, v in counts.items()),
        ok=counts == {"with": 1, "without": 0},
    )
    await ctx.delete(pod)
    await ctx.until_gone(pod, within_s=60)


@CHECK.negative(
    "a container cannot reach another's device",
    fails_if="mknod and open, the other's UUID in the environment, /proc or sysfs lead to it",
    control=granted,
)
async def another(ctx: Context) -> None:
    node, held = devices.chosen(ctx, needs.several), ctx.memo["held"]
    number, uuid = held.one("device").rpartition(" ")[2], held.one("uuid")
    tries = isolation.attempts(node.kind, number, uuid, held.one("pci"))
    intruder = await devices.holding_pod(ctx, "intruder", node, *tries, root=True)
    seen = await devices.report(ctx, intruder, expected=f"a second pod with one {node.resource} runs on {node.node}")
    isolation.judge_attempts(ctx, seen, number, uuid)
    ctx.memo["intruder"] = intruder


@CHECK.negative(
    "more devices than are free are not granted",
    fails_if="the pod is given the node although every device is held",
    control=granted,
)
async def over_request(ctx: Context) -> None:
    node = devices.chosen(ctx, needs.several)
    for number in range(node.allocatable - 2):
        filler = await devices.holding_pod(ctx, f"filler-{number}", node, "true", root=True)
        await ctx.until(filler.handle, pods.running, expected="the remaining devices are held", within_s=90)
    ctx.memo["waiting"] = await sharing.one_more(ctx, node, root=True)


@CHECK.recovery("a released device is granted again", fails_if="the waiting pod does not get it", after=over_request)
async def released(ctx: Context) -> None:
    seen = await sharing.make_room(ctx, ctx.memo["holder"], ctx.memo["waiting"])
    ctx.expect("exactly 1 device node", seen.one("devices"), ok=devices.count(seen) == 1)
    given = seen.one("uuid")
    ctx.expect("the device that was released", given, ok=given == ctx.memo["held"].one("uuid"))
