"""A small check run on a fake API: what it records, what a replay of it gives, and what wrong answers give."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest
from tests.support.fake_api import FakeApi, not_found

from aiconform.cluster.http import RawAnswer, RawRequest
from aiconform.engine import Check, Context, State
from aiconform.engine.asking import Ours, Place
from aiconform.engine.conduct import Outcome, compose
from aiconform.engine.examine import Examination, examine
from aiconform.engine.facts import Facts
from aiconform.engine.lane import Divergence
from aiconform.engine.live import Clock, Wire
from aiconform.engine.replay import ReplayLane
from aiconform.engine.stage import LiveStage, ReplayStage
from aiconform.evidence.documents import CheckVerdict, Plan, PlannedCheck, PlannedProbe
from aiconform.evidence.reader import Bundle, open_bundle
from aiconform.evidence.redact import Redactor
from aiconform.evidence.writer import BundleWriter

RUN = "0123456789abcdef"
FACTS = Facts("v1.35.3", "", "uid", frozenset(), (), (), (), (), (), (), ())
POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe"}, "spec": {"containers": []}}
Body = Callable[[Context], Awaitable[None]]


def bound(objects: list[dict]) -> State:
    """The condition most tests wait for."""
    node = objects[0]["spec"].get("nodeName") if objects else None
    return State("met", f"bound to {node}") if node else State("waiting", "not bound")


def check_of(body: Body, *, timeout_s: float = 5) -> Check:
    """A check with one positive probe."""
    check = Check("dra_support")
    check.positive("it works", fails_if="it does not", timeout_s=timeout_s)(body)
    return check


class Recorded:
    """A run of a check on the fake API."""

    def __init__(self, tmp_path: Path, check: Check) -> None:
        self.api = FakeApi()
        self.check = check
        self.planned = PlannedCheck(
            requirement="dra_support", title="t", category="accelerators", level="MUST", asks="a",
            probes=[
                PlannedProbe(id=p.id, kind=p.kind, title=p.title, fails_if=p.fails_if, timeout_s=p.timeout_s)
                for p in check.probes
            ],
        )  # fmt: skip
        self.plan = Plan(
            run=RUN, tool="0", release="1.35", catalog_sha256="0" * 64, judge_sha256="0" * 64,
            created="2026-11-24T00:00:00.000Z", command=[], checks=[self.planned],
        )  # fmt: skip
        clock = Clock()
        self.writer = BundleWriter(tmp_path / "bundle", wall=lambda: datetime.now(UTC), mono_us=clock.mono_us)
        self.writer.commit_plan(self.plan)
        self.redactor = Redactor([])
        self.stage = LiveStage(Wire(RUN, self.api, self.writer, self.redactor, clock))  # type: ignore[arg-type]

    def examination(self, stage: LiveStage | ReplayStage) -> Examination:
        return Examination(stage, FACTS, {"restricted": "ours"}, {}, lambda _: None)

    async def examine(self) -> CheckVerdict:
        return await examine(self.examination(self.stage), self.check, self.planned, FACTS)

    async def interrupted(self) -> CheckVerdict:
        """Examine, and interrupt that after a moment."""

        async def interrupt() -> None:
            await asyncio.sleep(0.2)
            self.stage.interrupt()

        async with anyio.create_task_group() as group:
            group.start_soon(interrupt)
            return await self.examine()
        raise AssertionError

    def live(self) -> CheckVerdict:
        return anyio.run(self.examine)

    def bundle(self, verdict: CheckVerdict) -> Bundle:
        outcome = Outcome(FACTS, [verdict], 0, [], partial=False)
        self.writer.seal(verdicts=compose(self.plan, outcome, started="", ended="", keep=False), partial=False)
        return open_bundle(self.writer.directory)

    def replay(self, bundle: Bundle, check: Check | None = None) -> CheckVerdict:
        stage = ReplayStage(bundle)

        async def work() -> CheckVerdict:
            return await examine(self.examination(stage), check or self.check, self.planned, FACTS)

        verdict = anyio.run(work)
        for lane in stage.lanes.values():
            lane.finish()
        return verdict


async def create_and_wait(ctx: Context) -> None:
    pod = await ctx.create(POD)
    await ctx.until(pod, bound, expected="the pod is bound", within_s=0.5)


def bind(obj: dict) -> None:
    """What a scheduler does."""
    if obj["kind"] == "Pod":
        obj["spec"]["nodeName"] = "worker-1"


def test_a_replay_gives_the_same_verdict_without_a_cluster(tmp_path: Path) -> None:
    run = Recorded(tmp_path, check_of(create_and_wait))
    run.api.on_create = bind
    verdict = run.live()
    assert verdict.outcome == "passed", verdict
    assert run.api.objects == {}, "clean-up removes what was made"
    asked = len(run.api.requests)
    assert run.replay(run.bundle(verdict)) == verdict
    assert len(run.api.requests) == asked


def test_every_request_carries_an_audit_id_of_its_own(tmp_path: Path) -> None:
    run = Recorded(tmp_path, check_of(create_and_wait))
    run.live()
    ids = [request.headers["Audit-ID"] for request in run.api.requests]
    assert len(set(ids)) == len(ids)
    assert all(found.startswith(f"{RUN}.") for found in ids)


def test_code_that_asks_something_else_is_found(tmp_path: Path) -> None:
    run = Recorded(tmp_path, check_of(create_and_wait))
    run.api.on_create = bind
    bundle = run.bundle(run.live())

    async def create_and_wait_otherwise(ctx: Context) -> None:
        await ctx.create({**POD, "metadata": {"name": "other"}})

    check = Check("dra_support")
    create_and_wait_otherwise.__name__ = "create_and_wait"
    check.positive("it works", fails_if="it does not")(create_and_wait_otherwise)
    with pytest.raises(Divergence):
        run.replay(bundle, check)


def test_a_pod_that_is_never_bound_fails_at_the_limit_and_replays_in_no_time(tmp_path: Path) -> None:
    run = Recorded(tmp_path, check_of(create_and_wait))
    verdict = run.live()
    assert verdict.outcome == "failed"
    assert verdict.probes[0].observations[0].observed == "not bound"
    assert verdict.probes[0].observations[0].cause == "not bound, and nothing better within 0.5 s"
    assert run.replay(run.bundle(verdict)) == verdict


def test_a_change_is_seen_by_the_watch(tmp_path: Path) -> None:
    run = Recorded(tmp_path, check_of(create_and_wait))

    async def work() -> CheckVerdict:
        async def schedule() -> None:
            await asyncio.sleep(0.2)
            await run.api.change("probe", spec={"nodeName": "worker-1"})

        async with anyio.create_task_group() as group:
            group.start_soon(schedule)
            return await run.examine()
        raise AssertionError

    verdict = anyio.run(work)
    assert verdict.outcome == "passed"
    assert run.replay(run.bundle(verdict)) == verdict


def changed(**replaced: object) -> Callable[[RawRequest, RawAnswer], RawAnswer]:
    """Change what lists of pods answer: fields of the list, or of the objects in it."""

    def wrong(request: RawRequest, answer: RawAnswer) -> RawAnswer:
        if request.method != "GET" or not request.path.endswith("/pods") or "cleanup" in request.headers["Audit-ID"]:
            return answer
        if not answer.body:
            return answer
        body = json.loads(answer.body)
        for item in body["items"]:
            for key, value in replaced.items():
                if key in ("kind_of_list", "items"):
                    continue
                item["metadata"][key] = value
        if "kind_of_list" in replaced:
            body["kind"] = replaced["kind_of_list"]
        if "items" in replaced:
            body["items"] = replaced["items"]
        return replace(answer, body=json.dumps(body).encode())

    return wrong


def replaced_by(answer: RawAnswer) -> Callable[[RawRequest, RawAnswer], RawAnswer]:
    """Answer every list and watch of pods with this."""

    def wrong(request: RawRequest, real: RawAnswer) -> RawAnswer:
        mine = (
            request.path.endswith("/pods") and request.method == "GET" and "cleanup" not in request.headers["Audit-ID"]
        )
        return answer if mine else real

    return wrong


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    "wrong",
    [
        replaced_by(RawAnswer(403, JSON, b'{"kind":"Status","reason":"Forbidden","message":"no"}')),
        replaced_by(not_found("probe")),
        replaced_by(RawAnswer(200, {"content-type": "text/html"}, b"<html>PASS</html>")),
        replaced_by(RawAnswer(200, JSON, b'{"kind":"PodList","apiVersion":"v1","items":[{"me')),
        replaced_by(RawAnswer(200, JSON, b"")),
        replaced_by(RawAnswer(0, error="timeout")),
        changed(kind_of_list="NodeList"),
        changed(items=[]),
        changed(namespace="another"),
        changed(uid="uid-of-an-older-run"),
        changed(resourceVersion="1"),
        changed(resourceVersion=""),
        changed(labels={}),
    ],
    ids=lambda _: "",
)
def test_no_wrong_answer_becomes_a_pass(tmp_path: Path, wrong: Callable[[RawRequest, RawAnswer], RawAnswer]) -> None:
    run = Recorded(tmp_path, check_of(create_and_wait))
    run.api.on_create = bind
    run.api.wrong = wrong
    verdict = run.live()
    assert verdict.outcome == "undecided", verdict
    assert run.replay(run.bundle(verdict)) == verdict


def never_bound(during_s: float) -> Body:
    async def stays_pending(ctx: Context) -> None:
        pod = await ctx.create(POD)
        await ctx.never(pod, bound, expected="no node", during_s=during_s)

    return stays_pending


def test_never_passes_only_after_the_whole_window(tmp_path: Path) -> None:
    run = Recorded(tmp_path, check_of(never_bound(0.3)))
    verdict = run.live()
    assert verdict.outcome == "passed"
    assert (verdict.ended_us or 0) - (verdict.started_us or 0) >= 300_000
    assert run.replay(run.bundle(verdict)) == verdict


def test_never_fails_where_it_happens(tmp_path: Path) -> None:
    run = Recorded(tmp_path, check_of(never_bound(5)))
    run.api.on_create = bind
    verdict = run.live()
    assert verdict.outcome == "failed"
    assert "bound to worker-1" in verdict.probes[0].observations[0].observed


@pytest.mark.parametrize(("happens", "outcome"), [(bind, "failed"), (None, "undecided")])
def test_what_a_silent_watch_keeps_back_is_seen_at_the_end(
    tmp_path: Path, happens: Callable[[dict], None] | None, outcome: str
) -> None:
    run = Recorded(tmp_path, check_of(never_bound(0.3)))

    def behind_the_watch(request: RawRequest, answer: RawAnswer) -> RawAnswer:
        if request.method == "GET" and request.path.endswith("/pods") and ("watch", "true") not in request.query:
            for path, found in list(run.api.objects.items()):
                if found["kind"] == "Pod" and happens:
                    happens(found)
                elif found["kind"] == "Pod":
                    del run.api.objects[path]
        return answer

    run.api.wrong = behind_the_watch
    verdict = run.live()
    assert verdict.outcome == outcome, verdict
    assert run.replay(run.bundle(verdict)) == verdict


def test_never_needs_something_to_look_at(tmp_path: Path) -> None:
    run = Recorded(tmp_path, check_of(never_bound(0.2)))
    run.api.wrong = changed(items=[])
    assert run.live().outcome == "undecided"


def test_a_probe_that_takes_too_long_is_cut_and_undecided(tmp_path: Path) -> None:
    async def slow(ctx: Context) -> None:
        pod = await ctx.create(POD)
        await ctx.until(pod, bound, expected="the pod is bound", within_s=60)

    run = Recorded(tmp_path, check_of(slow, timeout_s=0.3))
    verdict = run.live()
    assert (verdict.outcome, verdict.probes[0].outcome) == ("undecided", "undecided")
    assert "time limit" in verdict.probes[0].reason
    assert run.api.objects == {}
    assert run.replay(run.bundle(verdict)) == verdict


def test_an_interrupt_ends_the_probe_and_still_cleans_up(tmp_path: Path) -> None:
    run = Recorded(tmp_path, check_of(never_bound(60)))

    verdict = anyio.run(run.interrupted)
    assert verdict.outcome == "undecided"
    assert "interrupted" in verdict.probes[0].reason
    assert run.api.objects == {}
    assert run.replay(run.bundle(verdict)) == verdict


def test_clean_up_outlives_an_interrupt_and_a_cancellation_but_not_giving_up(tmp_path: Path) -> None:
    stage = Recorded(tmp_path, check_of(create_and_wait)).stage
    ended = []

    async def clean_up() -> None:
        try:
            with stage.shielded():
                await anyio.sleep(60)
        finally:
            ended.append("clean-up")

    async def work() -> None:
        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                group.start_soon(clean_up)
                await anyio.sleep(0.05)
                stage.interrupt()
                group.cancel_scope.cancel()
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(0.05)
                    assert ended == []
                    stage.abandon()

    anyio.run(work)
    assert ended == ["clean-up"]


def test_probes_after_an_interrupt_are_not_run_and_replay_so(tmp_path: Path) -> None:
    check = check_of(never_bound(60))
    check.positive("another", fails_if="it does not", timeout_s=5)(create_and_wait)
    run = Recorded(tmp_path, check)

    verdict = anyio.run(run.interrupted)
    assert [(probe.outcome, probe.reason) for probe in verdict.probes][1:] == [("not run", "interrupted")]
    assert run.replay(run.bundle(verdict)) == verdict


def test_what_cannot_be_removed_is_named_and_is_no_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiconform.engine.cleanup.remove.__kwdefaults__", {"within_s": 0.3})
    run = Recorded(tmp_path, check_of(create_and_wait))
    run.api.on_create = bind
    run.api.stuck = {"/api/v1/namespaces/ours/pods/probe"}
    verdict = run.live()
    assert verdict.outcome == "undecided"
    assert verdict.left_behind == ["pod/probe (still there, finalizers: none)"]


def test_an_object_of_another_is_never_deleted(tmp_path: Path) -> None:
    async def replaced(ctx: Context) -> None:
        pod = await ctx.create(POD)
        run.api.objects["/api/v1/namespaces/ours/pods/probe"]["metadata"]["uid"] = "somebody-elses"
        await ctx.delete(pod)

    run = Recorded(tmp_path, check_of(replaced))
    run.live()
    assert "/api/v1/namespaces/ours/pods/probe" in run.api.objects


def test_a_lost_answer_to_a_create_is_read_back(tmp_path: Path) -> None:
    run = Recorded(tmp_path, check_of(create_and_wait))
    run.api.on_create = bind

    def lose(request: RawRequest, answer: RawAnswer) -> RawAnswer:
        return RawAnswer(0, error="connection reset") if request.method == "POST" else answer

    run.api.wrong = lose
    verdict = run.live()
    assert verdict.outcome == "passed"
    assert run.api.objects == {}


def test_an_exception_in_a_probe_is_undecided(tmp_path: Path) -> None:
    async def stumbles(_ctx: Context) -> None:
        raise KeyError("no such thing")

    verdict = Recorded(tmp_path, check_of(stumbles)).live()
    assert verdict.outcome == "undecided"
    assert "KeyError" in verdict.probes[0].reason


def test_a_probe_that_observes_nothing_is_undecided(tmp_path: Path) -> None:
    async def idle(_ctx: Context) -> None:
        return

    assert Recorded(tmp_path, check_of(idle)).live().outcome == "undecided"


def test_names_differ_between_runs_and_not_between_replays() -> None:
    def name(run: str) -> str:
        lane = ReplayLane("a/b", run, [], lambda _: b"")
        ctx = Context(lane, Ours(FACTS), Place("a", "n", {}))
        return ctx.name("pod")

    assert name("0" * 16) == name("0" * 16) != name("1" * 16)


def test_credentials_that_are_refused_are_said_and_leave_it_undecided(tmp_path: Path) -> None:
    run = Recorded(tmp_path, check_of(create_and_wait))
    status = json.dumps({"kind": "Status", "apiVersion": "v1", "reason": "Unauthorized", "message": "Unauthorized"})
    words = "the API server does not accept the token of the kubeconfig"
    refusal = RawAnswer(401, {"content-type": "application/json"}, status.encode(), words)
    run.api.wrong = lambda _request, _answer: refusal
    verdict = run.live()
    assert verdict.outcome == "undecided"
    assert verdict.probes[0].reason.endswith(f"401 Unauthorized: {words}")
    assert run.replay(run.bundle(verdict)) == verdict


@pytest.mark.parametrize("name", ["content-type", "date", "audit-id", "error"])
def test_no_part_of_an_answer_is_recorded_as_it_came(tmp_path: Path, name: str) -> None:
    run = Recorded(tmp_path, check_of(create_and_wait))
    run.redactor.learn_secret("hunter2-hunter2-hunter2")
    headers = {"content-type": "text/plain", name: "it is hunter2-hunter2-hunter2"}
    error = headers.pop("error", "")
    run.api.wrong = lambda _request, _answer: RawAnswer(401, headers, b"", error)
    run.bundle(run.live())
    log = (tmp_path / "bundle/log.jsonl").read_text()
    assert "hunter2" not in log
    assert "it is [redacted]" in log
