"""What is expected of answers that came through a Gateway: shares, sameness, and who answered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import pytest

from aiconform.checks._kit import chat, shares, traffic
from aiconform.checks._kit.gateway_status import Gateway
from aiconform.checks._kit.traffic import Scene
from aiconform.checks._kit.workloads import Answers
from aiconform.engine import Context, Handle, kinds

FRONT = Gateway(Handle(kinds.GATEWAY, "run", "front", "uid"), "example.com/controller", "192.0.2.7", 80)
SCENE = Scene(FRONT, "champion", "challenger", Handle(kinds.HTTP_ROUTE, "run", "route", "uid"), "route.test")


class Seen:
    """Stands for a context: keeps what was stated."""

    now = 100.0

    def __init__(self) -> None:
        self.outcome = ""
        self.told: dict[str, Any] = {}

    def name(self, hint: str) -> str:
        return f"{hint}-1"

    def expect(self, expected: str, observed: str, *, ok: bool, **more: Any) -> None:
        self.outcome = "passed" if ok else "failed"
        self.told = {"expected": expected, "observed": observed, **more}

    def undecided(self, expected: str, observed: str, cause: str) -> Exception:
        self.outcome = "undecided"
        return RuntimeError(cause)


@pytest.fixture
def seen() -> Seen:
    return Seen()


def context(seen: Seen) -> Context:
    return cast("Context", seen)


def answers(served: Mapping[str, int], status: int = 200, *, settled_s: float | None = 0.2, body: str = "") -> Answers:
    count = sum(served.values())
    order = tuple(name for name, number in served.items() for _ in range(number))
    at = tuple((number + 1) / 100 for number in range(count))
    return Answers(count, {status: count}, served, order, at, status, {}, body, settled_s)


@pytest.mark.parametrize(
    ("minor", "outcome"), [(60, "passed"), (87, "passed"), (33, "passed"), (88, "failed"), (32, "failed")]
)
def test_a_share_may_be_four_sigma_off(seen: Seen, minor: int, outcome: str) -> None:
    got = answers({"champion": 300 - minor, "challenger": minor})
    traffic.shared(context(seen), got, "champion", "challenger", percent=20)
    assert seen.outcome == outcome
    assert seen.told["expected"].startswith("300 answers, all 200: 60 +/- 28 (20 %, 4 sigma) from challenger")


@pytest.mark.parametrize(
    "got",
    [
        answers({"champion": 300}),
        answers({"champion": 239, "challenger": 60, "somebody": 1}),
        answers({"champion": 240, "challenger": 60}, 503),
        answers({"champion": 240, "challenger": 60}, settled_s=None),
    ],
)
def test_a_split_is_among_the_two_alone(seen: Seen, got: Answers) -> None:
    traffic.shared(context(seen), got, "champion", "challenger", percent=20)
    assert seen.outcome == "failed"


def test_the_share_is_drawn_while_requests_were_sent(seen: Seen) -> None:
    traffic.shared(context(seen), answers({"champion": 80, "challenger": 20}), "champion", "challenger", percent=20)
    share, target = seen.told["series"]
    assert len(share.points) == len(target.points) == 10
    assert share.points[0] == (99.1, 0.0)
    assert share.points[-1] == (100.0, 20.0)
    assert {value for _, value in target.points} == {20.0}


def test_the_passage_is_drawn_from_before_the_change_to_after_it(seen: Seen) -> None:
    during, after = answers({"champion": 40, "challenger": 60}), answers({"challenger": 100})
    share, target = shares.passage(context(seen), during, after, "challenger", changed=98.3)
    assert share.points[0] == (97.9, 0.0)
    assert share.points[-1] == (98.8, 100.0), "a second and a settling before the report"
    assert target.points == ((97.9, 20.0), (98.3, 100.0), (98.8, 100.0))


@pytest.mark.parametrize(
    ("got", "outcome"),
    [
        (answers({"champion": 20}), "passed"),
        (answers({"champion": 19, "challenger": 1}), "failed"),
        (answers({"champion": 20}, 404), "failed"),
        (answers({"champion": 20}, settled_s=None), "failed"),
        (answers({"": 20}), "failed"),
    ],
)
def test_every_answer_is_from_one_backend(seen: Seen, got: Answers, outcome: str) -> None:
    traffic.all_by(context(seen), got, "champion", what="it")
    assert seen.outcome == outcome


@pytest.mark.parametrize(
    ("got", "outcome"),
    [
        (answers({"": 20}, 404), "passed"),
        (answers({"champion": 20}, 404), "failed"),
        (answers({"": 20}, 200), "failed"),
        (answers({"": 20}, 0, body="refused"), "failed"),
        (answers({"": 20}, 404, settled_s=None), "failed"),
    ],
)
def test_a_404_is_the_gateways_own(seen: Seen, got: Answers, outcome: str) -> None:
    traffic.not_found(context(seen), got, what="it")
    assert seen.outcome == outcome


def test_any_servers_error_is_an_error_but_404_is_none(seen: Seen) -> None:
    traffic.broken(context(seen), answers({"": 20}, 503), what="it")
    assert seen.outcome == "passed"
    traffic.broken(context(seen), answers({"": 20}, 404), what="it")
    assert seen.outcome == "failed"


def test_silence_is_undecided_and_a_refused_connection_is_not(seen: Seen) -> None:
    traffic.reached(context(seen), FRONT, answers({"": 20}, 0, body="ConnectionRefusedError(111, 'refused')"))
    assert seen.outcome == ""
    with pytest.raises(RuntimeError, match="hears nothing"):
        traffic.reached(context(seen), FRONT, answers({"": 20}, 0, body="TimeoutError('timed out')"))
    assert seen.outcome == "undecided"


def test_a_batch_waits_for_what_it_is_told_to_see() -> None:
    assert SCENE.batch("a", "h.test").settle == {}
    assert SCENE.batch("a", "h.test", settle="").settle["by"] == ["champion", "challenger"]
    assert SCENE.batch("a", "h.test", settle="champion").settle["by"] == ["champion"]
    assert SCENE.batch("a", "h.test", settle=(404,)).settle["status"] == [404]
    sent = SCENE.batch("a", "h.test", path="/", headers={"x-model": "m"})
    assert (sent.url, sent.headers) == ("http://[192.0.2.7]:80/", {"Host": "h.test", "x-model": "m"})


def arrived(seen: Seen, **changed: Any) -> Answers:
    sent = chat.completion(context(seen), FRONT, "h.test", model="challenger")
    got = chat.wanted(sent, "challenger") | changed
    return replace(answers({"challenger": 1}), first_body=json.dumps(got))


def test_a_chat_arrives_as_it_was_sent(seen: Seen) -> None:
    sent = chat.completion(context(seen), FRONT, "h.test", model="challenger")
    chat.intact(context(seen), sent, arrived(seen), "challenger")
    assert seen.outcome == "passed"
    assert len(sent.body.encode()) > len(sent.body) > 2000, "characters of several bytes are in it"


@pytest.mark.parametrize(
    "changed",
    [
        {"backend": "champion"},
        {"method": "GET"},
        {"path": "/chat/completions"},
        {"host": "champion"},
        {"body_bytes": 1},
        {"body_sha256": "0"},
        {"headers_sha256": "0"},
    ],
)
def test_a_chat_that_arrives_otherwise_fails(seen: Seen, changed: dict[str, object]) -> None:
    sent = chat.completion(context(seen), FRONT, "h.test", model="challenger")
    chat.intact(context(seen), sent, arrived(seen, **changed), "challenger")
    assert seen.outcome == "failed"
    assert next(iter(changed)) in seen.told["observed"]


@pytest.mark.parametrize("body", ["", "<html>", "[]", "7"])
def test_an_answer_that_is_no_report_fails(seen: Seen, body: str) -> None:
    sent = chat.completion(context(seen), FRONT, "h.test", model="challenger")
    chat.intact(context(seen), sent, replace(answers({"challenger": 1}), first_body=body), "challenger")
    assert seen.outcome == "failed"
