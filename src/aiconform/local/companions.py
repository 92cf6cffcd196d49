"""Helpers of add-ons on the machine itself, such as what turns an autoscaler's Node objects into nodes.

They are children of the cluster's supervisor: they live as long as the cluster, are started again when they die, and
end with it, whatever ends it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiconform.local.node import kernel
from aiconform.local.node.services import FIRST_DELAY_S, LONGEST_DELAY_S, STEADY_S, Log, describe_exit
from aiconform.local.state import Home, write_atomically

FILE = "companions.json"


def wanted(home: Home) -> Mapping[str, Sequence[str]]:
    """The companions of a cluster: Python module and arguments by name."""
    try:
        found = json.loads((home.directory / FILE).read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write(home: Home, companions: Mapping[str, Sequence[str]]) -> None:
    """Store what should run; the supervisor looks when it is told that something changed."""
    write_atomically(home.directory / FILE, json.dumps(companions, indent=1))


@dataclass
class _Companion:
    name: str
    argv: list[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    not_before: float = 0.0
    delay_s: float = FIRST_DELAY_S


class Companions:
    """The companions of one cluster, as its supervisor keeps them.

    Args:
        home: the cluster's files.
        log: the supervisor's.
    """

    def __init__(self, home: Home, log: Log) -> None:
        self._home = home
        self._log = log
        self._running: dict[str, _Companion] = {}
        self.read()

    def read(self) -> None:
        """Learn what should run, and end what should not any more."""
        found = wanted(self._home)
        for name in [name for name in self._running if name not in found]:
            companion = self._running.pop(name)
            if companion.process is not None:
                companion.process.kill()
                companion.process.wait()
                self._log.note(f"companion {name} was ended")
        for name, argv in found.items():
            self._running.setdefault(name, _Companion(name, [*argv]))

    def run(self) -> bool:
        """True if all of them run."""
        return all(companion.process is not None for companion in self._running.values())

    def start_due(self) -> None:
        """Start those that do not run, each after its pause."""
        for companion in self._running.values():
            if companion.process is None and time.monotonic() >= companion.not_before:
                self._start(companion)

    def _start(self, companion: _Companion) -> None:
        with (self._home.logs / f"{companion.name}.log").open("ab") as file:
            companion.process = subprocess.Popen(
                [sys.executable, "-m", *companion.argv],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                cwd="/",
                start_new_session=True,
            )
        companion.started = time.monotonic()
        self._log.note(f"companion {companion.name} started, process {companion.process.pid}")

    def reap(self) -> None:
        """Notice those that ended."""
        for companion in self._running.values():
            code = companion.process.poll() if companion.process else None
            if code is None:
                continue
            companion.process = None
            if time.monotonic() - companion.started > STEADY_S:
                companion.delay_s = FIRST_DELAY_S
            self._log.note(
                f"companion {companion.name} ended: {describe_exit(code)}; starts again in {companion.delay_s:g} s"
            )
            companion.not_before = time.monotonic() + companion.delay_s
            companion.delay_s = min(companion.delay_s * 2, LONGEST_DELAY_S)


def end_with_supervisor() -> None:
    """Called by a companion first: the kernel ends it when the supervisor dies, even if it is dead already."""
    kernel.set_parent_death_signal(signal.SIGKILL, os.getppid())
