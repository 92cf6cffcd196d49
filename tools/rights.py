"""Proves the least role on a local cluster: granted is used, by the API server's audit log.

Usage: rights.py [--cluster NAME] [TURN | REQUIREMENT]...    every turn, if none is named; requirements are one turn

In each turn a ServiceAccount with exactly the role that ``aiconform doctor --rbac`` prints runs the requirements, told
what the turn tells. Then each right that no earlier turn has tried is taken away: the doctor must name it, and nothing
may be written. Exit code 1 if anything is otherwise. A cluster that is named must be up, with every add-on.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP))

from tests.support.least import Asked, Least, least, now, unused  # noqa: E402

from aiconform import catalog  # noqa: E402
from aiconform.engine.rights import Right  # noqa: E402
from aiconform.evidence.reader import open_bundle  # noqa: E402
from aiconform.local import Cluster, down, find, up  # noqa: E402
from aiconform.local.addons import registry  # noqa: E402
from aiconform.local.images.table import IMAGES  # noqa: E402

RELEASE = "1.35"
ALLOWED = ("passed", "n/a")
PROMETHEUS = "monitoring/prometheus-operated"
DANGEROUS = frozenset({"bind", "escalate", "impersonate"})


@dataclass(frozen=True)
class Turn:
    """What is run, told what."""

    requirements: tuple[str, ...]
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def asked(self) -> Asked:
        """The same, with the first release from 1.35 on that asks all of it."""
        later = catalog.releases()[catalog.releases().index(RELEASE) :]
        wanted = set(self.requirements)
        return Asked(
            self.requirements,
            next(one for one in later if wanted <= {item.id for item in catalog.requirements(one)}),
            self.options,
        )


TURNS: Mapping[str, Turn] = {
    "all": Turn(tuple(requirement.id for requirement in catalog.requirements(RELEASE))),
    "sandbox": Turn(("workload_sandboxing",)),
    "operator-kueue": Turn(("robust_controller",), {"operator": "kueue"}),
    "operator-volcano": Turn(("robust_controller",), {"operator": "volcano"}),
    "gang-kueue": Turn(("gang_scheduling",), {"gang-scheduler": "kueue"}),
    "gang-volcano": Turn(("gang_scheduling",), {"gang-scheduler": "volcano"}),
    "podmonitor": Turn(("ai_service_metrics",), {"scrape-by": "podmonitor"}),
    "prometheus-told": Turn(("accelerator_metrics", "ai_service_metrics"), {"prometheus": PROMETHEUS}),
    "prometheus-url": Turn(
        ("ai_service_metrics",), {"prometheus-url": "http://prometheus-operated.monitoring.svc:9090"}
    ),
    "gateway": Turn(("ai_inference",), {"gateway-port": "8080", "gateway-address": "in-cluster"}),
}


@dataclass
class Result:
    """What came of a turn.

    Attributes:
        figures: by what they count.
        wrong: what is otherwise than it should be.
        used: rights that were granted and used.
        rare: rights that were granted and not used, for what did not happen.
    """

    name: str
    figures: dict[str, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    used: set[Right] = field(default_factory=set)
    rare: set[Right] = field(default_factory=set)

    def say(self, what: str, value: object) -> None:
        """Keep a figure, and show it at once."""
        self.figures[what] = str(value)
        sys.stdout.write(f"{self.name:<18} {what:<40} {value}\n")
        sys.stdout.flush()


def main(arguments: Sequence[str]) -> int:
    """Run, count, take away, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cluster", help="name of a local cluster that is up; one is made and removed if absent")
    parser.add_argument("what", nargs="*", metavar="TURN|REQUIREMENT")
    given = parser.parse_args(arguments)
    turns = _turns(given.what)
    results: list[Result] = []
    tried: set[Right] = set()
    with _cluster(given.cluster, turns.values()) as cluster:
        for name, turn in turns.items():
            results.append(_turn(cluster, name, turn, tried))
    _table(results)
    never = {right for one in results for right in one.rare} - {right for one in results for right in one.used}
    sys.stdout.write(f"granted for what did not happen in any turn: {', '.join(map(str, sorted(never))) or 'none'}\n")
    for one in results:
        for line in one.wrong:
            sys.stdout.write(f"WRONG: {one.name}: {line}\n")
    return 1 if any(one.wrong for one in results) else 0


def _turns(names: Sequence[str]) -> dict[str, Turn]:
    chosen = {name: TURNS[name] for name in names if name in TURNS} if names else dict(TURNS)
    rest = tuple(name for name in names if name not in TURNS)
    return {**chosen, **({"named": Turn(rest)} if rest else {})}


@contextmanager
def _cluster(name: str | None, turns: Iterable[Turn]) -> Iterator[Cluster]:
    if name:
        yield find(name)
        return
    wanted = sorted({requirement for turn in turns for requirement in turn.requirements})
    brought = registry.for_requirements(wanted)
    if any(turn.options for turn in turns):
        brought = registry.chosen(registry.EVERY)
    cluster = up(f"rights-{os.getpid()}", owner_pid=os.getpid(), addons=brought)
    try:
        yield cluster
    finally:
        down(cluster.name)


def _turn(cluster: Cluster, name: str, turn: Turn, tried: set[Right]) -> Result:
    result = Result(name)
    with tempfile.TemporaryDirectory() as scratch, least(cluster, Path(scratch), turn.asked) as user:
        _doctor(user, result)
        _run(cluster, user, Path(scratch), result)
        _taken_away(user, [right for right in user.granted if right not in tried], result)
        tried.update(user.granted)
    return result


def _doctor(user: Least, result: Result) -> None:
    begun = time.monotonic()
    done = user.doctor()
    sys.stdout.write(done.stdout)
    result.say("doctor", f"{time.monotonic() - begun:.1f} s, exit code {done.returncode}")
    levels = {catalog.get(user.asked.release, name).level for name in user.asked.requirements}
    if done.returncode != (0 if "MUST" in levels else 3):  # those that are asked for beyond MUST decide nothing
        result.wrong.append(f"the doctor ends with {done.returncode}: {done.stderr}")


def _run(cluster: Cluster, user: Least, scratch: Path, result: Result) -> None:
    since, begun = now(), time.monotonic()
    done = user.run(scratch / "run", "--image", f"probe={IMAGES['busybox'].reference}")
    if not (scratch / "run" / "bundle" / "manifest.json").is_file():
        result.wrong.append(f"the run sealed nothing: {done.stderr[-1000:]}")
        return
    verdicts = open_bundle(scratch / "run" / "bundle").verdicts
    used = user.used(since)
    idle, rare = unused(user, used)
    result.rare = set(rare)
    result.used = set(user.granted) - set(rare) - set(idle)
    for check in verdicts.checks:
        result.say(f"  {check.requirement}", f"{check.outcome} {check.reason}".rstrip())
    rules = user.role["rules"]
    words = [{*rule["verbs"], *rule["resources"], *rule["apiGroups"]} for rule in rules]
    watches = {(r.group, r.resource) for r in used.rights if r.verb == "watch"}
    result.say("passed", f"{sum(one.outcome == 'passed' for one in verdicts.checks)} of {len(verdicts.checks)}")
    result.say("took", f"{time.monotonic() - begun:.0f} s")
    result.say("requests", used.requests)
    result.say("granted", len(user.granted))
    result.say("rules", len(rules))
    result.say("unused", len(idle))
    result.say("for what did not happen", f"{len(rare)} {', '.join(map(str, rare))}".rstrip())
    result.say("refused", len(used.refused))
    result.say("with *", sum("*" in one for one in words))
    result.say("bind, escalate, impersonate", sum(bool(one & DANGEROUS) for one in words))
    result.say("Secrets", sum("secrets" in one for one in words) + sum(r.resource == "secrets" for r in used.rights))
    result.say(
        "watches beside a list that was enough",
        sum(r.verb == "watch" and (r.group, r.resource) not in watches for r in user.granted),
    )
    left = cluster.kubectl("get", "namespaces", "-l", f"aiconform.dev/run={verdicts.run}", "-o", "name").split()
    result.wrong += [
        *(f"unused: {right}" for right in idle),
        *(f"missing: {right}" for right in sorted(used.refused)),
        *(
            f"{check.requirement} is {check.outcome}: {check.reason}"
            for check in verdicts.checks
            if check.outcome not in ALLOWED
        ),
        *(f"left behind: {name}" for name in left),
    ]


def _taken_away(user: Least, rights: Sequence[Right], result: Result) -> None:
    since, begun = now(), time.monotonic()
    unnamed: list[Right] = []
    for right in rights:
        with user.without(right):
            if not user.named(right):
                unnamed.append(right)
    writes = user.used(since).writes
    result.say("taken away, and named", f"{len(rights) - len(unnamed)} of {len(rights)}")
    result.say("taking away took", f"{time.monotonic() - begun:.0f} s")
    result.say("writes meanwhile", len(writes))
    result.wrong += [
        *(f"taken away and not named: {right}" for right in unnamed),
        *(f"written: {what}" for what in writes),
    ]


_COLUMNS = {
    "passed": "passed",
    "granted": "granted",
    "rules": "rules",
    "unused": "unused",
    "for what did not happen": "rare",
    "refused": "refused",
    "with *": "*",
    "bind, escalate, impersonate": "bind",
    "Secrets": "Secrets",
    "taken away, and named": "taken, named",
    "writes meanwhile": "writes",
    "requests": "requests",
    "took": "took",
}


def _table(results: Sequence[Result]) -> None:
    rows = [["turn", *_COLUMNS.values()]]
    for one in results:
        values = {what: one.figures.get(what, "-") for what in _COLUMNS}
        values["for what did not happen"] = values["for what did not happen"].partition(" ")[0]
        rows.append([one.name, *values.values()])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        sys.stdout.write("  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip() + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
