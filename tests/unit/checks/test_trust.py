"""Every answer a recorded run rests on, replaced by something wrong: none of it may leave the probe a pass."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.support.substitutions import OneAnswer
from tests.unit.checks.cases.contract import alone

from aiconform.engine.lane import Divergence
from aiconform.engine.rejudge import replay
from aiconform.evidence.reader import Bundle, open_bundle
from aiconform.evidence.records import Record, ResponseData

GOLDEN = Path(__file__).parents[2] / "golden"
SAMPLE = int(os.environ.get("AICONFORM_TRUST_SAMPLE", "40"))
"""How many cases each requirement of each bundle gets here; ``make trust`` takes all."""

Obj = dict[str, Any]
Wrong = Callable[[ResponseData, bytes], tuple[ResponseData, bytes]]


def status(code: int, reason: str) -> Wrong:
    body = json.dumps(
        {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": "x", "code": code}
    )

    def wrong(response: ResponseData, _body: bytes) -> tuple[ResponseData, bytes]:
        return response.model_copy(update={"status": code}), body.encode()

    return wrong


def body_of(text: str) -> Wrong:
    return lambda response, _body: (response, text.encode())


def no_answer(response: ResponseData, _body: bytes) -> tuple[ResponseData, bytes]:
    return response.model_copy(update={"status": 0, "error": "timeout"}), b""


def cut(response: ResponseData, body: bytes) -> tuple[ResponseData, bytes]:
    return response, body[: len(body) // 2]


def edited(**changes: object) -> Wrong:
    def wrong(response: ResponseData, body: bytes) -> tuple[ResponseData, bytes]:
        try:
            answer = json.loads(body)
        except ValueError:
            return response, b"?"
        for obj in answer.get("items", [answer]):
            meta = obj.setdefault("metadata", {})
            for key, value in changes.items():
                (obj if key == "kind" else meta)[key] = value
        if "kind" in changes:
            answer["kind"] = changes["kind"]
        return response, json.dumps(answer).encode()

    return wrong


WRONG: dict[str, Wrong] = {
    "403": status(403, "Forbidden"),
    "404": status(404, "NotFound"),
    "500": status(500, "InternalError"),
    "empty": body_of(""),
    "html with 200": body_of("<html>PASS</html>"),
    "cut": cut,
    "wrong kind": edited(kind="ConfigMap"),
    "other namespace": edited(namespace="somebody-elses"),
    "older run": edited(
        uid="00000000-0000-0000-0000-000000000000", labels={"aiconform.dev/run": "0" * 16}, ownerReferences=[]
    ),
    "stale": edited(resourceVersion="1"),
    "no version": edited(resourceVersion=""),
    "timeout": no_answer,
}


def answers(bundle: Bundle) -> Iterator[tuple[str, int]]:
    """Lane and number of every request whose answer a passed observation rests on, deletions and tables aside.

    What a deletion answers is not rested on: that the object is gone is shown by the answers after it. Tables are for
    readers.
    """
    for check in bundle.verdicts.checks:
        for probe in check.probes:
            requests = {r.n: r.data for r in bundle.lanes[probe.lane] if r.type == "request"}
            for seen in probe.observations:
                for ref in seen.rests_on:
                    asked = requests[ref.n]
                    if asked["method"] != "DELETE" and "Table" not in asked["accept"]:
                        yield ref.lane, ref.n


def irrelevant(bundle: Bundle, lane: str, number: int, name: str) -> bool:
    """Whether this wrong answer says the same as the right one."""
    records = bundle.lanes[lane]
    request = next(r.data for r in records if r.type == "request" and r.n == number)
    if name == "stale" and (
        request["method"] == "POST" or "-device-" in request["path"] or _first(bundle, lane, number)
    ):
        # the first that was seen of an object cannot be older than what was seen before
        return True
    response_n, response = next((r.n, r.data) for r in records if r.type == "response" and r.n > number)
    after = next((r.data for r in records if r.type == "request" and r.n > number), None)
    if name in {"500", "timeout"} and after and after["path"] == request["path"] and request["method"] == "GET":
        # asked again at once, as it would be live, and answered well
        return True
    return _says_nothing_of_it(bundle, request, response, name, after_n=response_n, upto=_next(records, number))


def _says_nothing_of_it(bundle: Bundle, request: Obj, response: Obj, name: str, *, after_n: int, upto: int) -> bool:
    """Whether what is changed is of no account in an answer of this kind."""
    body = bundle.blob(response["body"]) if response["body"] else b""
    if response["status"] >= 400:
        # a refusal is no object: it has no namespace, uid, label or version, and an absence no kind either
        absent = {"404", "wrong kind"} if response["status"] == 404 else set()
        return name in {"other namespace", "older run", "stale", "no version"} | absent
    if request["path"].startswith("/apis/") and request["path"].count("/") == 3:
        # a discovery document is no object: it has no namespace, uid, label or version
        return name in {"other namespace", "older run", "stale", "no version", "wrong kind"}
    if "/proxy/" in request["path"] and body.startswith(b"{"):
        # what a program behind the API server says is no object
        return name in {"other namespace", "older run", "stale", "no version", "wrong kind"}
    if request["path"].startswith("/apis/custom.metrics.k8s.io/"):
        # a metric names its pod, but has no uid, label or version of its own; none at all is an empty list, or 404
        none = b'"items":[]' in body and name == "404"
        return none or name in {"other namespace", "older run", "stale", "no version"}
    if request["stream"]:
        # the headers of a stream have no body; what came in it is changed in the other tests
        lane = next(records for records in bundle.lanes.values() if any(r.data is request for r in records))
        events = any(r.data["body"] for r in lane if r.type == "chunk" and after_n < r.n < upto)
        return name not in {"403", "404", "500", "timeout"} or (name == "timeout" and not events)
    if b'"items":[]' in body or b'"items": []' in body:
        return name in {"other namespace", "older run", "stale", "no version"}
    return _of_somebody_else(request, name)


def _of_somebody_else(request: Obj, name: str) -> bool:
    """Whether an object that is not ours was changed in what it does not have: a run, a namespace of ours."""
    ours, proxied = ("/namespaces/aiconform-" in request["path"], "/proxy/" in request["path"])
    if request["path"].endswith("/events") and name == "older run":
        return True  # events are written by others, who know of no run
    if not ours and not proxied and request["path"].endswith("s"):
        # a list of somebody else's objects: they are of no run, and of whatever namespace where all are listed
        return name == "older run" or (name == "other namespace" and "/namespaces/" not in request["path"])
    clusterwide = ("/nodes/", "/runtimeclasses/", "/gatewayclasses/", "/customresourcedefinitions/")
    is_clusterwide = any(kind in request["path"] for kind in clusterwide) or (
        request["path"].startswith("/api/v1/namespaces/") and request["path"].count("/") == 4
    )
    return is_clusterwide and name in {"other namespace", "older run", "stale"}


def _next(records: Sequence[Record], number: int) -> int:
    """The number of the next request of a lane, or one past its end."""
    return next((r.n for r in records if r.type == "request" and r.n > number), records[-1].n + 1)


def _first(bundle: Bundle, lane: str, number: int) -> bool:
    """Whether this check asked at this path, or below it, for the first time; a list for the first of its selector."""
    mine = [records for name, records in bundle.lanes.items() if name.partition("/")[0] == lane.partition("/")[0]]
    here = next(r for r in bundle.lanes[lane] if r.n == number)
    asked = [r for records in mine for r in records if r.type == "request" and r.seq < here.seq]
    asked = [r for r in asked if "/proxy/" not in r.data["path"]]
    path, chosen = here.data["path"], _selector(here)
    asked = [r for r in asked if r.data["path"] != path or _selector(r) == chosen]
    made = any(r.data["method"] == "POST" and r.data["path"] == path.rpartition("/")[0] for r in asked)
    return not made and not any(path in r.data["path"] for r in asked)


def _selector(request: Record) -> list[object]:
    return [pair for pair in request.data["query"] if pair[0].endswith("Selector")]


RAN = [
    (path.name, check.requirement)
    for path in sorted(GOLDEN.glob("*.tar.gz"))
    for check in open_bundle(path).verdicts.checks
    if check.started_us is not None
]


@pytest.mark.parametrize(("name", "requirement"), RAN)
def test_no_wrong_answer_leaves_a_pass(name: str, requirement: str) -> None:
    bundle = open_bundle(GOLDEN / name)
    only = alone(requirement)
    mine = [(lane, n) for lane, n in dict.fromkeys(answers(bundle)) if lane.partition("/")[0] == requirement]
    cases = [(lane, n, wrong) for lane, n in mine for wrong in WRONG if not irrelevant(bundle, lane, n, wrong)]
    random.Random(f"{name} {requirement}").shuffle(cases)
    passed = []
    for lane, number, wrong in cases[:SAMPLE]:
        changed = OneAnswer(lane, number, WRONG[wrong])
        try:
            verdicts = replay(bundle, only, changed)
        except Divergence:
            continue
        assert changed.done, f"{lane} {number}: nothing was changed"
        probe = next(probe for check in verdicts.checks for probe in check.probes if probe.lane == lane)
        if probe.outcome == "passed":
            passed.append(f"{lane} {number}: {wrong}")
    assert len(cases) > 10
    assert passed == [], passed
