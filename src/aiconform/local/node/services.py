"""Keeps programs running: starts them in order, collects their output, starts them again when they die and says why.

Runs inside a node's first process, in one thread. See :class:`Keeper`.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aiconform.local.node.launch import INSIDE, Service

LOG_BYTES = 8 * 1024 * 1024
"""A log file that grows beyond this is renamed to ``.1``, over the one before; two are kept."""

FIRST_DELAY_S = 0.25
LONGEST_DELAY_S = 10.0
STEADY_S = 30.0
"""A program that ran this long starts again without delay when it dies."""

UNTOLD_S = 1.0
"""A report that could not be written, mostly for want of space, is tried again this much later."""


class Log:
    """A log file of bounded size that remembers its last lines."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("ab", buffering=0)
        self._size = self._file.tell()
        self.tail: deque[str] = deque(maxlen=5)

    def write(self, data: bytes) -> None:
        """Append; what a full disk does not take is lost, and with it no more than that."""
        self.tail.extend(line for line in data.decode(errors="replace").splitlines() if line.strip())
        with contextlib.suppress(OSError):
            if self._size + len(data) > LOG_BYTES:
                self._begin_anew()
            self._size += self._file.write(data)

    def _begin_anew(self) -> None:
        with contextlib.suppress(FileNotFoundError):  # renamed before, when there was no room for the next
            self._path.replace(self._path.with_suffix(".log.1"))
        following = self._path.open("ab", buffering=0)
        self._file.close()
        self._file = following
        self._size = 0

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def note(self, text: str) -> None:
        """Append a line of our own, with the time."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        tail = tuple(self.tail)
        self.write(f"[aiconform {stamp}] {text}\n".encode())
        self.tail = deque(tail, maxlen=5)


@dataclass
class Running:
    """A service and what became of it so far."""

    service: Service
    log: Log
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    not_before: float = 0.0
    delay_s: float = FIRST_DELAY_S
    restarts: int = 0
    done: bool = False
    last_end: str = ""
    missing: list[str] = field(default_factory=list)

    @property
    def condition(self) -> str:
        """One of running, done, waiting (for what others do first), restarting."""
        if self.process is not None:
            return "running"
        if self.done:
            return "done"
        return "restarting" if self.last_end else "waiting"


def describe_exit(code: int) -> str:
    """An exit code as :mod:`subprocess` has it, in words: ``exit status 1``, ``signal SIGKILL``."""
    if code >= 0:
        return f"exit status {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"


class Keeper:
    """Runs services until the process ends.

    Args:
        services: what to run.
        environment: of every service.
        logs: directory of their log files.
        report: file that always holds the services' condition, for ``status``.
        programs: directory their programs are in.
    """

    def __init__(
        self, services: tuple[Service, ...], environment: Mapping[str, str], logs: Path, report: Path, programs: Path
    ) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self._environment = dict(environment)
        self._report = report
        self._programs = programs
        self._own_log = Log(logs / "node.log")
        self._services = [Running(service, Log(logs / f"{service.name}.log")) for service in services]
        self._untold = False
        self._selector = selectors.DefaultSelector()
        self._wake_reader, self._wake_writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector.register(self._wake_reader, selectors.EVENT_READ, None)

    def run(self) -> None:
        """Start, watch and restart the services; never returns."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake_writer)
        while True:
            self._start_due()
            for key, _ in self._selector.select(self._pause_s()):
                if isinstance(key.data, Running):
                    self._read(key.fd, key.data)
                else:
                    os.read(self._wake_reader, 4096)
            self._reap()

    def _pause_s(self) -> float | None:
        if any(s.process is None and not s.done for s in self._services):
            return 0.05
        return UNTOLD_S if self._untold else None

    def _start_due(self) -> None:
        now = time.monotonic()
        changed = self._untold
        for running in self._services:
            if running.process is not None or running.done or now < running.not_before:
                continue
            running.missing = [path for path in running.service.after if not Path(path).exists()]
            if not running.missing:
                self._start(running)
                changed = True
        if changed:
            self._write_report()

    def _start(self, running: Running) -> None:
        reader, writer = os.pipe2(os.O_CLOEXEC)
        program, *arguments = running.service.argv
        found = self._programs / program
        try:
            running.process = subprocess.Popen(
                [str(found) if found.exists() else program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=writer,
                stderr=writer,
                env={**self._environment, **running.service.environment},
                cwd="/",
                start_new_session=True,
                close_fds="LISTEN_FD" not in running.service.environment,
            )
        except OSError as error:
            os.close(reader)
            self._ended(running, f"cannot be started: {error}")
            return
        finally:
            os.close(writer)
        running.started = time.monotonic()
        self._selector.register(reader, selectors.EVENT_READ, running)

    def _read(self, descriptor: int, running: Running) -> None:
        data = os.read(descriptor, 65536)
        if data:
            running.log.write(data)
        else:
            self._selector.unregister(descriptor)
            os.close(descriptor)

    def _reap(self) -> None:
        """Wait for every child that ended: services, and orphans such as container shims."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for running in self._services:
                if running.process is not None and running.process.pid == pid:
                    running.process.returncode = os.waitstatus_to_exitcode(status)
                    running.process = None
                    self._ended(running, describe_exit(os.waitstatus_to_exitcode(status)))

    def _ended(self, running: Running, how: str) -> None:
        service = running.service
        if service.once and how == "exit status 0":
            running.done = True
            (Path(INSIDE) / "done" / service.name).touch()
            self._write_report()
            return
        now = time.monotonic()
        lived = now - running.started if running.started else 0.0
        if lived > STEADY_S:
            running.delay_s = FIRST_DELAY_S
        text = f"{service.name} ended: {how}, after {lived:.1f} s; starts again in {running.delay_s:g} s"
        running.log.note(text)
        self._own_log.note(text)
        for line in running.log.tail:
            self._own_log.note(f"  {service.name}: {line}")
        running.last_end = how
        running.restarts += 1
        running.not_before = now + running.delay_s
        running.delay_s = min(running.delay_s * 2, LONGEST_DELAY_S)
        self._write_report()

    def _write_report(self) -> None:
        text = json.dumps(
            {
                running.service.name: {
                    "condition": running.condition,
                    "pid": running.process.pid if running.process else None,
                    "restarts": running.restarts,
                    "last_end": running.last_end,
                    "tail": list(running.log.tail) if running.restarts else [],
                }
                for running in self._services
            }
        )
        temporary = self._report.with_name(self._report.name + ".new")
        try:
            temporary.write_text(text)
            temporary.replace(self._report)
        except OSError:
            self._untold = True
        else:
            self._untold = False
