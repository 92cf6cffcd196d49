"""A sandboxed runtime keeps workloads from the node's kernel, processes, memory, files and network (KAR-0020)."""

from __future__ import annotations

from aiconform.checks._kit import sandbox
from aiconform.engine import Check, Context, kinds

CHECK = Check(
    "workload_sandboxing",
    needs=(sandbox.offered,),
    limits=(
        "One RuntimeClass is looked at, on one node.",
        "That pods without a sandbox cannot break out, and that nobody can leave the sandbox, is not tried.",
    ),
    # reading memory is tried as root, with the runtime's default capabilities, which the restricted standard drops
    pod_security="baseline",
    rights=("create delete get list watch pods", "get nodes pods/log runtimeclasses.node.k8s.io"),
)


@CHECK.positive(
    "a pod in the sandbox has another kernel than a plain pod beside it",
    fails_if="it does not start, or tells the same kernel as the node and the plain pod",
    timeout_s=360,
)
async def kernel(ctx: Context) -> None:
    looking = ctx.memo["pod"] = await sandbox.sandboxed_pod(ctx, "sandboxed")
    placed = await sandbox.started(ctx, looking, expected=f"a pod under {sandbox.promised(ctx.facts)[0]} runs")
    node = await ctx.read_named(kinds.NODE, placed["spec"]["nodeName"])
    beside = await sandbox.plain_pod(ctx, "plain", node)
    await sandbox.started(ctx, beside, expected="a plain pod runs on the same node")
    plain = ctx.memo["plain"] = await sandbox.told(ctx, beside)
    sandbox.on_the_nodes_kernel(ctx, node, plain)
    seen = ctx.memo["seen"] = await sandbox.told(ctx, looking)
    sandbox.on_another_kernel(ctx, seen, plain)


@CHECK.negative("it sees no process of the node", fails_if="a daemon of the node is under /proc", control=kernel)
async def processes(ctx: Context) -> None:
    found = (await sandbox.told(ctx, ctx.memo["pod"])).all("process")
    if "sh" not in found:
        raise ctx.undecided("its own shell is under /proc", ", ".join(found) or "nothing", "it cannot see processes")
    daemons = sorted(name for name in found if sandbox.DAEMONS.fullmatch(name))
    ctx.expect("no daemon of the node under /proc", ", ".join(daemons or sorted(set(found))), ok=not daemons)


@CHECK.negative(
    "it reads no memory of the node",
    fails_if="a byte comes from /dev/mem, /dev/kmem or a device node that it made itself",
    control=kernel,
)
async def memory(ctx: Context) -> None:
    seen = await sandbox.told(ctx, ctx.memo["pod"])
    read = sandbox.count(seen.all("memory"))
    if sandbox.count(seen.all("control")) != {"/dev/zero": 1} or len(read) != len(sandbox.MEMORY) + 1:
        raise ctx.undecided("a byte comes from /dev/zero", f"{read}", "it did not tell what it could read")
    leaks = [name for name, number in read.items() if number]
    ctx.expect("no byte of the node's memory", f"read from: {', '.join(leaks) or 'nothing'}", ok=not leaks)


@CHECK.negative("it finds no file of the node", fails_if="a directory or socket of the node is there", control=kernel)
async def files(ctx: Context) -> None:
    seen = await sandbox.told(ctx, ctx.memo["pod"])
    if not seen.says("own"):
        raise ctx.undecided("its own /etc/hosts is found", "nothing", "it did not tell what files it finds")
    found = seen.all("file")
    ctx.expect(f"none of {', '.join(sandbox.FILES)}", ", ".join(found) or "none of them", ok=not found)


@CHECK.negative("it sees no bridge of the node", fails_if="a network interface of the node is there", control=kernel)
async def network(ctx: Context) -> None:
    found = (await sandbox.told(ctx, ctx.memo["pod"])).all("link")
    if not [name for name in found if name != "lo"]:
        raise ctx.undecided("its own interface is there", ", ".join(found) or "nothing", "it told no interface")
    bridges = sorted(name for name in found if sandbox.LINKS.fullmatch(name))
    ctx.expect("no bridge or cable end of the node", ", ".join(bridges or found), ok=not bridges)


@CHECK.recovery(
    "a sandbox that is deleted goes, and the next one works",
    fails_if="its pod stays, or the next one does not start or is on the node's kernel",
    after=kernel,
    timeout_s=360,
)
async def again(ctx: Context) -> None:
    first = ctx.memo["pod"]
    await ctx.delete(first.handle)
    await ctx.until_gone(first.handle, within_s=90)
    following = await sandbox.sandboxed_pod(ctx, "next")
    await sandbox.started(ctx, following, expected="the next pod in the sandbox runs")
    sandbox.on_another_kernel(ctx, await sandbox.told(ctx, following), ctx.memo["plain"])
