"""A sample of the fault tests (``make faults`` makes them all): small, seeded, on a control plane of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from tests.faults import strikes, sweep
from tests.faults.bench import Result
from tests.faults.cases import OUTAGES, Case
from tests.faults.plane import Plane

pytestmark = pytest.mark.cluster

SEED = 5
FAULTS = 30
SLOW = frozenset({"blackhole", "stall", "trickle"})
"""Kinds that are noticed by a time limit alone; a sample of seconds leaves them to ``make faults``."""


def chosen(known: dict[str, Result]) -> Sequence[Case]:
    every = [case for case in sweep.sample(known, 10_000, SEED) if case.kind not in SLOW | {"mix", *OUTAGES}]
    faults = [case for case in every if case.strike is None][:FAULTS]
    struck = {case.strike[0]: case for case in every if case.strike is not None}
    return [*faults, *struck.values()]


def test_a_sample_of_faults_leaves_nothing_and_lies_nowhere() -> None:
    with Plane() as plane:
        found = asyncio.run(sweep.sweep(plane, SEED, chosen, lambda _: None, copies=1, others=2))
    assert len(found.results) == FAULTS + len(strikes.NAMES)
    assert sum(result.struck > 0 for result in found.results) > 0.8 * len(found.results)
    assert found.writes > 100, "the audit log has what the runs did"
    assert found.bystanders > 60
    problems = [(case, text) for case, text in found.problems if not text.startswith("false-failure:")]
    assert problems == [], "\n".join(sweep.table(found))
