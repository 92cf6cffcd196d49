"""Nodes, DeviceClasses and ResourceSlices as vendors document them, and what discovery makes of them."""

from __future__ import annotations

from typing import Any

from aiconform.engine.allocation import Mode
from aiconform.engine.facts import Facts, gather

Obj = dict[str, Any]


def node(name: str, allocatable: Obj | None = None, labels: Obj | None = None, **spec: Any) -> Obj:
    """A Ready node."""
    return {
        "metadata": {"name": name, "uid": name, "labels": {"kubernetes.io/hostname": name, **(labels or {})}},
        "spec": spec,
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "allocatable": {"cpu": "8", "memory": "16Gi", "hugepages-1Gi": "0", **(allocatable or {})},
        },
    }


def device_class(name: str, driver: str = "", extended: str = "") -> Obj:
    """A DeviceClass whose selector names a driver, by default the one it is called after."""
    spec: Obj = {"selectors": [{"cel": {"expression": f"device.driver == '{driver or name}'"}}]}
    if extended:
        spec["extendedResourceName"] = extended
    return {"metadata": {"name": name}, "spec": spec}


def device(name: str, taints: list[Obj] | None = None, **attributes: Obj) -> Obj:
    """A device of a slice; attributes as ``{"string": ...}``."""
    return {"name": name, "attributes": attributes, **({"taints": taints} if taints else {})}


def resource_slice(
    driver: str, *devices: Obj, pool: str = "a", generation: int = 1, count: int = 1, **where: Any
) -> Obj:
    """A ResourceSlice, of node ``a`` unless told otherwise."""
    place = where or {"nodeName": "a"}
    about = {"name": pool, "generation": generation, "resourceSliceCount": count}
    return {"spec": {"driver": driver, "pool": about, "devices": list(devices), **place}}


def facts(
    *nodes: Obj,
    classes: list[Obj] | None = None,
    slices: list[Obj] | None = None,
    gaps: tuple[str, ...] = (),
    allocation: Mode = "auto",
) -> Facts:
    """What discovery makes of these."""
    return gather(
        version={"gitVersion": "v1.35.3"},
        nodes=list(nodes),
        system={"metadata": {"uid": "1"}},
        groups={"groups": [{"versions": [{"groupVersion": "resource.k8s.io/v1"}]}]},
        device_classes=classes or [],
        slices=slices or [],
        runtime_classes=[],
        workloads=[],
        gaps=gaps,
        node_pools=[],
        autoscaler_status=None,
        options={"allocation": allocation},
    )
