"""Writes everything a new local cluster starts from: keys, kubeconfig, and one launch file per node."""

from __future__ import annotations

import dataclasses
import secrets
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aiconform.local import controlplane, k0s, node_services
from aiconform.local.controlplane import ClusterKeys
from aiconform.local.node.launch import INSIDE, Bind, Device, File, Launch
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
    "ptp",
    "host-local",
    "loopback",
    "portmap",
)
PROGRAMS = (*CONTROL_PROGRAMS, *NODE_PROGRAMS, "kubectl")
"""Every program a local cluster runs, and ours to talk to it."""


Preparation = Callable[[NodeSpec, Path], NodeExtras]
"""Prepares a node's simulated accelerators in a directory of their own, and says what they add to the node."""


@dataclass(frozen=True)
class Image:
    """An image archive.

    Args:
        name: short, for log files: ``coredns``.
        archive: OCI layout in a tar file.
    """

    name: str
    archive: Path


@dataclass(frozen=True)
class Parts:
    """What a cluster is put together from.

    Args:
        programs: path of each program by name; more than :data:`PROGRAMS` are shown to nodes too.
        images: on every node before it starts, see :mod:`aiconform.local.seed`.
        prepare: sets up simulated accelerators; None: nodes have none.
        versions: names and versions told by ``status``.
        driver: the accelerators' driver library, which ``prepare`` shows to nodes.
    """

    programs: Mapping[str, Path]
    images: tuple[Image, ...]
    prepare: Preparation | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    driver: Path | None = None

    @property
    def runs_k0s(self) -> bool:
        """Whether nodes run a given k0s instead of upstream's control plane and kubelets."""
        return k0s.PROGRAM in self.programs


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
    url = f"https://127.0.0.1:{state.port}"
    admin = keys.kubeconfig("aiconform-admin", ("system:masters",), url, context=f"aiconform-{home.name}")
    write_atomically(home.kubeconfig, admin)
    for place in state.nodes:
        launch = launch_of(home, place, specs[place.name], keys, parts)
        if place is control:
            launch = _with_control_plane(launch, place, keys, parts, listener)
        write_atomically(home.node(place.name) / "launch.json", launch.to_json())
    home.write(state)


def _with_control_plane(launch: Launch, place: NodeState, keys: ClusterKeys, parts: Parts, listener: int) -> Launch:
    """The control node's launch: upstream's programs beside the node's own, or k0s, which runs the kubelet too."""
    if parts.runs_k0s:
        services, files = k0s.control_services(launch.services, listener), k0s.control_files(keys, place)
    else:
        services, files = (*controlplane.services(place, listener), *launch.services), controlplane.files(keys)
    return dataclasses.replace(launch, services=services, files=(*launch.files, *files))


def _known_as(home: Home, place: NodeState) -> str:
    return f"aiconform://{home.name}/{place.name}"


def launch_of(home: Home, place: NodeState, spec: NodeSpec, keys: ClusterKeys, parts: Parts) -> Launch:
    """What a node is told when it starts, without the control plane; its directories, keys and accelerators are made.

    Raises:
        OSError: a file cannot be written.
    """
    directory = home.node(place.name)
    for name in ("kubelet", "k0s", "log", "cni", "etcd", "pki", "report", "accelerators"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    (home.logs / place.name).mkdir(exist_ok=True)
    node_services.write_keys(keys, place, directory / "pki")
    extras = NodeExtras()
    if spec.accelerators is not None and parts.prepare is not None:
        extras = parts.prepare(spec, directory / "accelerators")
    labels = [f"{key}={value}" for key, value in {**spec.labels, **extras.labels}.items()]
    known_as = spec.provider_id or _known_as(home, place)
    services = node_services.services(place, labels, spec.taints)
    if parts.runs_k0s:
        services = (*node_services.without_kubelet(services), *k0s.worker_services(place, labels, known_as))
    files = node_services.files(keys, place, machine_id=secrets.token_hex(16), provider_id=known_as)
    return Launch(
        hostname=spec.name,
        cgroup=f"{home.cgroup.path}/{spec.name}",
        hidden=str(base_directory()),
        binds=(*_binds(home, place, parts), *(Bind(str(m.source), m.target, m.read_only) for m in extras.mounts)),
        devices=tuple(Device(**dataclasses.asdict(device)) for device in extras.devices),
        files=(*files, *(File(f.path, f.content, f.mode) for f in extras.files)),
        links={**_links(parts), **(k0s.links() if parts.runs_k0s else {})},
        services=services,
        environment=extras.environment,
        memory_bytes=spec.memory_bytes,
    )


def _binds(home: Home, place: NodeState, parts: Parts) -> tuple[Bind, ...]:
    directory = home.node(place.name)
    binds = [
        Bind(str(directory / "kubelet"), "/var/lib/kubelet", read_only=False),
        Bind(str(directory / "containerd"), "/var/lib/containerd", read_only=False),
        Bind(str(directory / "k0s"), k0s.DATA, read_only=False),
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
    binds += [Bind(str(folder), target) for folder, target in _program_folders(parts).items()]
    return (*binds, *_python_binds())


def _program_folders(parts: Parts) -> dict[Path, str]:
    """Where each directory with programs appears in nodes. Directories, because runc looks for itself in its own."""
    folders = sorted({path.parent for path in parts.programs.values()})
    return {folder: f"{INSIDE}/programs/{number}" for number, folder in enumerate(folders)}


def _links(parts: Parts) -> dict[str, str]:
    folders = _program_folders(parts)
    return {f"{INSIDE}/bin/{name}": f"{folders[path.parent]}/{path.name}" for name, path in parts.programs.items()}


def _python_binds() -> list[Bind]:
    """Keep this program visible in nodes when it lives where they have directories of their own."""
    package = Path(__file__).resolve().parents[2]
    needed = {str(package), sys.prefix, sys.base_prefix, str(Path(sys.executable).resolve().parent.parent)}
    return [Bind(path, path) for path in sorted(needed) if path.startswith(("/tmp/", "/run/", "/dev/"))]  # noqa: S108
