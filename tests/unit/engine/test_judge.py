"""The verdicts as a table."""

from __future__ import annotations

import pytest

from aiconform.catalog.releases import LEVELS
from aiconform.engine import judge
from aiconform.engine.conduct import Outcome, compose
from aiconform.engine.judge import Judgement
from aiconform.engine.model import Observation
from aiconform.evidence.documents import CheckVerdict, Plan
from aiconform.evidence.records import RestsOn

REF = (RestsOn(lane="a/b", n=1),)


def seen(outcome: str, *, rests: bool = True) -> Observation:
    return Observation("x", "y", outcome, rests_on=REF if rests else ())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([], "undecided"),
        (["passed"], "passed"),
        (["passed", "passed"], "passed"),
        (["passed", "failed"], "failed"),
        (["undecided", "failed"], "failed"),
        (["passed", "undecided"], "undecided"),
        (["passed", "not run"], "undecided"),
    ],
)
def test_a_probe_is_the_worst_of_its_observations(outcomes: list[str], expected: str) -> None:
    assert judge.probe([seen(outcome) for outcome in outcomes]).outcome == expected


def test_an_observation_that_rests_on_nothing_is_no_pass() -> None:
    assert judge.probe([seen("passed", rests=False)]).outcome == "undecided"


@pytest.mark.parametrize(
    ("probes", "left", "expected"),
    [
        ([], [], "undecided"),
        (["passed", "passed"], [], "passed"),
        (["passed", "passed"], ["pod/x"], "undecided"),
        (["passed", "not run"], [], "undecided"),
        (["undecided", "failed"], [], "failed"),
        (["failed", "passed"], ["pod/x"], "failed"),
    ],
)
def test_a_requirement_is_the_worst_of_its_probes(probes: list[str], left: list[str], expected: str) -> None:
    judged = {str(n): Judgement(outcome) for n, outcome in enumerate(probes)}  # type: ignore[arg-type]
    assert judge.check(judged, left_behind=left).outcome == expected


@pytest.mark.parametrize(
    ("control", "after", "runs"),
    [
        (None, None, True),
        ("passed", None, True),
        ("failed", None, False),
        ("undecided", None, False),
        (None, "not run", False),
        ("passed", "passed", True),
    ],
)
def test_a_probe_runs_only_on_what_passed(control: str | None, after: str | None, runs: bool) -> None:
    assert (judge.may_run(control, after) is None) is runs  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("verdicts", "left", "code"),
    [
        ([], [], 3),
        ([("MUST", "passed")], [], 0),
        ([("MUST", "passed"), ("MUST", "n/a")], [], 0),
        ([("MUST", "passed"), ("SHOULD", "failed")], [], 0),
        ([("MUST", "passed"), ("MUST", "not run")], [], 3),
        ([("MUST", "undecided")], [], 3),
        ([("MUST", "undecided"), ("MUST", "failed")], [], 1),
        ([("MUST", "passed")], ["namespace/x"], 3),
    ],
)
def test_exit_codes(verdicts: list[tuple[str, str]], left: list[str], code: int) -> None:
    assert judge.exit_code(verdicts, left_behind=left) == code  # type: ignore[arg-type]


def test_the_conclusion_counts_every_verdict_once() -> None:
    verdicts = [("MUST", "passed"), ("MUST", "failed"), ("SHOULD", "n/a"), ("MUST", "not run"), ("MUST", "passed")]
    sentence = judge.conclusion(verdicts, asked_of=5)  # type: ignore[arg-type]
    assert sentence == "Not conformant: 1 MUST failed, 1 MUST not run, 2 passed, 1 n/a"


@pytest.mark.parametrize(("asked_of", "begins"), [(1, "Conformant: "), (12, "No MUST failed of the 1 asked, of 12: ")])
def test_only_a_whole_checklist_is_called_conformant(asked_of: int, begins: str) -> None:
    assert judge.conclusion([("MUST", "passed")], asked_of=asked_of).startswith(begins)


@pytest.mark.parametrize(
    ("verdicts", "says"),
    [
        ([("MUST", "passed")], "Undecided: something was left on the cluster; 1 passed"),
        ([("MUST", "failed")], "Not conformant: 1 MUST failed"),
        ([("MUST", "undecided")], "Undecided: 1 MUST undecided"),
    ],
)
def test_a_cluster_with_something_left_on_it_is_not_called_conformant(
    verdicts: list[tuple[str, str]], says: str
) -> None:
    assert judge.conclusion(verdicts, asked_of=1, left_behind=["namespace/x"]) == says  # type: ignore[arg-type]


@pytest.mark.parametrize("keep", [False, True])
def test_the_conclusion_and_the_exit_code_know_the_same_of_what_was_left(keep: bool) -> None:
    passed = [CheckVerdict(requirement=name, level="MUST", outcome="passed") for name in LEVELS["1.35"]]
    left = Outcome(None, passed, removed=3, left=["namespace/x"], partial=False)
    plan = Plan(
        run="0" * 16, tool="", release="1.35", catalog_sha256="", judge_sha256="", created="", command=[], checks=[]
    )
    verdicts = compose(plan, left, started="", ended="", keep=keep)
    assert (verdicts.exit_code, verdicts.conclusion) == (
        (0, "Conformant: 12 passed") if keep else (3, "Undecided: something was left on the cluster; 12 passed")
    )
