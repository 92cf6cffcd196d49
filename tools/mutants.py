"""Breaks a local cluster in every way that ``tests/mutants`` knows, and shows which probe each mutant kills.

Usage: mutants.py [--cluster NAME] [REQUIREMENT]...

A cluster that is named must be up, with the add-ons that are needed; mutants that can be repaired are tried on it.
Exit code 1 if a probe passes on its mutant, ends for another reason than it must, or has no mutant at all.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP))

import trial  # noqa: E402
from tests.mutants.contract import UNTRIED, Mutant  # noqa: E402

from aiconform.checks import all_checks  # noqa: E402
from aiconform.errors import AiconformError  # noqa: E402
from aiconform.local import Cluster, down, find, status, up  # noqa: E402

LIMIT_S = 1200


@dataclass(frozen=True)
class Tried:
    """A mutant and what came of it; ``wrong`` is empty where it killed what it must."""

    mutant: Mutant
    wrong: list[str]
    seconds: float


def main(arguments: list[str]) -> int:
    """Run the mutants of these requirements, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cluster", help="name of a local cluster that is up; such are made and removed if absent")
    parser.add_argument("requirements", nargs="*", metavar="REQUIREMENT")
    given = parser.parse_args(arguments)
    names: list[str] = given.requirements
    checks = all_checks()
    unknown = sorted(set(names) - set(checks))
    if unknown:
        sys.stderr.write(f"error: no check for {', '.join(unknown)}\n")
        return 2
    wanted = names or sorted(checks)
    mutants = [mutant for name in wanted for mutant in _mutants(name)]
    tried = _try_on(given.cluster, mutants) if given.cluster else _try_all(mutants)
    return _table(wanted, tried)


def _mutants(requirement: str) -> tuple[Mutant, ...]:
    try:
        return tuple(importlib.import_module(f"tests.mutants.{requirement}").MUTANTS)
    except ModuleNotFoundError:
        return ()


def _try_all(mutants: list[Mutant]) -> list[Tried]:
    """Each on a good cluster, one after another; those that can be repaired share one."""
    tried: list[Tried] = []
    for profile in sorted({mutant.profile for mutant in mutants}):
        shared = [mutant for mutant in mutants if mutant.profile == profile and not mutant.fresh]
        if shared:
            with _cluster(profile, shared) as cluster:
                tried += [_try(cluster, mutant) for mutant in shared]
    for mutant in mutants:
        if mutant.fresh:
            with _cluster(mutant.profile, [mutant]) as cluster:
                tried.append(_try(cluster, mutant))
    return tried


def _try_on(name: str, mutants: list[Mutant]) -> list[Tried]:
    cluster, profile = find(name), status(name).profile
    return [_try(cluster, mutant) for mutant in mutants if mutant.profile == profile and not mutant.fresh]


@contextmanager
def _cluster(profile: str, mutants: Iterable[Mutant]) -> Iterator[Cluster]:
    from aiconform.local.addons import registry

    listed = list(mutants)
    addons = registry.for_requirements(sorted({mutant.requirement for mutant in listed}))
    addons = registry.wanted([*(addon.name for addon in addons), *sorted({n for one in listed for n in one.addons})])
    name = f"mutants-{os.getpid()}"
    _say(f"starting a cluster of profile {profile} with {', '.join(addon.name for addon in addons) or 'no add-ons'}")
    try:
        yield up(name, profile, owner_pid=os.getpid(), addons=addons)
    finally:
        down(name)


def _try(cluster: Cluster, mutant: Mutant) -> Tried:
    began = time.monotonic()
    _say(f"{mutant.requirement}: {mutant.what}")
    try:
        with mutant.broken(cluster):
            (check,) = trial.run(cluster, [mutant.requirement], limit_s=LIMIT_S, options=mutant.options).checks
            wrong = mutant.survivors(check)
    except AiconformError as problem:
        wrong = [f"cannot be tried: {problem}"]
    seconds = time.monotonic() - began
    done = f"killed {', '.join(mutant.kills)}" if mutant.kills else mutant.told or "the check is not run"
    _say(f"  {'; '.join(wrong) or done} ({seconds:.0f} s)")
    return Tried(mutant, wrong, seconds)


def _table(requirements: Iterable[str], tried: list[Tried]) -> int:
    rows: list[tuple[str, str, str]] = []
    bad = [one for one in tried if one.wrong]
    missing = 0
    for requirement in requirements:
        for probe in all_checks()[requirement].probes:
            # probes of several requirements have the same name
            mine = [one.mutant for one in tried if one.mutant.requirement == requirement and not one.wrong]
            killers = [mutant.what for mutant in mine if probe.id in mutant.kills]
            untried = UNTRIED.get(f"{requirement}/{probe.id}", "")
            missing += not (killers or untried)
            rows.append((requirement, probe.id, killers[0] if killers else untried or "NONE"))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    sys.stdout.write("\n".join(f"{r:<{widths[0]}}  {p:<{widths[1]}}  {k}" for r, p, k in rows) + "\n\n")
    sys.stdout.write(f"{len(rows)} probes, {len(tried)} mutants, {missing} probes without a mutant that kills them\n")
    for one in bad:
        sys.stdout.write(f"not as it must be: {one.mutant.requirement}: {one.mutant.what}: {'; '.join(one.wrong)}\n")
    return 1 if bad or missing else 0


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
