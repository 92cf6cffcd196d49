"""Broken isolation: devices that leak, a kernel fence that is open, pods bound past the scheduler."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.mutants.contract import Kill, Mutant
from tests.mutants.nodes import binds_anyway, runtime, stops_once

from aiconform.local import Cluster
from aiconform.local.addons import nvidia

NODE = "gpu-0"
RUNTIME_CONFIG = "/etc/nvidia-container-runtime/config.toml"
SETTING = "accept-nvidia-visible-devices-envvar-when-unprivileged"
AS_MOUNTS = "accept-nvidia-visible-devices-as-volume-mounts"
_STRATEGY = "DEVICE_LIST_STRATEGY"

_BOTH = 'if pod.startswith("holder"): give(spec, "/dev/nvidia0"); give(spec, "/dev/nvidia1")'
_SIBLING = 'if container == "without": give(spec, "/dev/nvidia0")'
_OPEN = 'if pod.startswith("intruder"): allow(spec, device("/dev/nvidia0")["major"])'


@contextmanager
def obliging(cluster: Cluster) -> Iterator[None]:
    """A vendor's runtime that gives devices to whoever names them in the environment."""
    cluster.enter(NODE, ["sed", "-i", f"s/^{SETTING} = false/{SETTING} = true/", RUNTIME_CONFIG])
    try:
        yield
    finally:
        cluster.enter(NODE, ["sed", "-i", f"s/^{SETTING} = true/{SETTING} = false/", RUNTIME_CONFIG])


@contextmanager
def only_by_class(cluster: Cluster) -> Iterator[None]:
    """As k3s and RKE2 have it: devices are the vendor's runtime's to give, and it is not the default."""
    _given(cluster, "volume-mounts", as_mounts="true")
    try:
        yield
    finally:
        _given(cluster, "cdi-cri", as_mounts="false")


def _given(cluster: Cluster, strategy: str, *, as_mounts: str) -> None:
    for node in ("gpu-0", "gpu-1"):
        cluster.enter(node, ["sed", "-i", f"s/^{AS_MOUNTS} = .*/{AS_MOUNTS} = {as_mounts}/", RUNTIME_CONFIG])
    space, plugin = f"--namespace={nvidia.NAMESPACE}", "daemonset/nvidia-device-plugin"
    cluster.kubectl(space, "set", "env", plugin, "--containers=nvidia-device-plugin-ctr", f"{_STRATEGY}={strategy}")
    cluster.kubectl(space, "rollout", "status", plugin, "--timeout=120s")


MUTANTS = (
    Mutant(
        "secure_accelerator_access",
        "the runtime shows a container with a request every device of the node",
        lambda cluster: runtime(cluster, NODE, _BOTH),
        {"granted": Kill("failed", "exactly 1 device node")},
    ),
    Mutant(
        "secure_accelerator_access",
        "pods are given devices under a RuntimeClass alone, and the run was not told so",
        only_by_class,
        {"granted": Kill("undecided", "run with --runtime-class nvidia")},
    ),
    Mutant(
        "secure_accelerator_access",
        "the vendor's runtime obeys the environment of whoever asks",
        obliging,
        {"not_granted": Kill("failed", "RuntimeClass nvidia")},
    ),
    Mutant(
        "secure_accelerator_access",
        "the runtime gives a pod's device to its other container too",
        lambda cluster: runtime(cluster, NODE, _SIBLING),
        {"sibling": Kill("failed", "without 1")},
    ),
    Mutant(
        "secure_accelerator_access",
        "the kernel's fence lets a container open every accelerator",
        lambda cluster: runtime(cluster, NODE, _OPEN),
        {"another": Kill("failed", "cannot be opened by mknod")},
    ),
    Mutant(
        "secure_accelerator_access",
        "somebody binds pods to the node although every device is held",
        lambda cluster: binds_anyway(cluster, "one-more", NODE),
        {"over_request": Kill("failed", "was given node gpu-0")},
    ),
    Mutant(
        "secure_accelerator_access",
        "the scheduler stops once it has refused a pod",
        lambda cluster: stops_once(cluster, "kube-scheduler", "one-more"),
        {"released": Kill("undecided", "Insufficient nvidia.com/gpu")},
    ),
)
