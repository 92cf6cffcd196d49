"""The first process of a node: ``python -m aiconform.local.node.init LAUNCH_FILE CLUSTER_NODE_DIRECTORY``.

Started by the supervisor, with a pipe as standard input (``network`` arrives on it once the node has one; its end
means that the supervisor is gone) and one as standard output (the node's process id is written to it).

The process that was started stays outside, in the machine's process namespace, and waits; its child is the node's
first process. Either is killed by the kernel when its parent dies, and with the first process goes the whole node.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

from aiconform.local.node import cgroups, files, kernel
from aiconform.local.node.launch import INSIDE, NETWORK_READY, Launch
from aiconform.local.node.services import Keeper

NAMESPACES = (
    kernel.CLONE_NEWNS
    | kernel.CLONE_NEWCGROUP
    | kernel.CLONE_NEWUTS
    | kernel.CLONE_NEWIPC
    | kernel.CLONE_NEWPID
    | kernel.CLONE_NEWNET
)
PATH = f"{INSIDE}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def main() -> int:
    """Set up the namespaces and become the node."""
    launch = Launch.read(Path(sys.argv[1]))
    supervisor = int(sys.argv[2])
    kernel.set_parent_death_signal(signal.SIGKILL, supervisor)
    hierarchies = cgroups.hierarchies()
    group = cgroups.Group(launch.cgroup)
    group.create()
    group.enter()
    kernel.unshare(NAMESPACES)
    inner = cgroups.Group(f"{launch.cgroup}/system")
    inner.create()
    inner.enter()
    group.share_controllers()
    child = os.fork()
    if child == 0:
        _be_first_process(launch, hierarchies)
    os.write(1, f"{child}\n".encode())
    os.close(0)
    os.close(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code < 0:
        os.kill(os.getpid(), -code)  # end as the node did, so that the supervisor's log says it
    return code


def _be_first_process(launch: Launch, hierarchies: tuple[cgroups.Hierarchy, ...]) -> None:
    """Never returns."""
    kernel.set_parent_death_signal(signal.SIGKILL, 0)  # the parent is outside this process namespace: 0
    kernel.name_process("aiconform-node")
    socket.sethostname(launch.hostname)
    files.prepare(launch, hierarchies)
    for directory in ("done", "shared"):
        (Path(INSIDE) / directory).mkdir(parents=True, exist_ok=True)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")  # of this network namespace
    environment = {"PATH": PATH, "HOME": "/tmp", "LANG": "C.UTF-8", **launch.environment}  # noqa: S108
    os.environ["PATH"] = PATH
    _wait_for_network()
    Keeper(
        launch.services,
        environment,
        logs=Path(INSIDE) / "logs",
        report=Path(INSIDE) / "node" / "services.json",
        programs=Path(INSIDE) / "bin",
    ).run()


def _wait_for_network() -> None:
    """Block until the supervisor has wired this node; its end before that ends the node."""
    if not sys.stdin.buffer.readline():
        os._exit(1)
    Path(NETWORK_READY).touch()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(null, descriptor)
    os.close(null)


if __name__ == "__main__":
    sys.exit(main())
