"""For every probe: the recorded run of a good cluster, with one answer changed to a bad one, fails for that reason.

The changes are in ``cases``, one module per requirement.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.substitutions import InJson
from tests.unit.checks import cases
from tests.unit.checks.cases.contract import BUNDLES, ELSEWHERE, Case, alone, golden

from aiconform.checks import all_checks
from aiconform.engine.rejudge import rejudge, replay
from aiconform.evidence.documents import ProbeVerdict, Verdicts
from aiconform.evidence.headline import headline

CASES: list[Case] = [
    case
    for found in pkgutil.iter_modules(cases.__path__)
    for case in getattr(importlib.import_module(f"{cases.__name__}.{found.name}"), "CASES", ())
]


def probe_of(verdicts: Verdicts, lane: str) -> ProbeVerdict:
    return next(probe for check in verdicts.checks for probe in check.probes if probe.lane == lane)


@pytest.mark.parametrize("name", BUNDLES)
def test_a_recorded_run_gives_its_verdicts_again(name: str) -> None:
    again = rejudge(golden(name), all_checks())
    assert again.problems == ()
    ran = [check for check in golden(name).verdicts.checks if check.started_us is not None]
    assert {check.outcome for check in ran} == {"passed"}


@pytest.mark.parametrize("name", BUNDLES)
def test_a_requirement_that_passed_has_its_headline(name: str) -> None:
    for check in golden(name).verdicts.checks:
        pattern = all_checks()[check.requirement].headline
        if check.outcome == "passed" and pattern:
            figures = [seen.figures for probe in check.probes for seen in probe.observations]
            assert headline(pattern, figures), f"{check.requirement} never measured all of {pattern}"


@pytest.mark.parametrize("case", CASES, ids=[f"{case.change.lane}-{n}" for n, case in enumerate(CASES)])
def test_a_changed_answer_fails_the_probe_for_its_reason(case: Case) -> None:
    requirement = case.change.lane.partition("/")[0]
    probe = probe_of(replay(golden(case.bundle), alone(requirement), case.change), case.change.lane)
    assert case.change.done, "the substitution found nothing to change"
    assert probe.outcome == case.outcome, probe
    worst = next(seen for seen in probe.observations if seen.outcome == case.outcome)
    assert case.reason in f"{worst.expected} {worst.observed} {worst.cause}", worst


def test_every_probe_has_a_case() -> None:
    lanes = {f"{check.requirement}/{probe.id}" for check in all_checks().values() for probe in check.probes}
    cases = {case.change.lane for case in CASES}
    assert lanes == cases | set(ELSEWHERE)
    assert not cases & set(ELSEWHERE)


def test_what_is_tried_elsewhere_ran_in_no_recording() -> None:
    ran = {probe.lane for name in BUNDLES for check in golden(name).verdicts.checks for probe in check.probes}
    assert not ran & set(ELSEWHERE)
    for lane, module in ELSEWHERE.items():
        text = Path(__file__).with_name(f"{module}.py").read_text()
        assert lane.partition("/")[0] in text, lane


@pytest.mark.parametrize(
    ("requirement", "options", "words"),
    [
        ("gang_scheduling", {"gang-scheduler": "kai"}, "no gang scheduling system that is asked for (KAI Scheduler)"),
        ("robust_controller", {"operator": "jobset"}, "does not serve the AI operator that is asked for: JobSet"),
        ("cluster_autoscaling", {"pool-label": "pool=nobody"}, "no node carries that label now"),
    ],
)
def test_a_replay_reads_what_was_told_from_the_plan(requirement: str, options: dict[str, str], words: str) -> None:
    recorded = golden("default")
    assert recorded.plan.options == {}
    told = replace(recorded, plan=recorded.plan.model_copy(update={"options": options}))
    nothing = InJson("discovery", "/version", lambda _version: None)
    verdicts = replay(told, alone(requirement), nothing)
    judged = next(check for check in verdicts.checks if check.requirement == requirement)
    assert (judged.outcome, words in judged.reason) == ("not run", True), judged
