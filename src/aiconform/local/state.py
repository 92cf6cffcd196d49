"""Where a local cluster keeps its files, whether it is alive, and how two tools keep out of each other's way.

::

    <state home>/aiconform/clusters/<name>/
        lock           held by the cluster's own processes as long as they live
        cluster.json   what runs: profile, nodes, addresses, port, boot id, versions
        ready          written when `up` has succeeded
        kubeconfig     for the administrator, mode 0600
        pki/ logs/ nodes/<node>/

Whoever can take the lock knows that nothing of the cluster runs any more: the kernel drops it with the last holder,
whatever ended it, a reboot included.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import re
import shutil
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aiconform.errors import LocalClusterError, UsageError
from aiconform.local.node import cgroups

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?")


def base_directory() -> Path:
    """Directory of all local clusters of this user: ``$XDG_STATE_HOME`` or ``~/.local/state``."""
    home = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local/state")
    return Path(home) / "aiconform" / "clusters"


@dataclass(frozen=True)
class NodeState:
    """A node as the supervisor runs it: its name and its place in the node and pod networks.

    Attributes:
        late: it was added while the cluster ran.
        pool: the pool it was added for, if any.
    """

    name: str
    index: int
    late: bool = False
    pool: str = ""

    @property
    def address(self) -> str:
        """The node's address in the node network; index 0 is the control node."""
        return f"198.18.0.{self.index + 2}"

    @property
    def pod_cidr(self) -> str:
        """Addresses of the node's pods."""
        return f"10.244.{self.index}.0/24"


@dataclass(frozen=True)
class ClusterState:
    """The stored description of a running cluster (``cluster.json``).

    Attributes:
        retired: names of nodes that were removed; never given again, for what was bound to them lingers.
        last_index: place in the network that was given last to a node that came later.
    """

    name: str
    profile: str
    port: int
    boot_id: str
    created: float
    nodes: tuple[NodeState, ...]
    owner_pid: int | None = None
    retired: tuple[str, ...] = ()
    last_index: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)

    def node(self, name: str) -> NodeState:
        """The node of that name.

        Raises:
            UsageError: there is none.
        """
        for node in self.nodes:
            if node.name == name:
                return node
        raise UsageError(
            f"no node {name!r} in local cluster {self.name}", hint="nodes: " + ", ".join(n.name for n in self.nodes)
        )


@dataclass(frozen=True)
class Home:
    """The files of the cluster called ``name``, which need not exist."""

    name: str
    directory: Path

    @classmethod
    def of(cls, name: str) -> Home:
        """The home of a cluster.

        Raises:
            UsageError: the name would not fit host names, cgroups and file names.
        """
        if not NAME.fullmatch(name):
            raise UsageError(
                f"{name!r} cannot name a local cluster", hint="use 1 to 30 lower-case letters, digits and dashes"
            )
        return cls(name, base_directory() / name)

    @property
    def cgroup(self) -> cgroups.Group:
        """The cgroup of everything that belongs to the cluster; different for equal names of different users."""
        return cgroups.Group(f"aiconform-{self.name}-{zlib.crc32(os.fsencode(self.directory)):08x}")

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.directory / "kubeconfig"

    @property
    def pki(self) -> Path:
        """Certificates and keys of the control plane."""
        return self.directory / "pki"

    @property
    def logs(self) -> Path:
        """One log file per component, and the API server's audit log."""
        return self.directory / "logs"

    @property
    def ready_file(self) -> Path:
        """Exists once the cluster has come up."""
        return self.directory / "ready"

    def node(self, name: str) -> Path:
        """Directory of one node's private files."""
        return self.directory / "nodes" / name

    def write(self, state: ClusterState) -> None:
        """Store the description, whole or not at all."""
        write_atomically(self.directory / "cluster.json", json.dumps(dataclasses.asdict(state), indent=1))

    def read(self) -> ClusterState | None:
        """The stored description; None if there is none or it was cut short."""
        try:
            raw = json.loads((self.directory / "cluster.json").read_text())
            nodes = tuple(NodeState(**node) for node in raw["nodes"])
            return ClusterState(**{**raw, "nodes": nodes, "retired": tuple(raw.get("retired", ()))})
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None

    def alive(self) -> bool:
        """True while a process of the cluster (or an ``up`` at work) holds the lock."""
        with self.locked() as descriptor:
            return descriptor is None and (self.directory / "lock").exists()

    @contextlib.contextmanager
    def locked(self, *, create: bool = False) -> Iterator[int | None]:
        """Take the lock if it is free.

        Args:
            create: make the directory and the lock if there are none.

        Yields:
            The descriptor of the locked file, or None: held by somebody else, or not there.
        """
        descriptor = self._take(create=create)
        try:
            yield descriptor
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def _take(self, *, create: bool) -> int | None:
        path = self.directory / "lock"
        while True:
            try:
                if create:
                    self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
                descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o600)
            except FileNotFoundError:
                if create:
                    continue
                return None
            except OSError as error:
                raise LocalClusterError(
                    f"cannot write the state directory: {error}", hint="check its owner and free space"
                ) from error
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return None
            if _same_file(descriptor, path):
                return descriptor
            os.close(descriptor)  # removed by a `down` between open and lock

    def remove(self) -> bool:
        """End every process of the cluster and remove its cgroups and files. The caller holds the lock.

        Returns:
            True if nothing is left.
        """
        ended = self.cgroup.kill()
        removed = self.cgroup.remove()
        if not self.directory.exists():
            return ended and removed
        for entry in self.directory.iterdir():
            if entry.name == "lock":
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)
        (self.directory / "lock").unlink(missing_ok=True)
        for folder in (self.directory, self.directory.parent, self.directory.parent.parent):
            with contextlib.suppress(OSError):
                folder.rmdir()
        return ended and removed and not self.directory.exists()

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Keep others from changing the description of the running cluster meanwhile."""
        descriptor = os.open(self.directory / "changing", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def wait_gone(self, limit_s: float) -> bool:
        """True once no process of the cluster holds the lock any more."""
        deadline = time.monotonic() + limit_s
        while self.alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True


def homes() -> list[Home]:
    """Every cluster of this user that has files, running or stale."""
    base = base_directory()
    if not base.is_dir():
        return []
    return [Home(entry.name, entry) for entry in sorted(base.iterdir()) if NAME.fullmatch(entry.name)]


def write_atomically(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file so that readers see all of it or the one before."""
    temporary = path.with_name(path.name + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    temporary.replace(path)


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    here = os.fstat(descriptor)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)
