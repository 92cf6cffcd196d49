"""Cgroup directories of a cluster: one tree per cluster, one directory per node, in every hierarchy there is.

Version 1 (one hierarchy per controller, the unified one beside them) and version 2 (one hierarchy) look the same to
callers: a :class:`Group` is a relative path that exists under each :class:`Hierarchy`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aiconform.errors import LocalClusterError

ROOT = Path("/sys/fs/cgroup")
NEEDED = ("cpu", "memory", "pids")


@dataclass(frozen=True)
class Hierarchy:
    """One mounted cgroup hierarchy.

    Args:
        mount_point: where it is mounted, for example ``/sys/fs/cgroup/memory``.
        kind: file system type, ``cgroup`` or ``cgroup2``.
        options: what a fresh mount of the same hierarchy needs, for example ``memory`` or ``none,name=systemd``.
    """

    mount_point: Path
    kind: str
    options: str

    @property
    def controllers(self) -> frozenset[str]:
        """Controllers usable in this hierarchy."""
        if self.kind == "cgroup2":
            return frozenset((self.mount_point / "cgroup.controllers").read_text().split())
        return frozenset(self.options.split(",")) if "name=" not in self.options else frozenset()


_V1_FLAGS = {"rw", "ro", "relatime", "noatime", "xattr", "clone_children"}


def hierarchies(mountinfo: Path = Path("/proc/self/mountinfo")) -> tuple[Hierarchy, ...]:
    """All cgroup hierarchies of this machine, first mount of each.

    Raises:
        LocalClusterError: a controller that Kubernetes needs is in none of them.
    """
    found: dict[tuple[str, str], Hierarchy] = {}
    for line in mountinfo.read_text().splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        if kind not in ("cgroup", "cgroup2"):
            continue
        if kind == "cgroup":
            options = ",".join(
                o for o in options.split(",") if o not in _V1_FLAGS and not o.startswith("release_agent")
            )
            if options.startswith("name="):
                options = "none," + options
        else:
            options = ""
        point = left.split(" ")[4]
        found.setdefault((kind, options), Hierarchy(Path(point), kind, options))
    result = tuple(found.values())
    controllers = frozenset[str]().union(*(h.controllers for h in result))
    missing = [name for name in NEEDED if name not in controllers]
    if missing:
        raise LocalClusterError(
            f"no cgroup controller {', '.join(missing)} on this machine",
            details=["the kubelet limits pods with them"],
            hint="mount the cgroup hierarchies (cgroup2 on /sys/fs/cgroup), or run outside of a container without them",
        )
    return result


@dataclass(frozen=True)
class Group:
    """A cgroup by its path relative to the root of every hierarchy, for example ``aiconform-default/gpu-0``."""

    path: str

    def directories(self) -> Iterator[tuple[Hierarchy, Path]]:
        """The group's directory in every hierarchy."""
        for hierarchy in hierarchies():
            yield hierarchy, hierarchy.mount_point / self.path

    def create(self) -> None:
        """Make the directories, with the parent's CPU and memory nodes (v1) and the grandparents' controllers (v2).

        Raises:
            LocalClusterError: the kernel refuses, mostly for lack of rights.
        """
        try:
            for hierarchy, directory in self.directories():
                _make(hierarchy, directory)
        except OSError as error:
            raise LocalClusterError(
                f"cannot create the cgroup {self.path}: {error}",
                hint="run as root, outside of a container that has no cgroups of its own",
            ) from error

    def share_controllers(self) -> None:
        """Give the groups below all controllers (v2). No process may be in the group itself, only below."""
        for hierarchy, directory in self.directories():
            if hierarchy.kind == "cgroup2":
                _share_controllers(directory)

    def weigh(self, programs: int) -> None:
        """Count as that many ordinary programs when CPU time is short; a group otherwise counts as one."""
        for hierarchy, directory in self.directories():
            if "cpu" in hierarchy.controllers:
                name, one = ("cpu.shares", 1024) if hierarchy.kind == "cgroup" else ("cpu.weight", 100)
                (directory / name).write_text(str(min(one * programs, 10_000)))

    def enter(self, pid: int = 0) -> None:
        """Move a process (0: the caller) into the group, in every hierarchy."""
        for _, directory in self.directories():
            (directory / "cgroup.procs").write_text(str(pid))

    def processes(self) -> set[int]:
        """Process ids in the group and below, in any hierarchy."""
        found: set[int] = set()
        for _, directory in self.directories():
            for folder, _, _ in os.walk(directory):
                with contextlib.suppress(OSError):
                    found.update(map(int, (Path(folder) / "cgroup.procs").read_text().split()))
        return found

    def kill(self, limit_s: float = 3.0) -> bool:
        """Kill every process in the group, except the caller; true once none is left."""
        deadline = time.monotonic() + limit_s
        while rest := self.processes() - {os.getpid()}:
            for pid in rest:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def remove(self, limit_s: float = 3.0) -> bool:
        """Remove the directories of the group and below; a group in use is tried again until ``limit_s``."""
        deadline = time.monotonic() + limit_s
        while sum(_remains(directory) for _, directory in self.directories()):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def memory_bytes(self) -> int:
        """Working set as the kubelet counts it: usage less inactive file pages, in bytes."""
        for hierarchy, directory in self.directories():
            if "memory" not in hierarchy.controllers:
                continue
            version1 = hierarchy.kind == "cgroup"
            usage = int((directory / ("memory.usage_in_bytes" if version1 else "memory.current")).read_text())
            wanted = "total_inactive_file" if version1 else "inactive_file"
            for line in (directory / "memory.stat").read_text().splitlines():
                key, _, value = line.partition(" ")
                if key == wanted:
                    usage -= int(value)
            return max(usage, 0)
        return 0


def leave() -> None:
    """Move the calling process back to the root of every hierarchy, so that its group can be removed."""
    for hierarchy in hierarchies():
        with contextlib.suppress(OSError):
            (hierarchy.mount_point / "cgroup.procs").write_text("0")


def _make(hierarchy: Hierarchy, directory: Path) -> None:
    """Make a directory and those above it.

    Version 2 allows processes only in groups whose children have no controllers, so the direct parent is left alone:
    its processes may have to move first.
    """
    if directory == hierarchy.mount_point or directory.is_dir():
        return
    parent = directory.parent
    _make(hierarchy, parent)
    if hierarchy.kind == "cgroup2" and parent != hierarchy.mount_point:
        _share_controllers(parent.parent)
    directory.mkdir(exist_ok=True)
    if "cpuset" in hierarchy.controllers and hierarchy.kind == "cgroup":
        for name in ("cpuset.cpus", "cpuset.mems"):
            (directory / name).write_text((parent / name).read_text())


def _share_controllers(directory: Path) -> None:
    available = set((directory / "cgroup.controllers").read_text().split())
    enabled = set((directory / "cgroup.subtree_control").read_text().split())
    for name in sorted((available - enabled) & {"cpu", "cpuset", "memory", "pids", "io", "hugetlb"}):
        (directory / "cgroup.subtree_control").write_text(f"+{name}")


def _remains(directory: Path) -> int:
    """Try to remove a directory and all below; how many would not go."""
    left = 0
    for folder, _, _ in os.walk(directory, topdown=False):
        try:
            Path(folder).rmdir()
        except FileNotFoundError:
            pass
        except OSError:
            left += 1
    return left
