"""A running local cluster: finding it, using it, stopping it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aiconform.errors import LocalClusterError
from aiconform.local import inspection, parts
from aiconform.local.api import Api
from aiconform.local.state import ClusterState, Home, NodeState

if TYPE_CHECKING:
    from aiconform.local.profiles import NodeSpec

DOWN_LIMIT_S = 60.0
"""Most of it goes to removing files: tens of thousands with all add-ons, on a machine that may be busy."""


@dataclass(frozen=True)
class Cluster:
    """A running local cluster.

    Args:
        home: its files.
        state: what runs.
        fresh: true if this call started it, false if it was found running.
    """

    home: Home
    state: ClusterState
    fresh: bool = False

    @property
    def name(self) -> str:
        """Its name."""
        return self.home.name

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig, mode 0600; its context is ``aiconform-<name>``."""
        return self.home.kubeconfig

    @property
    def audit_log(self) -> Path:
        """The API server's audit log, one JSON event per line, metadata only."""
        return self.home.logs / self.state.nodes[0].name / "audit.log"

    @property
    def api(self) -> Api:
        """Plain requests as the administrator."""
        return Api(self.kubeconfig)

    def node_pid(self, name: str) -> int:
        """Process id of a node's first process, in the machine's process namespace.

        Raises:
            LocalClusterError: the node does not run.
            UsageError: there is no such node.
        """
        (self.home.read() or self.state).node(name)
        pid = inspection.pids_of(self.home).get(name)
        if pid is None:
            raise LocalClusterError(
                f"node {name} of local cluster {self.name} does not run", hint="see `aiconform local status`"
            )
        return pid

    def add_node(self, spec: NodeSpec) -> NodeState:
        """Add a node and wait until it is Ready and its accelerators are advertised.

        Raises:
            LocalClusterError: it does not come up; nothing is left of it.
            UsageError: the name cannot be used, or was used before.
        """
        from aiconform.local import nodes

        return nodes.add(self, spec)

    def remove_node(self, name: str) -> None:
        """Remove a node that was added: its processes, files, pods and Node object.

        Raises:
            LocalClusterError: it does not end.
            UsageError: there is none, or it belongs to the profile.
        """
        from aiconform.local import nodes

        nodes.remove(self, name)

    def enter(self, node: str, argv: Sequence[str], **options: object) -> subprocess.CompletedProcess[str]:
        """Run a command inside a node, with its output captured as text.

        Args:
            node: name of the node.
            argv: program and arguments; the node's own programs (``ctr``, ``runc``) are found.
            options: further arguments of :func:`subprocess.run`.
        """
        command = [*enter_argv(self.node_pid(node)), *argv]
        return subprocess.run(command, text=True, capture_output=True, check=False, **options)  # type: ignore[call-overload,no-any-return]

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run our kubectl against the cluster and return what it printed.

        Raises:
            LocalClusterError: it failed.
        """
        cache = self.home.directory / "kubectl"  # not in the user's ~/.kube, and gone with the cluster
        ends_with_us = ["setpriv", "--pdeathsig=KILL"]  # or it could write its cache when the cluster is gone
        command = [str(parts.kubectl()), f"--kubeconfig={self.kubeconfig}", f"--cache-dir={cache}", *arguments]
        result = subprocess.run([*ends_with_us, *command], text=True, capture_output=True, check=False, input=stdin)
        if result.returncode != 0:
            raise LocalClusterError(
                f"kubectl {' '.join(arguments)} failed", details=result.stderr.strip().splitlines()[-5:]
            )
        return result.stdout


def enter_argv(pid: int) -> list[str]:
    """The command that runs another inside a node, given its first process; it begins in the node's ``/``."""
    namespaces = ("--mount", "--net", "--uts", "--ipc", "--pid", "--cgroup")
    environment = ("PATH=/run/aiconform/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/tmp")
    return ["nsenter", f"--target={pid}", *namespaces, "env", "-i", *environment]


def find(name: str = "default") -> Cluster:
    """The running cluster of that name.

    Raises:
        LocalClusterError: there is none, or it is still starting.
    """
    home = Home.of(name)
    state = home.read()
    if state is None or not home.alive():
        raise LocalClusterError(f"no local cluster {name!r} is running", hint=f"aiconform local up{_option(name)}")
    if not home.ready_file.exists():
        raise LocalClusterError(
            f"local cluster {name!r} is still starting", hint=f"aiconform local status{_option(name)}"
        )
    return Cluster(home, state)


def down(name: str = "default") -> bool:
    """Stop a cluster and remove everything that belongs to it; also what an earlier boot or a killed one left.

    Returns:
        True if there was something to remove.

    Raises:
        LocalClusterError: something could not be ended or removed.
    """
    home = Home.of(name)
    if not home.directory.exists():
        return False
    if home.alive():
        for pid in _guardians(home):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        home.wait_gone(DOWN_LIMIT_S)
    return clear(home) or True


def clear(home: Home) -> bool:
    """Remove what a cluster that no longer lives left behind; true if there was anything.

    Raises:
        LocalClusterError: it lives, or something could not be removed.
    """
    if not home.directory.exists():
        return False
    with home.locked(create=True) as descriptor:
        if descriptor is None:
            if not home.directory.exists():
                return True
            raise LocalClusterError(
                f"local cluster {home.name!r} does not end",
                details=[f"its processes: {sorted(home.cgroup.processes())}"],
            )
        if not home.remove():
            raise LocalClusterError(
                f"could not remove everything of local cluster {home.name!r}",
                details=[f"files: {home.directory}", f"cgroup: {home.cgroup.path}"],
                hint="try again; if it stays, say what holds it",
            )
    return True


def _guardians(home: Home) -> set[int]:
    """The janitor and the supervisor."""
    return type(home.cgroup)(f"{home.cgroup.path}/supervisor").processes()


def _option(name: str) -> str:
    return "" if name == "default" else f" --name {name}"
