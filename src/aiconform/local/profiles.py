"""What the nodes of a local cluster are: plain data, one profile per kind of cluster.

To try another shape of cluster, add a :class:`Profile` to :data:`PROFILES`; nothing else knows node names or
accelerators by heart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aiconform.errors import UsageError

CONTROL = "control"
"""Name of the node that also runs the control plane. Its network namespace holds the bridge all nodes hang on."""


@dataclass(frozen=True)
class DeviceNode:
    """A character device made in a node's private ``/dev``.

    Args:
        path: absolute path inside the node, for example ``/dev/nvidia0``.
        major: device major number; simulated devices use the range for local use, 240 to 254.
        minor: device minor number.
        mode: permission bits.
    """

    path: str
    major: int
    minor: int
    mode: int = 0o666


@dataclass(frozen=True)
class BindMount:
    """A directory or file of the host shown at ``target`` inside a node."""

    source: Path
    target: str
    read_only: bool = True


@dataclass(frozen=True)
class NodeFile:
    """A small text file written inside a node, below ``/etc``, ``/run``, ``/var`` or ``/opt`` (all private there)."""

    path: str
    content: str
    mode: int = 0o644


@dataclass(frozen=True)
class NodeExtras:
    """What simulated accelerators add to a node before its container runtime starts.

    ``environment`` is given to containerd, kubelet and everything they start, ``labels`` to the Node object.
    """

    devices: tuple[DeviceNode, ...] = ()
    mounts: tuple[BindMount, ...] = ()
    files: tuple[NodeFile, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Accelerators:
    """The simulated accelerators of one node.

    Args:
        model: product name as the driver library tells it, for example ``Tesla T4``.
        count: how many devices.
        time_slices: how many pods may share one device; 1 is exclusive use.
        virtual: the devices are virtual GPUs, as a hypervisor hands them to a guest.
        dra: the DRA example driver runs on this node too.
    """

    model: str
    count: int
    time_slices: int = 1
    virtual: bool = False
    dra: bool = False


@dataclass(frozen=True)
class NodeSpec:
    """One node.

    Args:
        name: node name, also its host name.
        labels: labels of the Node object from its first registration.
        accelerators: simulated accelerators, if any.
        memory_bytes: memory that the node reports; None is the machine's.
        provider_id: what an autoscaler knows the node by; empty: a name of ours.
        pool: the pool that makes it while the cluster runs; empty for a node of the profile.
        taints: keys of taints of the Node object from its first registration, all ``NoSchedule``.
    """

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    accelerators: Accelerators | None = None
    memory_bytes: int | None = None
    provider_id: str = ""
    pool: str = ""
    taints: tuple[str, ...] = ()


@dataclass(frozen=True)
class Profile:
    """A kind of local cluster; the first node runs the control plane."""

    name: str
    nodes: tuple[NodeSpec, ...]
    summary: str = ""


PROFILES: Mapping[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            "default",
            (
                NodeSpec(CONTROL),
                NodeSpec("gpu-0", accelerators=Accelerators("Tesla T4", count=2, dra=True)),
                NodeSpec("gpu-1", accelerators=Accelerators("Tesla T4", count=1, time_slices=4)),
            ),
            "one node with two exclusive T4, one with a T4 shared by four",
        ),
        Profile(
            "vgpu",
            (
                NodeSpec(CONTROL),
                NodeSpec("gpu-0", accelerators=Accelerators("Tesla T4", count=2, dra=True)),
                NodeSpec("vgpu-0", accelerators=Accelerators("GRID T4-4Q", count=2, virtual=True)),
            ),
            "one node with two exclusive T4, one with two virtual GPUs",
        ),
        Profile("plain", (NodeSpec(CONTROL),), "the control plane alone, no accelerators"),
    )
}


def profile(name: str) -> Profile:
    """The profile of that name.

    Raises:
        UsageError: there is none.
    """
    try:
        return PROFILES[name]
    except KeyError:
        raise UsageError(
            f"unknown profile {name!r}",
            hint="profiles: " + ", ".join(f"{p.name} ({p.summary})" for p in PROFILES.values()),
        ) from None
