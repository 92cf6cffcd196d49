"""What a node says about its accelerator driver and runtime is what its containers find installed (KAR-0001)."""

from __future__ import annotations

from aiconform.catalog.accelerators import AcceleratorKind
from aiconform.checks._kit import devices, versions
from aiconform.engine import AcceleratorNode, Check, Context, kinds, needs

CHECK = Check(
    "driver_runtime_management",
    needs=(needs.accelerator("a node with an accelerator"),),
    holds=needs.holds(lambda _: True),
    limits=("Versions that DRA attributes advertise are not compared: no driver in the vendor table offers them yet.",),
    rights=("create delete list watch pods", "get nodes pods/log"),
    usual_s=9,
)


@CHECK.positive(
    "what every node advertises is what a container on it finds",
    fails_if="a node advertises no version, or another than its container's driver and runtime answer",
    timeout_s=300,
)
async def advertised_is_installed(ctx: Context) -> None:
    for node in ctx.facts.accelerators:
        await _compare(ctx, node)


async def _compare(ctx: Context, node: AcceleratorNode) -> None:
    kind, labels = await _advertised(ctx, node)
    probing = await devices.holding_pod(ctx, "driver", node, *devices.every_answer(kind))
    seen = await devices.report(ctx, probing, expected=f"a pod with one {node.resource} runs on {node.node}")
    ctx.expect("exactly one device node", f"{seen.one('devices')} on {node.node}", ok=devices.count(seen) == 1)
    ok = seen.one("driver_exit") == "0" and seen.one("tool") not in ("", "none")
    ctx.expect(f"{kind.tool} is injected and answers", f"{seen.one('tool')}, exit {seen.one('driver_exit')}", ok=ok)
    for what, label in (("driver", kind.driver_label), ("runtime", kind.runtime_label)):
        advertised, installed = labels[label], seen.one(what)
        ctx.expect(
            f"{what} {advertised} as label {label} of {node.node} advertises",
            installed or f"no single {what} version",
            ok=seen.one(f"{what}_exit") == "0" and versions.equal(advertised, installed),
            figures={"advertised": advertised, "installed": installed},
        )


async def _advertised(ctx: Context, node: AcceleratorNode) -> tuple[AcceleratorKind, dict[str, str]]:
    """What the node itself says now, not what discovery saw."""
    kind, found = node.kind, await ctx.read_named(kinds.NODE, node.node)
    labels = found["metadata"].get("labels") or {}
    for label in (kind.driver_label, kind.runtime_label):
        told = labels.get(label, "")
        ctx.expect(f"{node.node} advertises {label}", told or "nothing", ok=versions.numeric(told))
    runtime = str(found["status"]["nodeInfo"].get("containerRuntimeVersion", ""))
    name, _, version = runtime.partition("://")
    ctx.expect(f"{node.node} names its container runtime as name://version", runtime, ok=bool(name and version))
    return kind, labels


@CHECK.negative(
    "without a request the same image has no driver",
    fails_if="the image brings the tool itself, so nothing was shown about the node",
    control=advertised_is_installed,
)
async def image_has_none(ctx: Context) -> None:
    node, kind = ctx.facts.accelerators[0], ctx.facts.accelerators[0].kind
    probing = await devices.plain_pod(ctx, "plain", node, devices.list_nodes(kind), devices.has_tool(kind))
    seen = await devices.report(ctx, probing, expected=f"a pod without a request runs on {node.node}")
    ctx.expect(
        f"no {kind.tool} and no device node",
        f"{seen.one('tool')}, {seen.one('devices')} device nodes",
        ok=seen.one("tool") == "none" and devices.count(seen) == 0,
    )
