"""Runs every check alone, twice in a row, and all of them in shuffled orders: the verdicts must always be the same.

Usage: soak.py [ORDERS]    how many shuffled runs of the whole checklist (2)

One local cluster with every add-on serves all runs, so what a run leaves behind is found by the next.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Sequence

import trial

from aiconform import catalog
from aiconform.local import Cluster, down, up
from aiconform.local.addons import registry

RELEASE = "1.35"
LIMIT_S = 1800


def main(arguments: Sequence[str]) -> int:
    """Run all, print what differs."""
    orders = int(arguments[0]) if arguments else 2
    names = [requirement.id for requirement in catalog.requirements(RELEASE)]
    seen: dict[str, list[str]] = {name: [] for name in names}
    cluster = up(f"soak-{os.getpid()}", owner_pid=os.getpid(), addons=registry.for_requirements(names))
    try:
        for name in names:
            for turn in ("alone", "again"):
                _run(cluster, [name], turn, seen)
        for number in range(orders):
            order = random.sample(names, len(names))
            _run(cluster, order, f"order {number + 1}: {' '.join(order)}", seen)
    finally:
        down(cluster.name)
    different = {name: outcomes for name, outcomes in seen.items() if len(set(outcomes)) != 1}
    for name, outcomes in seen.items():
        sys.stdout.write(f"{name:<28}{', '.join(outcomes)}\n")
    sys.stdout.write(f"\n{len(different)} of {len(names)} requirements had different verdicts\n")
    return 1 if different else 0


def _run(cluster: Cluster, requirements: list[str], what: str, seen: dict[str, list[str]]) -> None:
    began = time.monotonic()
    verdicts = trial.run(cluster, requirements, limit_s=LIMIT_S)
    for check in verdicts.checks:
        seen[check.requirement].append(check.outcome)
        if check.outcome not in ("passed", "n/a"):
            sys.stderr.write(f"{check.requirement}: {check.outcome}: {check.reason}\n")
    left = f", left behind: {', '.join(verdicts.left_behind)}" if verdicts.left_behind else ""
    outcomes = ", ".join(f"{check.requirement} {check.outcome}" for check in verdicts.checks)
    sys.stderr.write(f"{what}: {outcomes} ({time.monotonic() - began:.0f} s{left})\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
