#!/usr/bin/env python3
"""Injects faults into runs against a real API server, and looks from outside at what they leave and touch.

Usage: faults.py [--seed N] [--sample N] [--mixes N] [--kind KIND]... [--case KIND@REQUEST]... [--side-by-side N]
                 [--log FILE]

Without --sample and --case: every kind of fault at every request, and signals, a full disk and a screen that is gone at
every write. Exit code 1 if anything is left, touched, falsely passed or written outside of a run, if a traceback is
shown, or a limit is overrun.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

TOP = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP))

from tests.faults import cases, sweep  # noqa: E402
from tests.faults.bench import Result  # noqa: E402
from tests.faults.plane import Plane  # noqa: E402

TOLD = frozenset({"false-failure"})
"""Sorts of problem that are counted and told, but allowed: the verdict is not a pass and says why."""


def main(arguments: Sequence[str]) -> int:
    """Run, print the table."""
    given = _parser().parse_args(arguments)
    named = [cases.parse(text) for text in given.case]

    def choose(known: dict[str, Result]) -> list[cases.Case]:
        if named:
            return named
        if given.sample:
            return sweep.sample(known, given.sample, given.seed, given.kind)
        every = sweep.everything(known, given.mixes)
        return [case for case in every if not given.kind or case.kind in given.kind]

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the control plane is taken down
    with Plane() as plane, Path(given.log).open("a") as log:
        work = sweep.sweep(plane, given.seed, choose, lambda one: _tell(one, log), side_by_side=given.side_by_side)
        found = asyncio.run(work)
    sys.stdout.write("\n".join([*sweep.table(found), ""]))
    return 1 if any(problem.partition(":")[0] not in TOLD for _, problem in found.problems) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Inject faults into runs against a real API server.")
    parser.add_argument("--seed", type=int, default=1, help="of all chance (1)")
    parser.add_argument("--sample", type=int, default=0, help="so many cases, chosen by the seed")
    parser.add_argument("--mixes", type=int, default=200, help="runs with several faults (200)")
    parser.add_argument("--kind", action="append", default=[], help="these kinds only")
    parser.add_argument("--case", action="append", default=[], help="this case only, such as 500@12")
    runs = "so many runs at the same time (%(default)s)"
    parser.add_argument("--side-by-side", type=int, default=sweep.SIDE_BY_SIDE, help=runs)
    parser.add_argument("--log", default="/dev/null", help="one line of JSON for each run goes here")
    return parser


def _tell(result: Result, log: IO[str]) -> None:
    log.write(result.line() + "\n")
    log.flush()
    mark = "; ".join(result.problems) or "good"
    sys.stderr.write(f"{result.case:<24}{result.code:>4}{result.wall_s:8.1f} s  {mark}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
