"""What a run looks at before it writes anything: its rights, the API services, the clock; verdicts follow from it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest
from tests.support.fake_cluster import FakeCluster, api_service

from aiconform.cluster.http import RawAnswer, RawRequest
from aiconform.engine import Check, Context, Facts, Handle, clocks
from aiconform.engine.conduct import Outcome, compose, conduct
from aiconform.engine.events import ClusterFound, Event
from aiconform.engine.examine import Examination, not_run
from aiconform.engine.judge import Judgement
from aiconform.engine.live import Clock, Wire
from aiconform.engine.model import Unmet
from aiconform.engine.preflight import LANE, PreflightError
from aiconform.engine.rejudge import rejudge
from aiconform.engine.stage import LiveStage
from aiconform.evidence.documents import CheckVerdict, Plan, PlannedCheck, PlannedProbe
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
        self.told: list[Event] = []
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

    def conducted(self, *, keep: bool = False) -> Outcome:
        async def work() -> Outcome:
            return await conduct(self.stage, self.plan, self.checks, self.told.append, keep=keep, side_by_side=True)

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


@pytest.mark.parametrize("keep", [False, True])
def test_whether_what_is_made_will_stay_is_told(tmp_path: Path, *, keep: bool) -> None:
    run = Run(tmp_path, check(NAMES[0], "create pods"))
    run.cluster.deny("create pods")
    run.conducted(keep=keep)
    assert [event.keep for event in run.told if isinstance(event, ClusterFound)] == [keep]


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


def slow(run: Run, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """Let the API server take long for each answer to what is asked there."""
    monkeypatch.setattr("aiconform.engine.preflight._LIMIT_S", 0.3)
    answer = run.cluster.send

    async def slowly(request: RawRequest) -> RawAnswer:
        if request.path.endswith(path):
            await anyio.sleep(0.2)
        return await answer(request)

    run.cluster.send = slowly  # type: ignore[method-assign]


def test_an_authorizer_that_is_slow_is_told_of_and_keeps_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path, check(NAMES[0], "create pods", needs=(lambda _facts: None,)))
    run.cluster.rules = []  # as authorizers that cannot list their rules answer: each right is asked singly
    slow(run, monkeypatch, "selfsubjectaccessreviews")
    run.cluster.refuses["Namespace"] = "far enough"
    with pytest.raises((PreflightError, AssertionError)):  # on to the first write, which this cluster does not take
        run.conducted()
    assert [one.path for one in run.writes()] == ["/api/v1/namespaces"]
    (told,) = [one.facts.remarks for one in run.told if isinstance(one, ClusterFound)]
    assert told == ["whether all rights are given is not known: not every access review was answered within 60 s"]


def test_a_preflight_that_was_cut_off_is_derived_again_from_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path, check(NAMES[0], "create pods"))
    run.cluster.rules = []
    slow(run, monkeypatch, "selfsubjectaccessreviews")
    monkeypatch.setattr("aiconform.engine.conduct._prepared", nothing_prepared)
    monkeypatch.setattr("aiconform.engine.conduct.examine", not_examined)
    bundle = run.sealed(run.conducted())
    assert [record.type for record in bundle.lanes[LANE]].count("deadline") == 1
    again = rejudge(bundle, run.checks)
    assert again.problems == ()
    assert again.verdicts == bundle.verdicts


async def nothing_prepared(*_: object) -> list[Handle]:
    return []


async def not_examined(run: Examination, _check: Check, planned: PlannedCheck, _facts: Facts) -> CheckVerdict:
    return not_run(run.stage, planned, Judgement("undecided", "not in these tests"), run.emit)


def test_an_api_server_that_does_not_list_its_services_in_time_is_refused_for_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path, check(NAMES[0], "create pods"))
    slow(run, monkeypatch, "apiservices")
    monkeypatch.setattr("aiconform.engine.preflight._LIMIT_S", 0.1)
    with pytest.raises(PreflightError, match=r"did not say within 0\.1 s whether its API services are available"):
        run.conducted()
    assert run.writes() == []


# -- what could not be removed again -------------------------------------------------------------------------------

SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
METRICS = "v1beta1.metrics.k8s.io"


def refused_for_good(name: str) -> Check:
    """A check whose rights are missing, so that a run of it ends without writing."""
    return check(name, "create pods")


@pytest.mark.parametrize(
    ("conditions", "why"),
    [
        ([{"type": "Available", "status": "False", "message": "no endpoints"}], "no endpoints"),
        ([{"type": "Available", "status": "Unknown", "reason": "Unchecked"}], "Unchecked"),
        ([{"type": "Other", "status": "True"}], "nothing is told"),
        ([], "nothing is told"),
    ],
)
def test_an_api_service_that_would_hold_our_namespace_is_refused_before_the_first_write(
    tmp_path: Path, conditions: list[dict[str, str]], why: str
) -> None:
    run = Run(tmp_path, check(NAMES[0], "create pods"))
    run.cluster.lists[SERVICES][1].append(
        {**api_service(METRICS, available=True), "status": {"conditions": conditions}}
    )
    with pytest.raises(PreflightError) as refused:
        run.conducted()
    assert refused.value.cause == "API services: 1 of 2 not available: while that is so, no namespace can be removed"
    assert refused.value.details == (f"API service {METRICS}: {why}",)
    assert "kubectl get apiservices" in refused.value.hint
    assert run.writes() == []


def test_with_all_api_services_available_a_run_begins(tmp_path: Path) -> None:
    run = Run(tmp_path, check(NAMES[0], "create pods"))
    run.cluster.lists[SERVICES][1].append(api_service(METRICS, available=True))
    run.cluster.refuses["Namespace"] = "far enough"
    with pytest.raises((PreflightError, AssertionError)):  # on to the first write, which this cluster does not take
        run.conducted()
    assert [one.path for one in run.writes()] == ["/api/v1/namespaces"]


def test_missing_rights_are_said_before_an_api_service(tmp_path: Path) -> None:
    run = Run(tmp_path, check(NAMES[0], "create pods"))
    run.cluster.deny("create namespaces")
    run.cluster.lists[SERVICES][1].append(api_service(METRICS, available=False))
    with pytest.raises(PreflightError, match="rights are missing"):
        run.conducted()


class Arriving:
    """Parts of the cluster that come up while the run goes on, and in the end do not."""

    def expects(self, _requirement: str) -> bool:
        return True

    async def arrived(self, _requirement: str) -> str:
        return "it did not come"

    def state(self, _requirement: str) -> str:
        return ""


def test_an_api_service_of_a_part_that_is_coming_up_keeps_nobody(tmp_path: Path) -> None:
    run = Run(tmp_path, refused_for_good(NAMES[0]))
    run.stage._arrivals = Arriving()
    run.cluster.deny("create pods")
    run.cluster.lists[SERVICES][1].append(api_service(METRICS, available=False))
    assert [one.outcome for one in run.conducted().checks] == ["undecided"]


def test_who_may_not_list_api_services_is_told_so_and_goes_on(tmp_path: Path) -> None:
    run = Run(tmp_path, refused_for_good(NAMES[0]))
    run.cluster.deny("create pods", "list apiservices.apiregistration.k8s.io")
    bundle = run.sealed(run.conducted())
    (remark,) = bundle.verdicts.cluster.remarks
    assert remark.startswith("whether all API services are available is not known: ")
    assert "403 Forbidden" in remark
    assert rejudge(bundle, run.checks).problems == ()


def test_the_preflight_asks_one_thing_more_than_for_rights(tmp_path: Path) -> None:
    run = Run(tmp_path, check(NAMES[0], "create pods"))
    with pytest.raises((PreflightError, AssertionError)):
        run.conducted()
    asked = [one.path for one in run.cluster.requests]
    reviews = [number for number, path in enumerate(asked) if "authorization" in path]
    assert len(reviews) == 1
    assert asked[reviews[0] + 1 : asked.index("/api/v1/namespaces")] == [SERVICES]


# -- the clock -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ahead_s", "words"), [(0, ""), (30, ""), (-30, ""), (90, "ahead by"), (-3600, "behind by")])
def test_a_clock_that_is_far_off_is_in_the_bundle_and_follows_from_its_log(
    tmp_path: Path, ahead_s: float, words: str
) -> None:
    run = Run(tmp_path, refused_for_good(NAMES[0]))
    run.cluster.deny("create pods")
    run.cluster.ahead_s = ahead_s
    bundle = run.sealed(run.conducted())
    remarks = bundle.verdicts.cluster.remarks
    assert [words in remark for remark in remarks] == ([True] if words else [])
    if words:
        off = float(remarks[0].partition(words)[2].split()[0])
        assert abs(ahead_s) - 2 <= off <= abs(ahead_s)
    assert rejudge(bundle, run.checks).problems == ()


def test_a_note_on_the_clock_that_the_log_does_not_give_is_found(tmp_path: Path) -> None:
    run = Run(tmp_path, refused_for_good(NAMES[0]))
    run.cluster.deny("create pods")
    run.cluster.ahead_s = 90
    bundle = run.sealed(run.conducted())
    forged = bundle.verdicts.cluster.model_copy(update={"remarks": []})
    other = replace(bundle, verdicts=bundle.verdicts.model_copy(update={"cluster": forged}))
    assert rejudge(other, run.checks).problems == ("verdicts.json: cluster not as the log gives",)


@pytest.mark.parametrize(
    ("date", "asked", "answered"),
    [
        ("yesterday", "2026-01-01T00:00:00.000Z", "2026-01-01T00:00:01.000Z"),
        ("", "2026-01-01T00:00:00.000Z", "2026-01-01T00:00:01.000Z"),
        ("Thu, 01 Jan 2026 00:00:00 GMT", "a while ago", "2026-01-01T00:00:01.000Z"),
        ("Thu, 01 Jan 2026 00:00:00 GMT", "2026-01-01T00:00:00", "2026-01-01T00:00:01"),
        ("Thu, 01 Jan 2026 00:00:00 +999999999999", "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"),
    ],
)
def test_times_that_are_none_say_nothing_of_the_clock(date: str, asked: str, answered: str) -> None:
    assert clocks.recorded_skew_s(date, asked, answered) is None
    assert clocks.ahead_s([]) == 0.0


def test_a_skew_is_between_the_question_and_the_answer() -> None:
    date = "Thu, 01 Jan 2026 00:01:00 GMT"
    assert clocks.recorded_skew_s(date, "2026-01-01T00:00:00.000Z", "2026-01-01T00:00:02.500Z") == (57.5, 61.0)
