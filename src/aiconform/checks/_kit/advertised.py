"""What a node advertises of its driver and runtime: attributes of DRA devices first, else node labels (KAR-0001)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiconform.checks._kit import versions
from aiconform.checks._kit.script import Report
from aiconform.engine import AcceleratorNode, Context, kinds, slices

Obj = dict[str, Any]

BY_HAND = (
    "the versions of driver and runtime that each node advertises, and the same versions as a container answers them "
    "that asks for one device and whose image has no driver"
)


@dataclass(frozen=True)
class Version:
    """An advertised version, and where it was read; empty where nothing advertises it."""

    value: str
    source: str


async def by(ctx: Context, node: AcceleratorNode) -> Mapping[str, Version]:
    """What is advertised of ``driver`` and ``runtime`` now, not what discovery saw.

    Raises:
        StopProbe: an advertised version is no version, devices disagree, or the container runtime has no name (failed).
    """
    found = await ctx.read_named(kinds.NODE, node.node)
    labels = found["metadata"].get("labels") or {}
    attributes = await _attributes(ctx, node, found)
    told: dict[str, Version] = {}
    for what, label in (("driver", node.kind.driver_label), ("runtime", node.kind.runtime_label)):
        version = attributes.get(what) or Version(labels.get(label, "") if label else "", f"label {label}")
        told[what] = version
        if version.value:
            expected = f"{node.node} advertises {version.source.removeprefix('label ')}"
            ctx.expect(expected, version.value, ok=versions.numeric(version.value))
    runtime = str(found["status"]["nodeInfo"].get("containerRuntimeVersion", ""))
    name, _, number = runtime.partition("://")
    ctx.expect(f"{node.node} names its container runtime as name://version", runtime, ok=bool(name and number))
    return told


async def _attributes(ctx: Context, node: AcceleratorNode, found_node: Obj) -> dict[str, Version]:
    """Versions by the devices of the node's own slices; empty where its vendor's driver has none there."""
    dra = node.kind.dra
    if dra is None or dra.driver not in {driver.name for driver in ctx.facts.dra}:
        return {}
    specs = slices.current(dra.driver, await ctx.list(kinds.RESOURCE_SLICE, fields=f"spec.driver={dra.driver}"))
    every = [(spec, device) for spec in specs for device in spec.get("devices") or []]
    devices = [device for spec, device in every if slices.on_node(spec, device, found_node)]
    if node.claimed:
        ctx.expect(f"{dra.driver} has devices of {node.node} in its slices", f"{len(devices)}", ok=bool(devices))
    found: dict[str, Version] = {}
    for what, name in (("driver", dra.driver_attribute), ("runtime", dra.runtime_attribute)):
        values = {slices.attribute(device, name) for device in devices if slices.whole(dra, device)} - {""}
        if name and values:
            expected = f"the devices of {node.node} agree on {name}"
            ctx.expect(expected, ", ".join(sorted(values)), ok=len(values) == 1)
            found[what] = Version(values.pop(), f"DRA attribute {name}")
    return found


def same(ctx: Context, node: AcceleratorNode, told: Mapping[str, Version], seen: Report) -> None:
    """State that what a container finds is what is advertised.

    Raises:
        StopProbe: it is not (failed), or nothing is advertised to compare it with (undecided).
    """
    silent = []
    for what, version in told.items():
        installed = seen.one(what)
        if not version.value:
            silent.append(what)
            continue
        if not seen.says(f"{what}_exit"):
            continue  # nobody knows how a container would tell: the caller says so
        ctx.expect(
            f"{what} {version.value} as {version.source} of {node.node} advertises",
            installed or f"no single {what} version",
            ok=seen.one(f"{what}_exit") == "0" and versions.equal(version.value, installed),
            figures={"advertised": version.value, "installed": installed},
        )
    if silent:
        sources = [told[what].source for what in silent if told[what].source != "label None"]
        where = f" (no {', '.join(sources)})" if sources else ""
        cause = f"{node.node} does not advertise its {' and '.join(silent)}{where}; show by hand: {BY_HAND}"
        raise ctx.undecided(f"{node.node} advertises driver and runtime", f"nothing of {', '.join(silent)}", cause)
