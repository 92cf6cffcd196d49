"""The cluster's own processes: ``python -m aiconform.local.supervisor STATE_DIRECTORY`` (started by ``up``).

::

    janitor                waits for the supervisor; then, whatever ended it, removes everything
    └── supervisor         starts the nodes, wires them, starts a node again that dies
        ├── node           one per node, see node_init
        └── companion      helpers of add-ons, see companions

Nodes come and go while the cluster runs: whoever changes its description (``cluster.json``) sends SIGUSR1.

The janitor and the supervisor watch each other: when the supervisor dies, the janitor cleans up; when the janitor dies,
the kernel tells the supervisor, which does the same. Until ``up`` says that the cluster is ready, its end ends the
cluster too. Both hold the cluster's lock. Imports are few on purpose: this stays in memory as long as the cluster.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiconform.errors import AiconformError, LocalClusterError
from aiconform.local import logs
from aiconform.local.companions import Companions
from aiconform.local.node import cgroups, kernel, network
from aiconform.local.node.services import FIRST_DELAY_S, LONGEST_DELAY_S, UNTOLD_S, Log, describe_exit
from aiconform.local.state import ClusterState, Home, NodeState, write_atomically

READY = b"ready\n"
"""What ``up`` writes when the cluster may outlive it."""

CHANGED = signal.SIGUSR1
"""Tells the supervisor that the cluster's description or its companions changed."""

GONE_LIMIT_S = 5.0

KEPT = 3
"""Exit code of a janitor that kept the logs, because the supervisor failed."""


class _NodeProcess:
    """A node's outer process; see :mod:`aiconform.local.node.init`."""

    def __init__(self, argv: list[str], log: Path, **options: Any) -> None:
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, start_new_session=True, **options
            )
        self._log = log

    def first_pid(self) -> int:
        """The node's first process, once it is there.

        Raises:
            LocalClusterError: the namespaces could not be made.
        """
        with self._process.stdout or contextlib.nullcontext() as pipe:
            line = pipe.readline() if pipe else b""
        if not line.strip():
            lines = self._log.read_text().strip().splitlines()
            raise LocalClusterError("a node cannot be set up", details=lines[-3:])
        return int(line)

    def go(self) -> None:
        """Tell the node that it has a network. A node that died in between is found by :meth:`ended`."""
        with contextlib.suppress(BrokenPipeError):
            if self._process.stdin:
                self._process.stdin.write(b"network\n")
                self._process.stdin.flush()

    def kill(self, wait_s: float = 0.0) -> None:
        """End the node with everything in it."""
        self._process.kill()
        if wait_s:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(wait_s)

    def ended(self) -> str:
        """How the process ended, in words; empty while it runs."""
        code = self._process.poll()
        if code is None:
            return ""
        if self._process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        return describe_exit(code)


@dataclass
class _Node:
    state: NodeState
    process: _NodeProcess | None = None
    pid: int = 0
    not_before: float = 0.0
    delay_s: float = FIRST_DELAY_S


class Supervisor:
    """Runs the nodes of one cluster until told to stop.

    Args:
        home: the cluster's files.
        state: what to run.
        owner: read end of the pipe that ``up`` holds; None once the cluster is on its own.
        listener: descriptor of the loopback socket for the API server, inherited by the control node.
    """

    def __init__(self, home: Home, state: ClusterState, owner: int, listener: int) -> None:
        self._home = home
        self._state = state
        self._listener = listener
        self._log = Log(home.logs / "supervisor.log")
        self._nodes = [_Node(node) for node in state.nodes]
        self._selector = selectors.DefaultSelector()
        self._selector.register(owner, selectors.EVENT_READ, self._owner_spoke)
        if state.owner_pid is not None:
            self._selector.register(os.pidfd_open(state.owner_pid), selectors.EVENT_READ, self._owner_ended)
        self._wake_reader, self._wake_writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector.register(self._wake_reader, selectors.EVENT_READ, lambda _: os.read(self._wake_reader, 4096))
        self._companions = Companions(home, self._log)
        self._changed = False
        self._untold = False
        self._stop = False

    def run(self) -> None:
        """Run until a signal, the owner's end, or a node that cannot be wired."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._stop_on_signal)
        signal.signal(CHANGED, self._changed_on_signal)
        signal.set_wakeup_fd(self._wake_writer)
        while not self._stop:
            if self._changed:
                self._follow()
            self._start_due()
            self._companions.start_due()
            for key, _ in self._selector.select(self._pause_s()):
                key.data(key.fd)
            self._reap()
            self._companions.reap()
        self._home.ready_file.unlink(missing_ok=True)

    def _stop_on_signal(self, number: int, _frame: object) -> None:
        self._log.note(f"stopping: signal {signal.Signals(number).name}")
        self._stop = True

    def _changed_on_signal(self, _number: int, _frame: object) -> None:
        self._changed = True

    def _follow(self) -> None:
        """Bring what runs in line with the stored description."""
        self._changed = False
        self._companions.read()
        state = self._home.read()
        if state is None:
            return
        self._state = state
        wanted = {place.name for place in state.nodes}
        for node in [node for node in self._nodes if node.state.name not in wanted]:
            self._nodes.remove(node)
            self._dismiss(node)
        known = {node.state.name for node in self._nodes}
        self._nodes += [_Node(place) for place in state.nodes if place.name not in known]

    def _dismiss(self, node: _Node) -> None:
        """End a node for good; its logs stay with the cluster's."""
        if node.process:
            node.process.kill(GONE_LIMIT_S)
            node.process.ended()
        group = cgroups.Group(f"{self._home.cgroup.path}/{node.state.name}")
        group.kill()
        group.remove()
        shutil.rmtree(self._home.node(node.state.name), ignore_errors=True)
        self._log.note(f"node {node.state.name} was removed")
        self._write_report()

    def _owner_spoke(self, descriptor: int) -> None:
        data = os.read(descriptor, 64)
        if data == READY:
            self._log.note("the cluster is ready and on its own")
            write_atomically(self._home.ready_file, f"{time.time()}\n")
        elif not data and not self._home.ready_file.exists():
            self._log.note("stopping: whoever started the cluster is gone before it was ready")
            self._stop = True
        if not data:
            self._selector.unregister(descriptor)
            os.close(descriptor)

    def _owner_ended(self, _descriptor: int) -> None:
        self._log.note(f"stopping: the owner, process {self._state.owner_pid}, ended")
        self._stop = True

    def _pause_s(self) -> float | None:
        if not all(node.process for node in self._nodes) or not self._companions.run():
            return 0.1
        return UNTOLD_S if self._untold else None

    def _start_due(self) -> None:
        now = time.monotonic()
        due = [node for node in self._nodes if node.process is None and now >= node.not_before]
        if due:
            self._try(due)
        if due or self._untold:
            self._write_report()

    def _try(self, due: list[_Node]) -> None:
        """Start nodes; once the cluster is ready, those that cannot be started are started again later."""
        try:
            self._start(due)
        except LocalClusterError as error:
            if not self._home.ready_file.exists():
                raise
            self._log.note(error.render())
            for node in due:
                if node.process:
                    node.process.kill()

    def _start(self, due: list[_Node]) -> None:
        """Start nodes side by side, wire them, and let them go on."""
        for node in due:
            node.process = self._spawn(node)
        for node in due:
            if node.process is not None:
                node.pid = node.process.first_pid()
                self._log.note(f"node {node.state.name} started, process {node.pid}")
        self._wire(due)
        for node in due:
            if node.process is not None:
                node.process.go()

    def _spawn(self, node: _Node) -> _NodeProcess:
        launch = self._home.node(node.state.name) / "launch.json"
        return _NodeProcess(
            [sys.executable, "-m", "aiconform.local.node.init", str(launch), str(os.getpid())],
            self._home.logs / f"{node.state.name}-start.log",
            pass_fds=(self._listener,) if node is self._nodes[0] else (),
        )

    def _wire(self, due: list[_Node]) -> None:
        """Wire nodes that just started; all of them if the control node is new, for it holds the bridge."""
        control = self._nodes[0]
        if control in due:
            network.wire_control(control.pid, control.state)
            due = self._nodes
        for node in due:
            if node is not control and node.pid and control.pid:
                network.wire_worker(control.pid, node.pid, node.state)
            if node.pid:
                network.route_pods(node.pid, node.state, self._state.nodes)
        for node in self._nodes:
            if node not in due and node.pid:
                network.route_pods(node.pid, node.state, [new.state for new in due])

    def _reap(self) -> None:
        for node in self._nodes:
            how = node.process.ended() if node.process else ""
            if not how:
                continue
            node.process, node.pid = None, 0
            self._log.note(f"node {node.state.name} ended: {how}; starts again in {node.delay_s:g} s")
            node.not_before = time.monotonic() + node.delay_s
            node.delay_s = min(node.delay_s * 2, LONGEST_DELAY_S)
            group = cgroups.Group(f"{self._home.cgroup.path}/{node.state.name}")
            group.kill()
            group.remove()  # its controllers are given away to groups below, so nobody could enter it again
            self._write_report()

    def _write_report(self) -> None:
        report = {"supervisor": os.getpid(), "nodes": {node.state.name: node.pid for node in self._nodes}}
        try:
            write_atomically(self._home.directory / "supervisor.json", json.dumps(report))
        except OSError:
            self._untold = True
        else:
            self._untold = False


def _supervise(home: Home, janitor: int) -> int:
    kernel.set_parent_death_signal(signal.SIGTERM, janitor)
    kernel.become_subreaper()  # nodes that lose their outer process come here; the machine's init may be slow
    kernel.name_process("aiconform-super")
    state = home.read()
    if state is None:
        return 1
    code = 0
    try:
        Supervisor(home, state, int(os.environ.pop("OWNER_FD")), int(os.environ["LISTEN_FD"])).run()
    except AiconformError as error:
        print(error.render(), file=sys.stderr, flush=True)  # noqa: T201
        code = 1
    if os.getppid() != janitor:
        _clean(home)
    return code


def _clean(home: Home) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps what dies from now on
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    cgroups.leave()
    home.remove()


def _pass_on(supervisor: int) -> None:
    """Tell the supervisor to end; told twice, the janitor may be cleaning already."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(supervisor, signal.SIGTERM)


def main() -> int:
    """Become the janitor, with the supervisor as child."""
    home = Home.of(sys.argv[1])
    group = cgroups.Group(f"{home.cgroup.path}/supervisor")
    group.create()
    home.cgroup.share_controllers()
    home.cgroup.weigh(os.cpu_count() or 1)
    group.enter()
    kernel.name_process("aiconform-clean")
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    kernel.become_subreaper()
    janitor = os.getpid()
    child = os.fork()
    if child == 0:
        return _supervise(home, janitor)
    descriptor = os.pidfd_open(child)
    signal.signal(signal.SIGTERM, lambda *_: _pass_on(descriptor))
    for name in ("OWNER_FD", "LISTEN_FD"):
        os.close(int(os.environ[name]))
    code = 0
    if os.waitpid(child, 0)[1] != 0:  # told to end, by `up` or `down`, it ends well
        with contextlib.suppress(OSError):
            code = KEPT if logs.keep(home) else 0
    _clean(home)
    return code


if __name__ == "__main__":
    sys.exit(main())
