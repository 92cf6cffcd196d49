"""Many runs with faults beside each other on one control plane, and the checker's word on all of them at the end."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from unittest import mock

import anyio
from tests.faults import cases, checker, decoys
from tests.faults.bench import Bench, Result
from tests.faults.cases import SUBJECTS, Case
from tests.faults.checker import AuditLog, Key, State
from tests.faults.plane import RUNNER, Plane
from tests.faults.trial import clean, tried

from aiconform.local.api import ApiError

Tell = Callable[[Result], None]
SIDE_BY_SIDE = 20
PROCESSES = 2 * (os.cpu_count() or 1)
"""Runs in processes of their own at a time: how soon they end is measured."""
COPIES = 22
"""Bystanders of each kind: with 41 kinds and the decoys, more than a thousand objects."""
OTHERS = 12
"""Namespaces that look like those of other runs."""
MINE = 10
"""Runs of the sweep whose label somebody else's objects bear."""
OUTAGE_EVERY = 12
"""Outages take long and stop all runs: they come at each twelfth request."""
_SETTLED_S = 30.0


@dataclass
class Sweep:
    """What came of all runs.

    Attributes:
        side_by_side: runs in this process at the same time.
        problems: of runs, by case; those that belong to no run under an empty name.
        writes: requests of all runs that changed something, by the audit log.
    """

    seed: int
    side_by_side: int = SIDE_BY_SIDE
    results: list[Result] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    bystanders: int = 0
    kinds_of_bystanders: int = 0
    touched: int = 0
    outside: int = 0
    writes: int = 0
    seconds: float = 0.0
    requests: dict[str, int] = field(default_factory=dict)

    def count(self, word: str) -> int:
        """How many problems are of a sort."""
        return sum(problem.startswith(f"{word}:") for _, problem in self.problems)


@dataclass
class Referee:
    """The state of the cluster before the runs."""

    plane: Plane
    resources: list[str]
    before: dict[Key, State]
    log: AuditLog
    mine: frozenset[str]


def prepare(plane: Plane, runs: Iterable[str], seed: int, *, copies: int = COPIES, others: int = OTHERS) -> Referee:
    """Plant the bystanders and look at everything once it is at rest."""
    rng = random.Random(f"{seed}/decoys")
    foreign = [f"{rng.getrandbits(64):016x}" for _ in range(others)]
    known = sorted(runs)
    mine = rng.sample(known, min(MINE, len(known)))
    api = plane.api()
    decoys.plant(api, decoys.manifests(copies, foreign, mine))
    resources = checker.resources(api)
    before = _at_rest(plane, resources)
    return Referee(plane, resources, before, AuditLog(plane.audit_log), frozenset(known))


def _at_rest(plane: Plane, resources: Sequence[str]) -> dict[Key, State]:
    api = plane.api()
    deadline = time.monotonic() + _SETTLED_S
    seen: dict[Key, State] | None = None
    while True:
        try:
            again = checker.snapshot(api, resources)
        except ApiError:
            if time.monotonic() > deadline:
                raise
            again = None  # kinds that were just defined are not served at once
        if again is not None and (again == seen or time.monotonic() > deadline):
            return again
        seen = again
        time.sleep(1)


def conclude(referee: Referee, sweep: Sweep) -> None:
    """Hold the cluster against what it was, and the audit log against what runs may write."""
    after = checker.snapshot(referee.plane.api(), referee.resources)
    difference = checker.compare(referee.before, after)
    by_run = {result.run: result.case for result in sweep.results}
    for key, state in sorted(difference.left.items()):
        sweep.problems.append((by_run.get(state.run, ""), f"left: {key} at the end"))
    sweep.problems += [("", f"touched: {words}") for words in difference.touched]
    seen = checker.audited(referee.log.news(), RUNNER, referee.mine)
    sweep.problems += [("", f"outside: {words}") for words in seen.outside]
    sweep.touched = sweep.count("touched")
    sweep.outside = len(seen.outside)
    sweep.writes = seen.writes
    sweep.bystanders = len(referee.before)
    sweep.kinds_of_bystanders = len({key.resource for key in referee.before})


class _Complaints(logging.Handler):
    """What asyncio would write to standard error: a task that died, an answer that nobody took."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))


@contextmanager
def _host() -> Iterator[list[str]]:
    """Let one process host many runs: what asyncio complains of is kept, and no run takes the signals for itself."""

    @contextmanager
    def no_signals(*_: object) -> Iterator[AsyncIterator[object]]:
        yield _never()

    complaints = _Complaints()
    logging.getLogger("asyncio").addHandler(complaints)
    try:
        with mock.patch.object(anyio, "open_signal_receiver", no_signals):
            yield complaints.texts
    finally:
        logging.getLogger("asyncio").removeHandler(complaints)


async def _never() -> AsyncIterator[object]:
    await asyncio.Event().wait()
    yield


async def references(bench: Bench, seed: int, subjects: Iterable[str] = SUBJECTS) -> dict[str, Result]:
    """A clean run of each subject.

    Raises:
        RuntimeError: it is not as it must be, so that nothing can be held against it.
    """
    found = {}
    for subject in subjects:
        result = await clean(bench, subject, seed)
        wanted = "passed" if subject == "good" else "failed"
        wrong = {name: seen for name, seen in result.outcomes.items() if seen != wanted}
        if wrong or result.problems or not result.outcomes:
            raise RuntimeError(f"the clean run {subject!r} is {wrong or result.reasons}: {result.problems}")
        found[subject] = result
    return found


async def sweep(
    plane: Plane,
    seed: int,
    choose: Callable[[dict[str, Result]], Sequence[Case]],
    tell: Tell,
    subjects: Sequence[str] = SUBJECTS,
    *,
    side_by_side: int = SIDE_BY_SIDE,
    **planting: int,
) -> Sweep:
    """Make the runs that are chosen from what clean runs ask, side by side, and judge them.

    Args:
        plane: where.
        seed: of all chance.
        choose: the cases, given the clean run of each subject.
        tell: hears of each result.
        subjects: what is run, see :mod:`tests.faults.rehearsal`.
        side_by_side: so many runs at the same time; those in processes of their own are fewer.
        planting: how many bystanders, see :func:`prepare`.
    """
    found = Sweep(seed, side_by_side)
    began = time.monotonic()
    with _host() as complaints:
        async with Bench(plane) as bench:
            known = await references(bench, seed, subjects)
            chosen = list(choose(known))
            found.requests = {subject: len(result.requests) for subject, result in known.items()}
            runs = [case.run(seed) for case in chosen]
            referee = await asyncio.to_thread(prepare, plane, runs, seed, **planting)
            await _all(bench, chosen, found, known, lambda result: _take(found, result, tell))
            await asyncio.to_thread(conclude, referee, found)
    found.problems += [("", f"traceback: {text}") for text in complaints]
    found.seconds = time.monotonic() - began
    return found


def _take(found: Sweep, result: Result, tell: Tell) -> None:
    found.results.append(result)
    found.problems += [(result.case, problem) for problem in result.problems]
    tell(result)


async def _all(
    bench: Bench, chosen: Sequence[Case], found: Sweep, known: dict[str, Result], take: Callable[[Result], None]
) -> None:
    """Those with faults beside each other, then those in processes of their own, then outages one by one."""
    alone = [case for case in chosen if case.kind in cases.OUTAGES]
    struck = [case for case in chosen if case.strike is not None]
    faulty = [case for case in chosen if case.strike is None and case.kind not in cases.OUTAGES]
    for group, workers in ((faulty, found.side_by_side), (struck, PROCESSES), (alone, 1)):
        waiting = iter(group)

        async def worker(waiting: Iterator[Case] = waiting) -> None:
            for case in waiting:
                take(await tried(bench, case, found.seed, known[case.subject]))

        async with asyncio.TaskGroup() as workers_at_it:
            for _ in range(min(workers, len(group))):
                workers_at_it.create_task(worker())


# -- which cases -------------------------------------------------------------------------------------------------------


def everything(known: dict[str, Result], mixes: int) -> list[Case]:
    """Every fault at every request of both subjects, every strike at every write, mixes, and outages."""
    found = [case for subject in SUBJECTS for case in cases.faults(len(known[subject].requests), subject)]
    found += cases.struck(known["good"].writes, known["good"].creations)
    found += [Case(cases.MIX, number) for number in range(mixes)]
    return found + list(cases.outages(len(known["good"].requests), OUTAGE_EVERY))


def sample(known: dict[str, Result], size: int, seed: int, kinds: Iterable[str] = ()) -> list[Case]:
    """Some of everything, in an order that a seed decides; of these kinds alone where any are named."""
    wanted = set(kinds)
    found = [case for case in everything(known, size) if not wanted or case.kind in wanted]
    random.Random(f"{seed}/sample").shuffle(found)
    return found[:size]


# -- the table ---------------------------------------------------------------------------------------------------------


def table(found: Sweep) -> list[str]:
    """The figures, and every problem with what repeats it."""
    results = found.results
    on_its_machine = [result for result in results if cases.parse(result.case).strike]
    faulty = len(results) - len(on_its_machine)
    worst = max(results, key=lambda result: result.wall_s, default=None)
    swept = {result.swept for result in results if result.swept}
    rows = {
        "runs": f"{len(results)} ({faulty} with faults, {len(on_its_machine)} struck on their own machine)",
        "at the same time": str(found.side_by_side),
        "kinds": str(len({cases.parse(result.case).kind for result in results})),
        "requests of a clean run": ", ".join(f"{name} {count}" for name, count in found.requests.items()),
        "struck": str(sum(result.struck > 0 for result in results)),
        "objects left": str(found.count("left")),
        "bystanders touched": f"{found.touched} of {found.bystanders}, in {found.kinds_of_bystanders} kinds",
        "writes outside the run": f"{found.outside} of {found.writes} in the audit log",
        "false passes": str(found.count("false-pass")),
        "failures for a fault": str(found.count("false-failure")),
        "tracebacks": str(found.count("traceback")),
        "bundles that do not verify": str(found.count("verify")),
        "overruns": str(found.count("overrun")),
        "worst wall": f"{worst.wall_s:.1f} s ({worst.case})" if worst else "none",
        "clean-ups after a kill": ", ".join(sorted(swept)) or "none",
        "seconds": f"{found.seconds:.0f}",
    }
    lines = [f"{name:<28}{value}" for name, value in rows.items()]
    for case, problem in found.problems:
        again = f"tools/faults.py --case {case} --seed {found.seed}" if case else f"seed {found.seed}"
        lines.append(f"PROBLEM {problem}\n    {again}")
    return lines
