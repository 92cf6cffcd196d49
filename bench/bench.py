"""The figures of this machine beside their targets: ``make bench``.

``make bench BENCH=--build`` also builds the core programs from nothing, into a cache of its own (many minutes).
Nothing is asserted: a figure that misses its target says so in the table.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from aiconform import local

NAME = "bench"
CHECKS = (
    "dra_support",
    "driver_runtime_management",
    "gpu_sharing",
    "virtualized_accelerator",
    "secure_accelerator_access",
)
MIB = 2**20
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


def tool(*arguments: str) -> tuple[int, float, float]:
    """Run the tool: its exit code, seconds, and most MiB of memory it held."""
    begun = time.monotonic()
    command = [sys.executable, "-m", "aiconform", *arguments]
    with Path(os.devnull).open("w") as nowhere, subprocess.Popen(command, stdout=nowhere) as process:
        _pid, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, time.monotonic() - begun, used.ru_maxrss / 1024


def help_figure() -> Figure:
    """The median of seven."""
    return Figure("aiconform --help", statistics.median(tool("--help")[1] for _ in range(7)) * 1000, 300, "ms")


def cluster_figures() -> list[Figure]:
    """Start, look, run the checks, verify, stop."""
    local.up(NAME)  # once before, so that everything is built and cached
    local.down(NAME)
    say("starting a local cluster, everything cached")
    times = Times()
    cluster = local.up(NAME, progress=times)
    ready = time.monotonic() - times.begun
    figures = [
        Figure("API server ready", times.steps.get("API server ready", ready), 5, "s"),
        Figure("three nodes Ready, accelerators advertised", ready, 20, "s"),
    ]
    try:
        say(f"letting it idle for {SETTLE_S} s")
        time.sleep(SETTLE_S)
        figures.append(Figure("memory of the idle cluster", local.status(NAME).memory_bytes / MIB, 3072, "MiB"))
        figures += run_figures(cluster.kubeconfig)
    finally:
        begun = time.monotonic()
        local.down(NAME)
        figures.append(Figure("local cluster down", time.monotonic() - begun, 3, "s"))
    return figures


def run_figures(kubeconfig: Path) -> list[Figure]:
    """The five checks, and verifying what they left."""
    from aiconform.local.images import IMAGES

    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "run"
        image = f"probe={IMAGES['busybox'].reference}"
        code, seconds, memory = tool(
            "run", *CHECKS, "--kubeconfig", str(kubeconfig), "--image", image, "--output", str(output)
        )
        say(f"run: exit code {code}")
        verified, verify_s, _ = tool("verify", str(output / "bundle"))
        say(f"verify: exit code {verified}")
    return [
        Figure(f"five checks (exit code {code})", seconds, 120, "s"),
        Figure("the tool's own memory in that run", memory, 150, "MiB"),
        Figure(f"verify of that bundle (exit code {verified})", verify_s, 2, "s"),
    ]


def build_figure() -> Figure:
    """Core programs from nothing: own caches for Go and for us; downloads count."""
    from aiconform.local.components import CORE

    with tempfile.TemporaryDirectory() as scratch:
        environment = {**os.environ, "XDG_CACHE_HOME": f"{scratch}/cache", "GOCACHE": f"{scratch}/go"}
        begun = time.monotonic()
        subprocess.run([sys.executable, "-m", "aiconform.local.build", *CORE], check=True, env=environment)
        return Figure("core programs from nothing", (time.monotonic() - begun) / 60, 12, "min")


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--build", action="store_true", help="also build the core programs from nothing")
    chosen = options.parse_args()
    figures = [help_figure(), *cluster_figures()]
    if chosen.build:
        figures.append(build_figure())
    head = f"{'figure':<52} {'value':>8} {'target':>8} {'':<4} {'ratio':>6}"
    cores = len(os.sched_getaffinity(0))
    machine = f"{cores} cores, Python {sys.version.split()[0]}, {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}"
    sys.stdout.write("\n".join([machine, head, *(figure.line() for figure in figures)]) + "\n")


if __name__ == "__main__":
    main()
