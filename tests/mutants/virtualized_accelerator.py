"""Broken virtual devices: one that does not work, one too many, one that is never given again."""

from __future__ import annotations

from tests.mutants.contract import Kill, Mutant
from tests.mutants.gpu_sharing import NO_TOOL
from tests.mutants.nodes import binds_anyway, runtime, stops_once

NODE = "vgpu-0"

MUTANTS = (
    Mutant(
        "virtualized_accelerator",
        "the runtime leaves the driver's tool out of a pod with a virtual device",
        lambda cluster: runtime(cluster, NODE, f'if pod.startswith("share-1"): {NO_TOOL}'),
        {"virtual_devices": Kill("failed", "health command")},
        profile="vgpu",
    ),
    Mutant(
        "virtualized_accelerator",
        "somebody binds pods to the node although every virtual device is taken",
        lambda cluster: binds_anyway(cluster, "one-more", NODE),
        {"one_more": Kill("failed", "was given node vgpu-0")},
        profile="vgpu",
    ),
    Mutant(
        "virtualized_accelerator",
        "the scheduler stops once it has refused a pod",
        lambda cluster: stops_once(cluster, "kube-scheduler", "one-more"),
        {"room_appears": Kill("undecided", "Insufficient nvidia.com/gpu")},
        profile="vgpu",
    ),
)
