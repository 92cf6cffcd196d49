"""Creations whose answer is lost or unclear, deletes that meet a conflict, lists in pages, watches that break."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from tests.support.fake_api import FakeApi
from tests.unit.engine.test_record_and_replay import JSON, POD, RUN, Recorded, bind, bound, check_of, create_and_wait

from aiconform.cluster.http import RawAnswer, RawRequest
from aiconform.engine import Context, kinds
from aiconform.engine.api import Api, Handle
from aiconform.engine.ownership import NONCE
from aiconform.engine.undecidable import RefusedError, UnusableError
from aiconform.engine.unrecorded import UnrecordedLane

PROBE = "/api/v1/namespaces/ours/pods/probe"


def status(code: int, reason: str = "", message: str = "") -> RawAnswer:
    body = {"kind": "Status", "apiVersion": "v1", "reason": reason, "message": message, "code": code}
    return RawAnswer(code, JSON, json.dumps(body).encode())


def once(answer: RawAnswer, *, done: bool, method: str = "POST") -> Callable[[FakeApi], None]:
    """Answer the first request of a method so; ``done`` says whether it was done all the same."""

    def prepare(api: FakeApi) -> None:
        seen: list[RawRequest] = []
        real = api._answer

        async def answered(request: RawRequest) -> RawAnswer:
            first = request.method == method and not seen
            if first:
                seen.append(request)
            if first and not done:
                return answer
            given = await real(request)
            return answer if first else given

        api._answer = answered  # type: ignore[method-assign]

    return prepare


@pytest.mark.parametrize(
    "prepare",
    [
        once(RawAnswer(0, error="timeout"), done=True),
        once(RawAnswer(0, error="timeout"), done=False),
        once(status(503), done=True),
        once(status(503), done=False),
        once(status(504), done=True),
        once(status(500, "InternalError", "etcdserver: request timed out"), done=False),
        once(RawAnswer(200, {"content-type": "text/html"}, b"<html>PASS</html>"), done=True),
        once(RawAnswer(302, {"location": "https://example.com"}), done=False),
        once(RawAnswer(201, JSON, b'{"kind":"Pod","apiVersion":"v1","metadata":{"na'), done=True),
        once(status(429, "TooManyRequests"), done=False),
        once(status(409, "Conflict", "Operation cannot be fulfilled on resourcequotas"), done=False),
        once(status(409, "AlreadyExists", "it exists"), done=True),
    ],
    ids=[
        "lost after",
        "lost before",
        "503 after",
        "503 before",
        "504",
        "500",
        "HTML",
        "redirect",
        "cut",
        "429",
        "quota conflict",
        "409 own",
    ],
)
def test_a_creation_without_a_clear_answer_comes_to_exactly_one_object(
    tmp_path: Path, prepare: Callable[[FakeApi], None]
) -> None:
    run = Recorded(tmp_path, check_of(create_and_wait))
    made: list[str] = []

    def count(obj: dict) -> None:
        made.append(obj["metadata"]["name"])
        bind(obj)

    run.api.on_create = count
    prepare(run.api)
    verdict = run.live()
    assert verdict.outcome == "passed", verdict
    assert made.count("probe") == 1
    assert PROBE not in run.api.objects, "what was created is known, and removed"
    assert run.replay(run.bundle(verdict)) == verdict


@pytest.mark.parametrize("field", ["labels", "annotations"])
def test_somebody_elses_object_of_the_name_is_told_plainly_and_stays(tmp_path: Path, field: str) -> None:
    run = Recorded(tmp_path, check_of(create_and_wait))
    meta = {"name": "probe", "namespace": "ours", "uid": "theirs", "resourceVersion": "5", "creationTimestamp": "x"}
    meta |= {"labels": {"aiconform.dev/run": RUN}} if field == "labels" else {"annotations": {NONCE: "copied"}}
    run.api.objects[PROBE] = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {}}
    verdict = run.live()
    assert verdict.outcome == "undecided"
    assert "somebody else's object has this name" in verdict.reason
    assert run.api.objects[PROBE]["metadata"]["uid"] == "theirs"


def test_a_webhook_that_fails_is_not_asked_again(tmp_path: Path) -> None:
    run = Recorded(tmp_path, check_of(create_and_wait))
    message = 'failed calling webhook "a.example.com": connection refused'
    run.api.refused = {"POST": status(500, "InternalError", message)}
    assert message in run.live().reason
    assert sum(request.method == "POST" and request.path.endswith("pods") for request in run.api.requests) == 1


def test_retry_after_is_honoured(tmp_path: Path) -> None:
    run = Recorded(tmp_path, check_of(create_and_wait))
    run.api.on_create = bind
    once(replace(status(429), headers={**JSON, "retry-after": "1"}), done=False)(run.api)
    verdict = run.live()
    assert verdict.outcome == "passed"
    assert (verdict.ended_us or 0) - (verdict.started_us or 0) >= 1_000_000


def deleted(prepare: Callable[[FakeApi], None]) -> FakeApi:
    """Delete a pod of ours with one answer changed."""
    api = FakeApi()
    meta = {"name": "probe", "namespace": "ours", "uid": "ours", "resourceVersion": "5"}
    api.objects[PROBE] = {"apiVersion": "v1", "kind": "Pod", "metadata": meta}
    prepare(api)

    async def work() -> None:
        await Api(UnrecordedLane(api, RUN)).delete(Handle(kinds.POD, "ours", "probe", "ours"))  # type: ignore[arg-type]

    anyio.run(work)
    return api


def test_a_conflict_that_passes_is_asked_again() -> None:
    assert (
        deleted(once(status(409, "Conflict", "the object has been modified"), done=False, method="DELETE")).objects
        == {}
    )


def test_a_conflict_of_uids_leaves_the_other_object_alone() -> None:
    def replaced(api: FakeApi) -> None:
        api.objects[PROBE]["metadata"]["uid"] = "theirs"

    api = deleted(replaced)
    assert PROBE in api.objects
    assert sum(request.method == "DELETE" for request in api.requests) == 1


def test_a_conflict_that_lasts_is_told() -> None:
    def refuse(api: FakeApi) -> None:
        api.refused = {"DELETE": status(409, "Conflict", "not now")}

    with pytest.raises(RefusedError, match="not now"):
        deleted(refuse)


def api_with_pods(number: int, page: int) -> FakeApi:
    api = FakeApi()
    api.page = page
    for index in range(number):
        meta = {"name": f"p{index:03d}", "namespace": "ours", "uid": f"u{index}", "resourceVersion": "5"}
        api.objects[f"/api/v1/namespaces/ours/pods/p{index:03d}"] = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": meta,
        }
    return api


def test_a_list_comes_in_pages_and_a_replay_asks_for_the_same(tmp_path: Path) -> None:
    async def count(ctx: Context) -> None:
        seen = await ctx.list(kinds.POD, "ours")
        ctx.expect("25", str(len(seen)), ok=len(seen) == 25)

    run = Recorded(tmp_path, check_of(count))
    run.api.objects = api_with_pods(25, 10).objects
    run.api.page = 10
    verdict = run.live()
    assert verdict.outcome == "passed", verdict
    assert len([request for request in run.api.requests if request.path.endswith("/pods")]) == 3
    assert run.replay(run.bundle(verdict)) == verdict


def test_a_list_whose_rest_expired_begins_anew() -> None:
    api = api_with_pods(25, 10)
    expired: list[RawRequest] = []

    def wrong(request: RawRequest, answer: RawAnswer) -> RawAnswer:
        if "continue" in dict(request.query) and not expired:
            expired.append(request)
            return status(410, "Expired")
        return answer

    api.wrong = wrong

    async def work() -> int:
        items, _ = await Api(UnrecordedLane(api, RUN)).list(kinds.POD, "ours")  # type: ignore[arg-type]
        return len(items)

    assert anyio.run(work) == 25
    assert "continue" not in dict(api.requests[2].query)


def test_a_list_that_always_expires_is_no_list() -> None:
    api = api_with_pods(25, 10)
    api.wrong = lambda request, answer: status(410, "Expired") if "continue" in dict(request.query) else answer

    async def work() -> None:
        await Api(UnrecordedLane(api, RUN)).list(kinds.POD, "ours")  # type: ignore[arg-type]

    with pytest.raises(UnusableError, match="changes faster"):
        anyio.run(work)


@pytest.mark.parametrize("code", [410, 429, 500, 503])
def test_a_watch_that_is_refused_for_now_begins_anew(tmp_path: Path, code: int) -> None:
    run = Recorded(tmp_path, check_of(create_and_wait))
    refused: list[RawRequest] = []

    def wrong(request: RawRequest, answer: RawAnswer) -> RawAnswer:
        if "watch" in dict(request.query) and not refused:
            refused.append(request)
            bind(run.api.objects[PROBE])
            return status(code)
        return answer

    run.api.wrong = wrong
    verdict = run.live()
    assert verdict.outcome == "passed", verdict
    assert refused
    assert run.replay(run.bundle(verdict)) == verdict


def test_a_watch_that_falls_silent_is_not_trusted_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiconform.engine.waits.SILENCE_S", 0.9)

    async def wait(ctx: Context) -> None:
        pod = await ctx.create(POD)
        await ctx.until(pod, bound, expected="the pod is bound", within_s=3)

    run = Recorded(tmp_path, check_of(wait))

    async def silently(*_: object) -> tuple[int, bytes]:
        bind(run.api.objects[PROBE])  # the watch never tells
        await anyio.sleep_forever()
        raise AssertionError

    monkeypatch.setattr(run.api, "event_after", silently)
    verdict = run.live()
    assert verdict.probes[0].outcome == "passed", verdict
    (seen,) = verdict.probes[0].observations
    assert re.match(r"bound to worker-1 \([01]\.", seen.observed), seen.observed
    monkeypatch.undo()
    monkeypatch.setattr("aiconform.engine.waits.SILENCE_S", 0.9)
    assert run.replay(run.bundle(verdict)) == verdict
