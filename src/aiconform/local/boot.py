"""Writes everything a new local cluster starts from: keys, kubeconfig, and one launch file per node."""

from __future__ import annotations

import dataclasses
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aiconform.local import controlplane, node
from aiconform.local.controlplane import ClusterKeys
from aiconform.local.launch import INSIDE, Bind, Device, File, Launch
from aiconform.local.profiles import CONTROL, NodeExtras, NodeSpec
from aiconform.local.state import ClusterState, Home, NodeState, base_directory, write_atomically

CONTROL_PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
NODE_PROGRAMS = (
    "containerd",
    "containerd-shim-runc-v2",
    "ctr",
    "runc",
    "kubelet",
    "kube-proxy",
    "bridge",
    "host-local",
    "loopback",
    "portmap",
)
PROGRAMS = (*CONTROL_PROGRAMS, *NODE_PROGRAMS, "kubectl")
"""Every program a local cluster runs, and ours to talk to it."""


@dataclass(frozen=True)
class Parts:
    """What a cluster is put together from.

    Args:
        programs: path of each program by name; more than :data:`PROGRAMS` are shown to nodes too.
        images: path of each image archive by a short name; the first is the sandbox image.
        extras: what simulated accelerators add, by node name.
    """

    programs: Mapping[str, Path]
    images: Mapping[str, Path]
    extras: Mapping[str, NodeExtras]


def write(home: Home, state: ClusterState, specs: Mapping[str, NodeSpec], parts: Parts, listener: int) -> None:
    """Write the cluster's files.

    Args:
        home: where to.
        state: the cluster.
        specs: the nodes by name.
        parts: programs, images, accelerators.
        listener: descriptor of the machine's loopback socket for the API server.

    Raises:
        OSError: a file cannot be written, for example because the disk is full.
    """
    for directory in (home.pki, home.logs, home.directory / "shared"):
        directory.mkdir(mode=0o700, exist_ok=True)
    control = state.nodes[0]
    keys = ClusterKeys(control)
    keys.write_control_plane(home.pki)
    admin = keys.kubeconfig(
        f"aiconform:{home.name}", ("system:masters",), server=f"https://127.0.0.1:{state.port}"
    )
    write_atomically(home.kubeconfig, admin.replace("name: aiconform\n", f"name: aiconform-{home.name}\n"))
    for place in state.nodes:
        launch = _launch(home, place, specs[place.name], keys, parts, listener)
        write_atomically(home.node(place.name) / "launch.json", launch.to_json())
    home.write(state)


def _launch(
    home: Home, place: NodeState, spec: NodeSpec, keys: ClusterKeys, parts: Parts, listener: int
) -> Launch:
    directory = home.node(place.name)
    for name in ("kubelet", "containerd", "log", "cni", "etcd", "pki", "report"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    (home.logs / place.name).mkdir(exist_ok=True)
    node.write_keys(keys, place, directory / "pki")
    extras = parts.extras.get(spec.name, NodeExtras())
    services = node.services(place, [f"{key}={value}" for key, value in spec.labels.items()], parts.images)
    files = node.files(home.name, keys, place, machine_id=secrets.token_hex(16))
    if spec.name == CONTROL:
        services = (*controlplane.services(place, listener), *services)
        files = (*files, *controlplane.files(keys))
    return Launch(
        hostname=spec.name,
        cgroup=f"{home.cgroup.path}/{spec.name}",
        hidden=str(base_directory()),
        binds=(*_binds(home, place, parts), *(Bind(str(m.source), m.target, m.read_only) for m in extras.mounts)),
        devices=tuple(Device(**dataclasses.asdict(device)) for device in extras.devices),
        files=(*files, *(File(f.path, f.content, f.mode) for f in extras.files)),
        services=services,
        environment=extras.environment,
        memory_bytes=spec.memory_bytes,
    )




def _binds(home: Home, place: NodeState, parts: Parts) -> tuple[Bind, ...]:
    directory = home.node(place.name)
    binds = [
        Bind(str(directory / "kubelet"), "/var/lib/kubelet", read_only=False),
        Bind(str(directory / "containerd"), "/var/lib/containerd", read_only=False),
        Bind(str(directory / "log"), "/var/log", read_only=False),
        Bind(str(directory / "cni"), "/var/lib/cni", read_only=False),
        Bind(str(directory / "report"), f"{INSIDE}/node", read_only=False),
        Bind(str(home.directory / "shared"), f"{INSIDE}/shared", read_only=False),
        Bind(str(directory / "pki"), f"{INSIDE}/pki"),
    ]
    if place.name == CONTROL:
        binds.append(Bind(str(directory / "etcd"), "/var/lib/etcd", read_only=False))
        binds.append(Bind(str(home.pki), f"{INSIDE}/pki-control"))
    binds.append(Bind(str(home.logs / place.name), f"{INSIDE}/logs", read_only=False))
    binds += [Bind(str(path), f"{INSIDE}/bin/{name}") for name, path in parts.programs.items()]
    binds += [Bind(str(path), f"{INSIDE}/images/{name}.tar") for name, path in parts.images.items()]
    return (*binds, *_python_binds())


def _python_binds() -> list[Bind]:
    """Keep this program visible in nodes when it lives where they have directories of their own."""
    package = Path(__file__).resolve().parents[2]
    needed = {str(package), sys.prefix, sys.base_prefix, str(Path(sys.executable).resolve().parent.parent)}
    return [Bind(path, path) for path in sorted(needed) if path.startswith(("/tmp/", "/run/", "/dev/"))]  # noqa: S108
