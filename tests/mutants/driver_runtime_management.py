"""Broken advertising: labels that are not true, and an image that brings what the node should."""

from __future__ import annotations

from tests.mutants.breaking import labelled, patched
from tests.mutants.contract import Kill, Mutant
from tests.mutants.nodes import runtime

DRIVER = "nvidia.com/cuda.driver-version.full"

_TOOL = (
    'if pod.startswith("plain"): spec["mounts"].append('
    '{"destination": "/usr/bin/nvidia-smi", "type": "bind", "source": "/bin/true", "options": ["bind", "ro"]})'
)

MUTANTS = (
    Mutant(
        "driver_runtime_management",
        "a node's label names another driver than is installed",
        lambda cluster: labelled(cluster, "gpu-0", DRIVER, "570.86.15"),
        {"advertised_is_installed": Kill("failed", "570.86.15")},
    ),
    Mutant(
        "driver_runtime_management",
        "a node does not say which driver it has",
        lambda cluster: patched(cluster, {"metadata": {"labels": {DRIVER: None}}}, "node/gpu-0"),
        {"advertised_is_installed": Kill("undecided", "gpu-0 does not advertise its driver")},
    ),
    Mutant(
        "driver_runtime_management",
        "containers find the driver's tool although they asked for nothing",
        lambda cluster: runtime(cluster, "gpu-0", _TOOL),
        {"image_has_none": Kill("failed", "no nvidia-smi and no device node")},
    ),
)
