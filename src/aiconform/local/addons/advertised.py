"""Whether the accelerators of a profile's nodes are advertised yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aiconform.local.addons import dra, nvidia
from aiconform.local.profiles import NodeSpec

PRODUCT_LABEL = f"{nvidia.RESOURCE}.product"
"""Set by gpu-feature-discovery once it has asked the driver."""


def missing(
    specs: Iterable[NodeSpec], nodes: Iterable[Mapping[str, Any]], slices: Iterable[Mapping[str, Any]]
) -> list[str]:
    """What is still missing, one phrase each; empty when everything is advertised.

    Args:
        specs: the nodes as they should be.
        nodes: Node objects.
        slices: ResourceSlice objects.
    """
    by_name = {node["metadata"]["name"]: node for node in nodes}
    shared = {item["spec"].get("nodeName") for item in slices if item["spec"]["driver"] == dra.DRIVER}
    found: list[str] = []
    for spec in specs:
        if spec.accelerators is None:
            continue
        node = by_name.get(spec.name, {})
        wanted = spec.accelerators.count * spec.accelerators.time_slices
        allocatable = node.get("status", {}).get("allocatable", {}).get(nvidia.RESOURCE, "0")
        if allocatable != str(wanted):
            found.append(f"{nvidia.RESOURCE} on {spec.name} ({allocatable} of {wanted})")
        if PRODUCT_LABEL not in node.get("metadata", {}).get("labels", {}):
            found.append(f"labels of {spec.name}")
        if spec.accelerators.dra and spec.name not in shared:
            found.append(f"DRA devices of {spec.name}")
    return found
