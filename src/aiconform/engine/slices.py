"""What DRA drivers offer: a pure function of DeviceClasses, ResourceSlices and Nodes (KEP-4381).

A device counts if it is in the newest generation of its pool, the pool is complete, no taint keeps claims off it, and a
Ready node that takes our pods can reach it. A driver counts if there is also a DeviceClass that means its devices.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from aiconform.catalog import accelerators as vendors
from aiconform.catalog.accelerators import AcceleratorKind, Dra
from aiconform.engine import nodeviews
from aiconform.engine.nodeviews import Obj
from aiconform.engine.offers import AcceleratorNode

_SEVERAL = "several nodes"


@dataclass(frozen=True)
class DraDriver:
    """A DRA driver of the vendor tables with devices on nodes that pods can use; ``ids`` are these as pool/name."""

    name: str
    device_class: str
    devices: int
    nodes: tuple[str, ...]
    simulated: str
    ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Device:
    """A device that a claim can be given, and the usable nodes that reach it; one for most, several for pools."""

    obj: Obj
    id: str
    local: bool
    nodes: tuple[str, ...]


def drivers(classes: Sequence[Obj], slices: Sequence[Obj], nodes: Mapping[str, Obj]) -> list[DraDriver]:
    """Drivers of the tables whose devices can be claimed, by name."""
    found = []
    for dra in _known(slices):
        devices, name = _devices(dra, slices, nodes), _class(dra, classes)
        if devices and name:
            where = {device.nodes[0] if device.local else _SEVERAL for device in devices}
            ids = tuple(device.id for device in devices)
            found.append(DraDriver(dra.driver, name, len(devices), tuple(sorted(where)), dra.simulated, ids))
    return found


def accelerators(classes: Sequence[Obj], slices: Sequence[Obj], nodes: Mapping[str, Obj]) -> list[AcceleratorNode]:
    """Accelerators that can be claimed and that containers find as device nodes, by node."""
    found = []
    for dra in _known(slices):
        kind, name = vendors.by_driver(dra.driver), _class(dra, classes)
        if kind is None or not name or not dra.device_nodes:
            continue
        by_node: dict[str, list[_Device]] = {}
        for device in _devices(dra, slices, nodes):
            if not device.obj.get("allowMultipleAllocations"):  # else it may be another claim's too
                by_node.setdefault(_preferred(device, kind, nodes), []).append(device)
        found += [_node(kind, dra, name, nodes[where], devices) for where, devices in sorted(by_node.items())]
    return found


def unknown(slices: Sequence[Obj]) -> list[str]:
    """Drivers that are in no table and not known to be something else."""
    names = sorted({str(item["spec"]["driver"]) for item in slices})
    strange = [name for name in names if vendors.by_driver(name) is None and not vendors.other_driver(name)]
    return [f"devices of DRA driver {name}" for name in strange]


def attribute(device: Obj, name: str) -> str:
    """An attribute of a device as text; empty if it has none."""
    value = (device.get("attributes") or {}).get(name) or {}
    return next((str(value[form]) for form in ("string", "version", "int", "bool") if form in value), "")


def on_node(spec: Obj, device: Obj, node: Obj) -> bool:
    """Whether a node reaches a device of a slice."""
    place = device if spec.get("perDeviceNodeSelection") else spec
    if place.get("nodeName"):
        return bool(place["nodeName"] == nodeviews.name(node))
    if place.get("nodeSelector"):
        return nodeviews.selected(place["nodeSelector"], node)
    return bool(place.get("allNodes"))


def current(driver: str, slices: Sequence[Obj]) -> list[Obj]:
    """Specs of the slices of a driver's pools, each pool's newest generation, where it is complete."""
    mine = [item["spec"] for item in slices if item["spec"]["driver"] == driver]
    return [spec for pool in _newest_pools(mine) for spec in pool]


def whole(dra: Dra, device: Obj) -> bool:
    """Whether a device is one of its own, not a part of another."""
    return not dra.kind_attribute or attribute(device, dra.kind_attribute) in dra.whole


def _known(slices: Sequence[Obj]) -> list[Dra]:
    kinds = [vendors.by_driver(name) for name in sorted({str(item["spec"]["driver"]) for item in slices})]
    return [kind.dra for kind in kinds if kind is not None and kind.dra is not None]


def _class(dra: Dra, classes: Sequence[Obj]) -> str:
    """The DeviceClass that means whole devices of a driver; empty if there is none."""
    there = {nodeviews.name(item): item for item in classes}
    named = [name for name in dra.classes if name in there]
    other = [name for name in sorted(there) if name not in dra.part_classes and _selects(there[name], dra.driver)]
    return next(iter([*named, *other]), "")


def _selects(device_class: Obj, driver: str) -> bool:
    selectors = device_class.get("spec", {}).get("selectors") or []
    texts = [str((found.get("cel") or {}).get("expression", "")) for found in selectors]
    return any(f"'{driver}'" in text or f'"{driver}"' in text for text in texts)


def _devices(dra: Dra, slices: Sequence[Obj], nodes: Mapping[str, Obj]) -> list[_Device]:
    open_nodes = [node for _, node in sorted(nodes.items()) if nodeviews.usable(node)]
    found = []
    for spec in current(dra.driver, slices):
        for device in spec.get("devices") or []:
            if _tainted(device) or not whole(dra, device):
                continue
            reaching = tuple(nodeviews.name(node) for node in open_nodes if on_node(spec, device, node))
            place = device if spec.get("perDeviceNodeSelection") else spec
            if reaching:
                name = f"{spec['pool']['name']}/{device['name']}"
                found.append(_Device(device, name, bool(place.get("nodeName")), reaching))
    return found


def _tainted(device: Obj) -> bool:
    return any(taint.get("effect") != "None" for taint in device.get("taints") or [])


def _newest_pools(specs: list[Obj]) -> Iterable[list[Obj]]:
    for name in sorted({spec["pool"]["name"] for spec in specs}):
        pool = [spec for spec in specs if spec["pool"]["name"] == name]
        newest = max(int(spec["pool"].get("generation", 0)) for spec in pool)
        latest = [spec for spec in pool if int(spec["pool"].get("generation", 0)) == newest]
        if len(latest) == int(latest[0]["pool"].get("resourceSliceCount", 1)):
            yield latest


def _preferred(device: _Device, kind: AcceleratorKind, nodes: Mapping[str, Obj]) -> str:
    """Where a device is looked for: of several nodes, one whose device plugin shows that it has such devices."""

    def without(name: str) -> bool:
        return not any(nodeviews.offered(nodes[name], resource) for resource in kind.resources)

    return min(device.nodes, key=lambda name: (without(name), name))


def _node(kind: AcceleratorKind, dra: Dra, device_class: str, node: Obj, devices: list[_Device]) -> AcceleratorNode:
    labels = nodeviews.labels(node)
    told = attribute(devices[0].obj, dra.product_attribute)
    return AcceleratorNode(
        node=nodeviews.name(node),
        resource=dra.driver,
        allocatable=len(devices),
        kind=kind,
        product=told or labels.get(kind.product_label or "", ""),
        physical=len(devices),
        replicas=1,
        strategy="",
        virtual=vendors.virtual(labels),
        simulated=dra.simulated or vendors.simulated_node(labels),
        labels=tuple(sorted(labels.items())),
        device_class=device_class,
        devices=tuple(device.id for device in devices),
    )
