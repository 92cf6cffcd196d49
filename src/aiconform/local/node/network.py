"""Wires nodes together: a bridge in the control node's network namespace, a virtual cable to every other node.

Nothing of it is in the machine's own network namespace; a cable is made inside the control node's and its far end is
born in the other node's.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable

from aiconform.errors import LocalClusterError
from aiconform.local.state import NodeState

BRIDGE = "nodes0"
BRIDGE_MAC = "02:00:c6:12:00:02"
"""Fixed, because a bridge otherwise takes the lowest address of its ports and changes it as they come and go."""
PREFIX = 24
GATEWAY = "198.18.0.2"
NOWHERE = "198.18.0.1"
"""Programs look for the interface with the default route; no one has this address, nothing leaves the cluster."""


def wire_control(pid: int, node: NodeState) -> None:
    """Give the control node its bridge, address and default route.

    Args:
        pid: the node's first process.
        node: its place in the network.

    Raises:
        LocalClusterError: ``ip`` failed.
    """
    _ip(
        pid,
        [
            "link set lo up",
            f"link add {BRIDGE} address {BRIDGE_MAC} type bridge",
            f"address add {node.address}/{PREFIX} dev {BRIDGE}",
            f"link set {BRIDGE} up",
            f"route add default via {NOWHERE}",
        ],
    )


def wire_worker(control_pid: int, pid: int, node: NodeState) -> None:
    """Connect another node to the control node's bridge.

    Raises:
        LocalClusterError: ``ip`` failed.
    """
    port = f"node{node.index}"
    _run(control_pid, [f"link delete {port}"])  # of a node that just died: the kernel removes it a little later
    _ip(
        control_pid,
        [
            f"link add {port} type veth peer name eth0 netns {pid}",
            f"link set {port} master {BRIDGE} up",
        ],
    )
    _ip(
        pid,
        [
            "link set lo up",
            f"address add {node.address}/{PREFIX} dev eth0",
            "link set eth0 up",
            f"route add default via {GATEWAY}",
        ],
    )


def route_pods(pid: int, node: NodeState, others: Iterable[NodeState]) -> None:
    """Send what is for pods of other nodes to those nodes."""
    _ip(pid, [f"route replace {other.pod_cidr} via {other.address}" for other in others if other != node])


def _ip(pid: int, lines: list[str]) -> None:
    result = _run(pid, lines)
    if result.returncode != 0:
        raise LocalClusterError(
            "cannot wire the nodes of the local cluster", details=result.stderr.strip().splitlines()[:5]
        )


def _run(pid: int, lines: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["nsenter", f"--net=/proc/{pid}/ns/net", "ip", "-batch", "-"],
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
        check=False,
    )
