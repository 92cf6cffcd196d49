"""Rights in a run: all that is missing is said before anything is written, and verdicts follow from it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest
from tests.support.fake_cluster import FakeCluster

from aiconform.cluster.http import RawAnswer, RawRequest
from aiconform.engine import Check, Context
from aiconform.engine.conduct import Outcome, compose, conduct
from aiconform.engine.live import Clock, Wire
from aiconform.engine.model import Unmet
from aiconform.engine.preflight import LANE, PreflightError
from aiconform.engine.rejudge import rejudge
from aiconform.engine.stage import LiveStage
from aiconform.evidence.documents import Plan, PlannedCheck, PlannedProbe
from aiconform.evidence.reader import Bundle, open_bundle
from aiconform.evidence.redact import Redactor
from aiconform.evidence.writer import BundleWriter

RUN = "0123456789abcdef"
NAMES = ("dra_support", "ai_inference")


def check(name: str, *rights: str, **more: object) -> Check:
    made = Check(name, rights=rights, **more)  # type: ignore[arg-type]

    @made.positive("it works", fails_if="it does not")
    async def works(ctx: Context) -> None:
        raise AssertionError("nothing is examined in these tests")

    return made


class Run:
    """A run of two checks on a cluster that answers only questions."""

    def __init__(self, tmp_path: Path, *checks: Check) -> None:
        self.cluster = FakeCluster()
        self.checks = {one.requirement: one for one in checks}
        self.plan = Plan(
            run=RUN, tool="0", release="1.35", catalog_sha256="0" * 64, judge_sha256="0" * 64,
            created="2026-11-24T00:00:00.000Z", command=[], checks=[self.planned(one) for one in checks],
        )  # fmt: skip
        clock = Clock()
        self.writer = BundleWriter(tmp_path / "bundle", wall=lambda: datetime.now(UTC), mono_us=clock.mono_us)
        self.started = self.writer.commit_plan(self.plan).wall
        self.stage = LiveStage(Wire(RUN, self.cluster, self.writer, Redactor([]), clock))  # type: ignore[arg-type]

    @staticmethod
    def planned(one: Check) -> PlannedCheck:
        return PlannedCheck(
            requirement=one.requirement, title="t", category="accelerators", level="MUST", asks="a",
            code_sha256="0" * 64,
            probes=[
                PlannedProbe(id=p.id, kind=p.kind, title=p.title, fails_if=p.fails_if, timeout_s=p.timeout_s)
                for p in one.probes
            ],
        )  # fmt: skip

    def conducted(self) -> Outcome:
        async def work() -> Outcome:
            return await conduct(self.stage, self.plan, self.checks, lambda _: None, keep=False, side_by_side=True)

        return anyio.run(work)

    def sealed(self, outcome: Outcome) -> Bundle:
        ended = self.writer.last_wall
        verdicts = compose(self.plan, outcome, started=self.started, ended=ended, keep=False)
        self.writer.seal(verdicts=verdicts, partial=False)
        return open_bundle(self.writer.directory)

    def writes(self) -> list[RawRequest]:
        asked = self.cluster.requests
        return [one for one in asked if one.method != "GET" and "authorization.k8s.io" not in one.path]


def test_requirements_without_rights_are_undecided_and_nothing_is_written(tmp_path: Path) -> None:
    run = Run(tmp_path, check(NAMES[0], "create pods", "get pods/log"), check(NAMES[1], "patch deployments.apps"))
    run.cluster.deny("create pods", "get pods/log", "patch deployments.apps")
    outcome = run.conducted()
    assert {one.requirement: (one.outcome, one.reason) for one in outcome.checks} == {
        NAMES[0]: ("undecided", "without the right to create pods; get pods/log"),
        NAMES[1]: ("undecided", "without the right to patch deployments.apps"),
    }
    assert all(probe.outcome == "not run" for one in outcome.checks for probe in one.probes)
    assert run.writes() == []


def test_such_verdicts_are_derived_again_from_the_log(tmp_path: Path) -> None:
    run = Run(tmp_path, check(NAMES[0], "create pods"))
    run.cluster.deny("create pods")
    bundle = run.sealed(run.conducted())
    assert [record.type for record in bundle.lanes[LANE]].count("request") > 1
    again = rejudge(bundle, run.checks)
    assert again.problems == ()
    assert again.verdicts == bundle.verdicts
    assert bundle.verdicts.exit_code == 3


def test_a_log_with_other_reviews_gives_other_verdicts(tmp_path: Path) -> None:
    """Who drops the preflight from a log does not get a verdict for it."""
    run = Run(tmp_path, check(NAMES[0], "create pods"))
    run.cluster.deny("create pods")
    bundle = run.sealed(run.conducted())
    del bundle.lanes[LANE]
    assert rejudge(bundle, run.checks).outcome != "same"


def test_without_what_every_run_needs_all_gaps_are_said_and_nothing_starts(tmp_path: Path) -> None:
    run = Run(tmp_path, check(NAMES[0], "create pods"), check(NAMES[1], "create pods", "list services"))
    run.cluster.deny("create namespaces", "delete namespaces", "create pods")
    with pytest.raises(PreflightError) as refused:
        run.conducted()
    assert "3 of 10 rights are missing" in refused.value.cause
    assert refused.value.details == (
        "create, delete namespaces: costs every requirement",
        "create pods: costs dra_support, ai_inference",
    )
    assert "--rbac" in refused.value.hint
    assert run.writes() == []


def test_who_may_not_read_nodes_is_told_of_all_other_rights_too(tmp_path: Path) -> None:
    run = Run(tmp_path, check(NAMES[0], "create pods"))
    run.cluster.deny("list nodes", "create namespaces", "create pods")
    with pytest.raises(PreflightError) as refused:
        run.conducted()
    assert "3 of 9 rights are missing" in refused.value.cause
    assert "list nodes: costs every requirement" in refused.value.details
    assert run.writes() == []


def test_who_may_do_nothing_is_told_that_and_gets_no_list(tmp_path: Path) -> None:
    run = Run(tmp_path, check(NAMES[0], "create pods"))
    every = (
        "get namespaces=kube-system",
        "list nodes",
        "create delete list watch namespaces",
        "list watch serviceaccounts",
    )
    run.cluster.deny(*every, "create pods")
    with pytest.raises(PreflightError) as refused:
        run.conducted()
    assert refused.value.cause == "none of the 9 rights that are needed is given"
    assert (refused.value.details, "--rbac" in refused.value.hint) == ((), True)


def test_who_may_not_read_nodes_where_no_reviews_are_answered_is_told_that(tmp_path: Path) -> None:
    run = Run(tmp_path, check(NAMES[0], "create pods"))
    run.cluster.deny("list nodes")
    run.cluster.reviews = False
    with pytest.raises(PreflightError) as refused:
        run.conducted()
    assert "GET /api/v1/nodes: 403 Forbidden" in refused.value.cause


def test_rights_that_are_needed_sometimes_or_on_what_is_not_there_bar_nobody(tmp_path: Path) -> None:
    run = Run(tmp_path, check(NAMES[0], "?list events", "create rayclusters.ray.io"))
    run.cluster.deny("list events", "create rayclusters.ray.io")
    run.cluster.refuses["Namespace"] = "far enough"
    with pytest.raises((PreflightError, AssertionError)):  # on to the first write, which this cluster does not take
        run.conducted()
    assert [one.path for one in run.writes()] == ["/api/v1/namespaces"]


def test_a_check_that_cannot_run_anyway_asks_for_no_right(tmp_path: Path) -> None:
    run = Run(tmp_path, check(NAMES[0], "create pods", needs=(lambda _facts: Unmet("n/a", "not here"),)))
    run.cluster.deny("create pods")
    outcome = run.conducted()
    assert [(one.outcome, one.reason) for one in outcome.checks] == [("n/a", "not here")]
    assert not any("authorization" in one.path for one in run.cluster.requests)


def test_an_answer_that_is_none_stops_the_run(tmp_path: Path) -> None:
    run = Run(tmp_path, check(NAMES[0], "create pods"))
    answer = run.cluster._answer

    def cut(request: RawRequest) -> RawAnswer:
        return RawAnswer(201, {}, b"{") if "authorization" in request.path else answer(request)

    run.cluster._answer = cut  # type: ignore[method-assign]
    with pytest.raises(PreflightError, match="cannot ask what we may do"):
        run.conducted()
    assert run.writes() == []
