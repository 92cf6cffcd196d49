"""Broken sharing: shares that are not there, pods that do not get the device, a queue that nobody serves."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack

from tests.mutants.breaking import labelled
from tests.mutants.contract import Kill, Mutant
from tests.mutants.nodes import binds_anyway, runtime, stops_once

from aiconform.local import Cluster

NODE = "gpu-1"
COUNT, REPLICAS = "nvidia.com/gpu.count", "nvidia.com/gpu.replicas"

NO_TOOL = 'spec["mounts"] = [m for m in spec["mounts"] if not m["destination"].endswith("/nvidia-smi")]'


def _two_of_two(cluster: Cluster) -> AbstractContextManager[object]:
    stack = ExitStack()
    stack.enter_context(labelled(cluster, NODE, COUNT, "2"))
    stack.enter_context(labelled(cluster, NODE, REPLICAS, "2"))
    return stack


MUTANTS = (
    Mutant(
        "gpu_sharing",
        "a node's label promises more shares than it offers",
        lambda cluster: labelled(cluster, NODE, REPLICAS, "6"),
        {"offered": Kill("failed", "4 on gpu-1")},
    ),
    Mutant(
        "gpu_sharing",
        "labels promise two devices of two shares where one of four is",
        _two_of_two,
        {"together": Kill("failed", "behind 4 pods")},
    ),
    Mutant(
        "gpu_sharing",
        "the runtime leaves the driver's tool out of a pod with a share",
        lambda cluster: runtime(cluster, NODE, f'if pod.startswith("share-2"): {NO_TOOL}'),
        {"together": Kill("failed", "health command")},
    ),
    Mutant(
        "gpu_sharing",
        "somebody binds pods to the node although every share is taken",
        lambda cluster: binds_anyway(cluster, "one-more", NODE),
        {"one_more": Kill("failed", "was given node gpu-1")},
    ),
    Mutant(
        "gpu_sharing",
        "the scheduler stops once it has refused a pod",
        lambda cluster: stops_once(cluster, "kube-scheduler", "one-more"),
        {"room_appears": Kill("undecided", "Insufficient nvidia.com/gpu")},
    ),
)
