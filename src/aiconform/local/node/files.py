"""The file system of a node, set up inside its fresh mount namespace.

The machine's own root stays visible but read-only, so nothing a node or a pod with a host path does can change it.
Private to the node: ``/run``, ``/tmp`` and ``/dev`` (memory), ``/etc``, ``/var`` and ``/opt`` (overlays over the
machine's), ``/proc``, ``/sys`` with the node's own cgroups, and, on disk, what container runtime and kubelet keep.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from aiconform.local.node import cgroups, kernel
from aiconform.local.node.launch import INSIDE, Launch

OVERLAID = ("/etc", "/var", "/opt")

KUBELET_SYSCTLS = {
    "vm/overcommit_memory": "1",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
"""Settings of the whole machine that the kubelet insists on; it is shown these values instead of writing them."""

BASIC_DEVICES = (
    ("null", 1, 3, 0o666),
    ("zero", 1, 5, 0o666),
    ("full", 1, 7, 0o666),
    ("random", 1, 8, 0o666),
    ("urandom", 1, 9, 0o666),
    ("kmsg", 1, 11, 0o644),
    ("tty", 5, 0, 0o666),
    ("fuse", 10, 229, 0o666),
)


def prepare(launch: Launch, hierarchies: tuple[cgroups.Hierarchy, ...]) -> None:
    """Turn the calling process's mount namespace into the node's.

    Args:
        launch: the node.
        hierarchies: the machine's cgroup hierarchies, found before its ``/sys`` was hidden.

    Raises:
        OSError: a mount was refused; the message names it.
    """
    kernel.mount("", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    machine_mounts = _mount_points()
    sources = [os.open(bind.source, os.O_PATH) for bind in launch.binds]  # what follows may hide their paths
    kernel.mount("tmpfs", "/run", "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=755")
    for directory in OVERLAID:
        if Path(directory).is_dir():
            _overlay(directory, Path("/run/overlay") / directory.strip("/"))
    kernel.mount("tmpfs", "/tmp", "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=1777")  # noqa: S108
    _sys(hierarchies)
    _dev(launch)
    for bind, source in zip(launch.binds, sources, strict=True):
        _bind(source, Path(bind.target), read_only=bind.read_only)
        os.close(source)
    if Path(launch.hidden).is_dir():  # else it lies below a directory of the machine's that is hidden already
        kernel.mount("tmpfs", launch.hidden, "tmpfs", kernel.MS_RDONLY, "mode=700,size=4k")
    _proc(launch)
    for point in machine_mounts:
        _make_read_only(point)
    kernel.mount("", "/", flags=kernel.MS_REC | kernel.MS_SHARED)  # volumes of pods propagate from here
    for link, where in launch.links.items():
        Path(link).parent.mkdir(parents=True, exist_ok=True)
        Path(link).symlink_to(where)
    for file in launch.files:
        write_file(Path(file.path), file.content, file.mode)


def write_file(path: Path, content: str, mode: int = 0o644) -> None:
    """Write a node's text file, and the directories above it; a link of the machine's is replaced, not followed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_text(content)
    path.chmod(mode)


def _mount_points() -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split(" ")[4].replace("\\040", " ") for line in lines]
    private = ("/proc", "/sys", "/dev", "/run", "/tmp", *OVERLAID)  # noqa: S108
    return [p for p in points if not any(p == top or p.startswith(top + "/") for top in private)]


def _overlay(directory: str, aside: Path) -> None:
    (aside / "upper").mkdir(parents=True)
    (aside / "work").mkdir()
    kernel.mount(
        "overlay", directory, "overlay", data=f"lowerdir={directory},upperdir={aside}/upper,workdir={aside}/work"
    )


def _bind(source: int, target: Path, *, read_only: bool) -> None:
    """Bind an opened path; the place it goes to is made when missing."""
    if stat.S_ISDIR(os.fstat(source).st_mode):
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    kernel.bind(f"/proc/self/fd/{source}", target, read_only=read_only)


def _sys(hierarchies: tuple[cgroups.Hierarchy, ...]) -> None:
    kernel.mount("sysfs", "/sys", "sysfs", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
    if any(h.mount_point != cgroups.ROOT for h in hierarchies):
        kernel.mount("tmpfs", cgroups.ROOT, "tmpfs", data="mode=755")
    for hierarchy in hierarchies:
        hierarchy.mount_point.mkdir(exist_ok=True)
        kernel.mount("cgroup", hierarchy.mount_point, hierarchy.kind, data=hierarchy.options)


def _dev(launch: Launch) -> None:
    kernel.mount("tmpfs", "/dev", "tmpfs", kernel.MS_NOSUID, "mode=755")
    dev = Path("/dev")
    for name, major, minor, mode in BASIC_DEVICES:
        make_device(dev / name, major, minor, mode)
    for device in launch.devices:
        make_device(Path(device.path), device.major, device.minor, device.mode)
    for name, kind, data in (
        ("pts", "devpts", "newinstance,ptmxmode=0666,mode=620"),
        ("shm", "tmpfs", "mode=1777"),
        ("mqueue", "mqueue", ""),
    ):
        (dev / name).mkdir()
        kernel.mount(kind, dev / name, kind, kernel.MS_NOSUID | kernel.MS_NOEXEC, data)
    (dev / "ptmx").symlink_to("pts/ptmx")
    (dev / "fd").symlink_to("/proc/self/fd")
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        (dev / name).symlink_to(f"/proc/self/fd/{number}")


def make_device(path: Path, major: int, minor: int, mode: int) -> None:
    """Make a character device with exactly these permission bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mknod(path, stat.S_IFCHR | mode, os.makedev(major, minor))
    path.chmod(mode)


def _proc(launch: Launch) -> None:
    kernel.mount("proc", "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
    aside = Path(INSIDE) / "proc"
    aside.mkdir(parents=True)
    for setting, value in KUBELET_SYSCTLS.items():
        _cover(Path("/proc/sys") / setting, aside / setting.replace("/", "."), value + "\n")
    if launch.memory_bytes is not None:
        lines = Path("/proc/meminfo").read_text().splitlines(keepends=True)
        total = f"MemTotal:       {launch.memory_bytes // 1024} kB\n"
        _cover(Path("/proc/meminfo"), aside / "meminfo", "".join([total, *lines[1:]]))


def _cover(target: Path, aside: Path, content: str) -> None:
    if target.exists():
        aside.write_text(content)
        kernel.bind(aside, target)


def _make_read_only(point: str) -> None:
    """Make a mount of the machine read-only in this namespace; the root must be, others may be out of sight by now."""
    try:
        kernel.mount("", point, flags=kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_RDONLY)
    except OSError:
        if point == "/":
            raise
