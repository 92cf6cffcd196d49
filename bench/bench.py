"""The figures of this machine beside their targets: ``make bench``.

``make bench BENCH=--build`` also builds the core programs from nothing, into a cache of its own (many minutes).
Nothing is asserted: a figure that misses its target says so in the table.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from aiconform import local
from aiconform.local.state import Home

NAME = "bench"
MIB = 2**20
GIB = 2**30
SETTLE_S = 20


@dataclass(frozen=True)
class Figure:
    """Something measured."""

    what: str
    value: float
    target: float
    unit: str

    def line(self) -> str:
        """A row of the table."""
        ratio = self.value / self.target
        remark = "" if ratio <= 1 else "  misses its target"
        return f"{self.what:<52} {self.value:>8.2f} {self.target:>8.2f} {self.unit:<4} {ratio:>6.2f}{remark}"


@dataclass
class Times:
    """Notes when each step of a start was over; a :class:`~aiconform.progress.Progress`."""

    begun: float = field(default_factory=time.monotonic)
    steps: dict[str, float] = field(default_factory=dict)

    def update(self, what: str, done: int = 0, total: int = 0, waiting: str = "") -> None:
        """Nothing to note."""

    def finished(self, what: str, detail: str = "") -> None:
        """A step is over."""
        self.steps[what] = time.monotonic() - self.begun
        say(f"  {what}  {detail}")


def say(text: str) -> None:
    """Tell on standard error."""
    sys.stderr.write(text + "\n")


@dataclass
class Memory:
    """Looks at an amount of memory again and again while something else goes on; use as a context manager.

    Args:
        now: tells it in bytes.
        every_s: how often to look.
    """

    now: Callable[[], int]
    every_s: float
    most: int = 0
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Memory:
        """Begin to look."""
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        """Look no more."""
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(self.every_s):
            with contextlib.suppress(OSError, ValueError):  # what is looked at comes up, or goes
                self.most = max(self.most, self.now())


def most_of(pid: int) -> int:
    """The most memory that a process held so far, in bytes: its own, without that of the programs it started."""
    status = Path(f"/proc/{pid}/status").read_text()
    return sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) * 1024


def tool(*arguments: str) -> tuple[int, float, float]:
    """Run the tool: its exit code, seconds, and most MiB of memory it held."""
    begun = time.monotonic()
    command = [sys.executable, "-m", "aiconform", *arguments]
    with (
        Path(os.devnull).open("w") as nowhere,
        subprocess.Popen(command, stdout=nowhere) as process,
        Memory(partial(most_of, process.pid), every_s=0.1) as memory,
    ):
        process.wait()
        took = time.monotonic() - begun
    return process.returncode, took, memory.most / MIB


def help_figure() -> Figure:
    """The median of seven."""
    return Figure("aiconform --help", statistics.median(tool("--help")[1] for _ in range(7)) * 1000, 300, "ms")


def cluster_figures() -> list[Figure]:
    """Start, look, stop."""
    local.up(NAME)  # once before, so that everything is built and cached
    local.down(NAME)
    say("starting a local cluster, everything cached")
    times = Times()
    local.up(NAME, progress=times)
    ready = time.monotonic() - times.begun
    figures = [
        Figure("API server ready", times.steps.get("API server ready", ready), 5, "s"),
        Figure("three nodes Ready, accelerators advertised", ready, 20, "s"),
    ]
    try:
        say(f"letting it idle for {SETTLE_S} s")
        time.sleep(SETTLE_S)
        figures.append(Figure("memory of the idle cluster", local.status(NAME).memory_bytes / MIB, 3072, "MiB"))
    finally:
        begun = time.monotonic()
        local.down(NAME)
        figures.append(Figure("local cluster down", time.monotonic() - begun, 3, "s"))
    return figures


def whole_run_figures() -> tuple[list[Figure], list[str]]:
    """Every requirement from nothing running to a sealed bundle; then verifying it."""
    say("running every requirement, from nothing running")
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "run"
        bundle = output / "bundle"
        begun = time.time()
        with Memory(Home.of(NAME).cgroup.memory_bytes, every_s=2.0) as memory:
            code, _, tool_mib = tool("run", "--local", "--name", NAME, "--output", str(output))
        sealed = (bundle / "manifest.json").stat().st_mtime - begun
        verdicts = json.loads((bundle / "verdicts.json").read_bytes())
        verified, verify_s, _ = tool("verify", str(bundle))
    began = datetime.fromisoformat(verdicts["started"]).timestamp() - begun
    ends = [check["ended_us"] / 1e6 for check in verdicts["checks"] if check["ended_us"]]
    figures = [
        Figure(f"all requirements, to the sealed bundle (exit {code})", sealed, 480, "s"),
        Figure("first verdict", began + min(ends), 60, "s"),
        Figure("most memory of the cluster in that run", memory.most / GIB, 7, "GiB"),
        Figure("the tool's own memory in that run", tool_mib, 150, "MiB"),
        Figure(f"verify of that bundle (exit {verified})", verify_s, 2, "s"),
    ]
    return figures, check_lines(verdicts["checks"], began)


def check_lines(checks: list[dict[str, Any]], began: float) -> list[str]:
    """A row for each requirement: when it was decided, how long it took, how much of that had to be watched."""
    lines = [f"{'requirement':<28} {'verdict':<10} {'decided at':>10} {'took':>8} {'window':>8}   seconds"]
    for check in checks:
        watched = sum(seen.get("window_s", 0) for probe in check["probes"] for seen in probe["observations"])
        if check["started_us"] is None:
            lines.append(f"{check['requirement']:<28} {check['outcome']:<10}")
            continue
        took = (check["ended_us"] - check["started_us"]) / 1e6
        decided = began + check["ended_us"] / 1e6
        lines.append(f"{check['requirement']:<28} {check['outcome']:<10} {decided:>10.1f} {took:>8.1f} {watched:>8.1f}")
    return lines


def build_figure() -> Figure:
    """Core programs from nothing: own caches for Go and for us; downloads count."""
    from aiconform.local.components import CORE

    with tempfile.TemporaryDirectory() as scratch:
        environment = {**os.environ, "XDG_CACHE_HOME": f"{scratch}/cache", "GOCACHE": f"{scratch}/go"}
        begun = time.monotonic()
        subprocess.run([sys.executable, "-m", "aiconform.local.prebuild", *CORE], check=True, env=environment)
        return Figure("core programs from nothing", (time.monotonic() - begun) / 60, 12, "min")


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--build", action="store_true", help="also build the core programs from nothing")
    chosen = options.parse_args()
    whole, checks = whole_run_figures()
    figures = [help_figure(), *cluster_figures(), *whole]
    if chosen.build:
        figures.append(build_figure())
    head = f"{'figure':<52} {'value':>8} {'target':>8} {'':<4} {'ratio':>6}"
    cores = len(os.sched_getaffinity(0))
    machine = f"{cores} cores, Python {sys.version.split()[0]}, {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}"
    sys.stdout.write("\n".join([machine, head, *(figure.line() for figure in figures), "", *checks]) + "\n")


if __name__ == "__main__":
    main()
