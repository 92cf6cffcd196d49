"""Devices as an exporter tells of them, held against the node's inventory and against what containers find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiconform.catalog.exporters import Exporter
from aiconform.checks._kit import devices, pods, script
from aiconform.checks._kit.devices import Probing
from aiconform.checks._kit.metrics_exporters import Device, Door, Page
from aiconform.checks._kit.script import Report
from aiconform.engine import AcceleratorNode, Context


@dataclass(frozen=True)
class Found:
    """A device as a container that holds it finds it."""

    identity: str
    model: str
    address: str
    driver: str


@dataclass(frozen=True)
class Held:
    """The devices of a node that pods of ours hold; ``spare`` is the pod that holds one alone."""

    node: AcceleratorNode
    spare: Probing
    found: Mapping[str, Found]


def complete(device: Device, exporter: Exporter) -> bool:
    """Whether utilisation and memory are told, with values that a device can have."""
    return all(metric.name in device.values and metric.sane(device.values[metric.name]) for metric in exporter.needed)


def inventory(ctx: Context, door: Door, page: Page) -> None:
    """State that a page tells of each device of its node once, with utilisation and memory."""
    exporter, node = door.exporter, door.node
    _distinct(ctx, door, page)
    _in_range(ctx, door, page)
    lacking = [name for name, device in page.devices.items() if not complete(device, exporter)]
    figures = {name: describe(device, exporter) for name, device in sorted(page.devices.items())}
    for what, metric in exporter.optional.items():
        offering = [name for name, device in page.devices.items() if metric.name in device.values]
        figures[f"{what} (optional)"] = f"offered by {len(offering)} of {len(page.devices)} devices"
    expected = node.physical
    if not node.sharing_told and 0 < len(page.devices) < expected:
        cause = f"nothing on the node tells whether its {node.allocatable} {node.resource} are as many devices"
        raise ctx.undecided(f"each device of {node.node} is told of", f"{len(page.devices)} are", cause)
    ctx.expect(
        f"{expected} device(s) of {node.node}, each with utilisation and memory, in valid text",
        f"{len(page.devices)} device(s) in {page.format} from {door.pod}"
        + (f"; without both, or out of range: {', '.join(lacking)}" if lacking else ""),
        ok=len(page.devices) == expected and not lacking and not page.nameless,
        cause=f"{page.nameless} series without {exporter.identity}" if page.nameless else "",
        figures=figures,
    )


def _distinct(ctx: Context, door: Door, page: Page) -> None:
    borrowed = sorted(set(page.devices) & door.own)
    ctx.expect(
        f"{door.exporter.identity} names a device, not the exporter",
        ", ".join(borrowed or sorted(page.devices)),
        ok=not borrowed,
    )


def _in_range(ctx: Context, door: Door, page: Page) -> None:
    wrong = [
        f"{name}: {metric.name} {device.values[metric.name]:g}"
        for name, device in sorted(page.devices.items())
        for metric in door.exporter.optional.values()
        if metric.name in device.values and not metric.sane(device.values[metric.name])
    ]
    ctx.expect("optional metrics, where there are any, are in range", "; ".join(wrong) or "none is out", ok=not wrong)


def describe(device: Device, exporter: Exporter) -> str:
    """A device's values in a line."""
    used = device.values.get(exporter.memory_used.name)
    memory = "no memory"
    if used is not None:
        memory = f"{used:g} of {_whole(device, exporter, used)} {exporter.memory_used.unit}"
    values = [(exporter.utilization, device.values.get(exporter.utilization.name))]
    values += [(metric, device.values.get(metric.name)) for metric in exporter.optional.values()]
    told = [f"{value:g} {metric.unit}" for metric, value in values if value is not None]
    names = (exporter.model, exporter.address, exporter.driver, exporter.host)
    labels = [f"{name} {device.labels[name]}" for name in names if name in device.labels]
    return "; ".join([", ".join([*told[:1], memory, *told[1:]]), ", ".join(labels)])


def _whole(device: Device, exporter: Exporter, used: float) -> str:
    """A device's memory, as far as its exporter tells."""
    if exporter.memory_total is not None and exporter.memory_total.name in device.values:
        return f"{device.values[exporter.memory_total.name]:g}"
    if exporter.memory_free is not None and exporter.memory_free.name in device.values:
        return f"{used + device.values[exporter.memory_free.name]:g}"
    return "unknown"


def one_of_each(doors: Sequence[Door]) -> list[Door]:
    """The first door for each product, shared or not: to hold every device of a large cluster would be no manners."""
    found: dict[tuple[str, str, bool], Door] = {}
    for door in doors:
        found.setdefault((door.node.resource, door.node.product, door.node.shared), door)
    return list(found.values())


async def hold(ctx: Context, nodes: Sequence[AcceleratorNode]) -> list[Held]:
    """Hold every device of some nodes (one share, where they are shared), and see what containers find."""
    made = [[await _holder(ctx, node, number) for number in _portions(node)] for node in nodes]
    held: list[Held] = []
    for node, pods_of_node in zip(nodes, made, strict=True):
        found: dict[str, Found] = {}
        for probing, number in zip(pods_of_node, _portions(node), strict=True):
            expected = f"a pod with {number} {node.resource} runs on {node.node}"
            found.update(_found(ctx, node, await devices.report(ctx, probing, expected=expected), number))
        held.append(Held(node, pods_of_node[0], found))
    return held


def _portions(node: AcceleratorNode) -> list[int]:
    """How many devices each pod on a node asks for: one that is given back for the load, and all others."""
    rest = 0 if node.shared else node.allocatable - 1
    return [1, rest] if rest else [1]


def chosen(held: Sequence[Held]) -> Held:
    """The node to load a device of: one whose devices are not shared, with most of them."""
    return max(held, key=lambda one: (not one.node.shared, len(one.found)))


async def _holder(ctx: Context, node: AcceleratorNode, number: int) -> Probing:
    by_hand = "the identities that an exporter tells, and those that containers find which hold the devices"
    devices.must_know(ctx, node.kind, "uuid_command", by_hand=by_hand)
    asked = _asked(node)
    run = script.script(ctx, *devices.look_in(node.kind), *(devices.ask_tool(*one) for one in asked.items()))
    wish = await devices.wish(ctx, "holder", node, number)
    container = pods.Container(devices.CONTAINER, run, limits=wish.limits, claims=wish.claims)
    hostname = node.label["kubernetes.io/hostname"]
    manifest = pods.pod(ctx, "holder", container, node=hostname, claims=wish.sources)
    return Probing(await ctx.create(manifest), run, node)


def _asked(node: AcceleratorNode) -> dict[str, str]:
    """Commands that tell of a container's devices, as far as the vendor table has them."""
    kind = node.kind
    commands = {
        "uuid": kind.uuid_command,
        "product": kind.product_command,
        "pci": kind.pci_command,
        "driver": kind.driver_command,
    }
    return {key: command for key, command in commands.items() if command}


def _found(ctx: Context, node: AcceleratorNode, seen: Report, number: int) -> dict[str, Found]:
    asked = _asked(node)
    columns = [seen.all(key) if key in asked else ("",) * number for key in ("uuid", "product", "pci", "driver")]
    if not seen.all("uuid") or any(len(column) != number for column in columns):
        counts = ", ".join(str(len(column)) for column in columns)
        raise ctx.undecided(f"a container with {number} device(s) names each", counts, "the container could not tell")
    return {row[0]: Found(*row) for row in zip(*columns, strict=True)}


def same(ctx: Context, door: Door, page: Page, held: Held) -> None:
    """State that the page's devices are those that containers find, and carry their properties."""
    told, found = set(page.devices), set(held.found)
    whole = not held.node.shared or held.node.physical == 1
    ctx.expect(
        f"{door.exporter.identity} of {held.node.node}: " + ("exactly " if whole else "among others ") + _names(found),
        _names(told),
        ok=told == found if whole else found <= told,
    )
    wrong: list[str] = []
    absent, agreeing, foreign = set[str](), set[str](), set[str]()
    for name in sorted(found):
        for label, value in _properties(door, held.found[name]).items():
            said = page.devices[name].labels.get(label)
            if said is None:
                absent.add(label)
            elif said.lower() == value.lower():
                agreeing.add(label)
            elif label == door.exporter.host and not _names_a_node(ctx, said):
                foreign.add(f"{label} {said} is no node's name, so not compared")
            else:
                wrong.append(f"{name} {label}: {said}, but the container finds {value}")
    model = door.exporter.model
    words = [f"{', '.join(sorted(agreeing)) or 'none'} agree", *sorted(foreign)]
    words += [f"not there: {', '.join(sorted(absent))}"] if absent else []
    ctx.expect(
        "its other labels say what the container finds" + (f", {model} at least" if model else ""),
        "; ".join(wrong) or "; ".join(words),
        ok=not wrong and model not in absent,
    )


def _properties(door: Door, found: Found) -> dict[str, str]:
    """What each label has to say; without those that the exporter does not have or the container cannot tell."""
    exporter = door.exporter
    expected = {
        exporter.model: found.model,
        exporter.address: found.address,
        exporter.driver: found.driver,
        exporter.host: door.node.node,
    }
    return {label: value for label, value in expected.items() if label and value}


def _names_a_node(ctx: Context, host: str) -> bool:
    """Whether a host is a node of the cluster: DCGM's engine may run elsewhere, and then names itself or its pod."""
    return host.lower() in {node.name.lower() for node in ctx.facts.nodes}


def _names(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"
