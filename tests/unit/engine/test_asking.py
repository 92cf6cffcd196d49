"""What probes do beside watching: change, be refused, poll, hold; each live, and the same again in a replay."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.fake_api import FakeApi
from tests.unit.engine.test_record_and_replay import JSON, POD, Recorded, check_of

from aiconform.cluster.http import RawAnswer, RawRequest
from aiconform.engine import Context, Series, State, answers
from aiconform.evidence.documents import CheckVerdict

DENIED = b'{"kind":"Status","reason":"Forbidden","message":"admission webhook \\"a.example.com\\" denied the request"}'


def tried(tmp_path: Path, body: object, api: FakeApi | None = None) -> CheckVerdict:
    """The verdict on a check of one probe; a replay must give the same."""
    run = Recorded(tmp_path, check_of(body))  # type: ignore[arg-type]
    if api is not None:
        run.api.wrong = api.wrong
    verdict = run.live()
    assert run.replay(run.bundle(verdict)) == verdict
    return verdict


def test_an_object_is_changed_by_its_uid(tmp_path: Path) -> None:
    async def change(ctx: Context) -> None:
        pod = await ctx.create(POD)
        seen = await ctx.patch(pod, {"spec": {"nodeName": "worker-9"}})
        ctx.expect("the new node", seen["spec"]["nodeName"], ok=seen["spec"]["nodeName"] == "worker-9")

    assert tried(tmp_path, change).outcome == "passed"


def test_a_change_that_is_said_to_be_made_and_is_not_decides_nothing(tmp_path: Path) -> None:
    api, first = FakeApi(), {}

    def stale(request: RawRequest, answer: RawAnswer) -> RawAnswer:
        if request.method == "POST" and request.path.endswith("/pods"):
            first["body"] = answer.body
        return RawAnswer(200, JSON, first["body"]) if request.method == "PATCH" else answer

    async def change(ctx: Context) -> None:
        pod = await ctx.create(POD)
        seen = await ctx.patch(pod, {"spec": {"nodeName": "worker-9"}})
        ctx.expect("the new node", str(seen), ok=False)

    api.wrong = stale
    verdict = tried(tmp_path, change, api)
    assert verdict.outcome == "undecided"
    assert "the answer shows it as it was before" in verdict.reason


@pytest.mark.parametrize(
    ("change", "held"),
    [
        ({"spec": {"a": 1}}, True),
        ({"spec": {"b": None}}, True),
        ({"spec": {"a": 2}}, False),
        ({"spec": {"a": None}}, False),
        ({"spec": {"a": {"c": 1}}}, False),
        ({"metadata": {"labels": {"x": "y"}}}, False),
    ],
)
def test_whether_an_object_holds_a_merge_patch(change: dict[str, object], held: bool) -> None:
    assert answers.holds({"spec": {"a": 1}}, change) is held


def refusing(status: int, body: bytes) -> FakeApi:
    """An API that refuses every pod."""
    api = FakeApi()

    def wrong(request: RawRequest, answer: RawAnswer) -> RawAnswer:
        mine = request.method == "POST" and request.path.endswith("/pods")
        return RawAnswer(status, JSON, body) if mine else answer

    api.wrong = wrong
    return api


async def be_refused(ctx: Context) -> None:
    refusal = await ctx.refused(POD)
    ctx.expect("refused by a webhook", refusal.message, ok="admission webhook" in refusal.message)


def test_a_refusal_is_handed_to_the_probe(tmp_path: Path) -> None:
    assert tried(tmp_path, be_refused, refusing(403, DENIED)).outcome == "passed"


def test_what_should_be_refused_and_is_accepted_fails_and_is_removed(tmp_path: Path) -> None:
    run = Recorded(tmp_path, check_of(be_refused))
    verdict = run.live()
    assert verdict.outcome == "failed"
    assert "was accepted" in verdict.reason
    assert run.api.objects == {}


def test_no_answer_is_no_refusal(tmp_path: Path) -> None:
    api = FakeApi()
    api.wrong = lambda request, answer: RawAnswer(0, error="timeout") if "/pods" in request.path else answer
    assert tried(tmp_path, be_refused, api).outcome == "undecided"


def sampled(*outcomes: str) -> object:
    """A poll whose samples say these, one after another, the last again and again."""

    async def poll(ctx: Context) -> None:
        seen = list(outcomes)

        async def sample() -> State:
            await ctx.get("/api/v1/pods")
            return State(seen.pop(0) if len(seen) > 1 else seen[0], "what was seen")  # type: ignore[arg-type]

        await ctx.poll(sample, expected="something", within_s=0.3, every_s=0.05)

    return poll


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [
        (["waiting", "waiting", "met"], "passed"),
        (["waiting", "wrong"], "failed"),
        (["waiting"], "failed"),
        (["nothing"], "undecided"),
        (["blocked"], "undecided"),
    ],
)
def test_a_poll_passes_only_on_what_it_waits_for(tmp_path: Path, outcomes: list[str], verdict: str) -> None:
    assert tried(tmp_path, sampled(*outcomes)).outcome == verdict


def held(*outcomes: str) -> object:
    """A window in which the samples say these."""

    async def hold(ctx: Context) -> None:
        seen = list(outcomes)

        async def sample() -> State:
            await ctx.get("/api/v1/pods")
            return State(seen.pop(0) if len(seen) > 1 else seen[0], "what was seen")  # type: ignore[arg-type]

        await ctx.hold(sample, expected="no change", during_s=0.3, every_s=0.05)

    return hold


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [
        (["met"], "passed"),
        (["met", "met", "waiting"], "failed"),
        (["met", "wrong"], "failed"),
        (["nothing"], "undecided"),
    ],
)
def test_a_window_passes_only_if_every_sample_does(tmp_path: Path, outcomes: list[str], verdict: str) -> None:
    seen = tried(tmp_path, held(*outcomes))
    assert seen.outcome == verdict
    windows = [observation.window_s for observation in seen.probes[0].observations]
    assert windows == ([0.3] if verdict == "passed" else [0.0]), "only a whole window counts as one"


def test_series_are_kept_for_the_page(tmp_path: Path) -> None:
    async def draw(ctx: Context) -> None:
        await ctx.get("/api/v1/pods")
        ctx.expect("a", "a", ok=True, series=[Series("replicas", "pods", ((0.0, 1.0), (1.5, 2.0)))])

    (observation,) = tried(tmp_path, draw).probes[0].observations
    assert [(one.name, one.points) for one in observation.series] == [("replicas", [(0.0, 1.0), (1.5, 2.0)])]
