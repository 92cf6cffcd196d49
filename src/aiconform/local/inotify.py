"""Whether the kernel lets one more cluster watch files; ``fs.inotify.max_user_instances`` counts for all of root.

Without room containerd starts without its Kubernetes part and the kubelet never becomes ready, and neither says why.
"""

from __future__ import annotations

import os
from pathlib import Path

from aiconform.errors import LocalClusterError

CONTROL_NEEDS = 23
"""A control node: API server 6, controller manager 7, kubelet 6, containerd 2, kube-proxy 1, and one to spare."""
NODE_NEEDS = 11
"""Any other node: kubelet 6, containerd 2, kube-proxy 1, add-ons 2."""


def check(nodes: int, proc: Path = Path("/proc")) -> None:
    """See that there is room for a cluster.

    Args:
        nodes: how many nodes it has, the control node included.
        proc: the proc file system.

    Raises:
        LocalClusterError: there is not; the hint names the setting.
    """
    _see(CONTROL_NEEDS + NODE_NEEDS * (nodes - 1), f"a cluster of {nodes} nodes", proc)


def check_further_node(proc: Path = Path("/proc")) -> None:
    """See that there is room for another node of a running cluster.

    Raises:
        LocalClusterError: there is not; the hint names the setting.
    """
    _see(NODE_NEEDS, "another node", proc)


def _see(needed: int, what: str, proc: Path) -> None:
    limit = int((proc / "sys/fs/inotify/max_user_instances").read_text())
    used = in_use(proc)
    if used + needed <= limit:
        return
    raise LocalClusterError(
        f"too few inotify instances: {limit} allowed, {used} in use, {what} needs {needed}",
        details=["fs.inotify.max_user_instances counts for all programs of root, other local clusters among them"],
        hint="stop another local cluster, or raise it: sudo sysctl fs.inotify.max_user_instances=1024",
    )


def in_use(proc: Path = Path("/proc")) -> int:
    """Inotify instances of the calling user's programs, as far as they can be seen."""
    return sum(_instances(process) for process in proc.glob("[0-9]*") if _is_ours(process))


def _is_ours(process: Path) -> bool:
    try:
        return process.stat().st_uid == os.geteuid()
    except OSError:
        return False


def _instances(process: Path) -> int:
    found = 0
    try:
        for descriptor in (process / "fd").iterdir():
            found += str(descriptor.readlink()) == "anon_inode:inotify"
    except OSError:  # it ended meanwhile
        pass
    return found
