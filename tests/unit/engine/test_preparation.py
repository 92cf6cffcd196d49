"""The run's namespaces cannot be made, or nobody knows whether they were: nothing stays, or it is named."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest
from tests.unit.engine.test_guards import quota_controller
from tests.unit.engine.test_record_and_replay import JSON, RUN, Recorded, check_of, create_and_wait

from aiconform.cluster.http import RawAnswer, RawRequest
from aiconform.engine.conduct import PreflightError, _prepared

ROOT = f"/api/v1/namespaces/aiconform-{RUN}"


def refused(run: Recorded) -> PreflightError:
    """What preparing a run comes to that must not get anywhere."""

    async def work() -> PreflightError:
        with pytest.raises(PreflightError) as problem:
            await _prepared(run.stage, run.plan, {"restricted", "baseline"})
        return problem.value

    return anyio.run(work)


def prepared(tmp_path: Path) -> Recorded:
    run = Recorded(tmp_path, check_of(create_and_wait))
    run.api.on_create = quota_controller
    return run


def test_a_namespace_that_may_not_be_made_leaves_nothing(tmp_path: Path) -> None:
    run = prepared(tmp_path)
    body = b'{"kind":"Status","apiVersion":"v1","reason":"Forbidden","message":"not for you"}'
    run.api.refused = {"POST": RawAnswer(403, JSON, body)}
    problem = refused(run)
    assert "not for you" in problem.cause
    assert problem.left == []


def test_a_namespace_whose_creation_was_not_answered_is_looked_for_and_removed(tmp_path: Path) -> None:
    run = prepared(tmp_path)
    blind: list[RawRequest] = []

    def lose(request: RawRequest, answer: RawAnswer) -> RawAnswer:
        """Creations and the first readings after them get no answer, though all is done."""
        lost = request.method == "POST" or (request.path == ROOT and request.method == "GET" and len(blind) < 5)
        if lost and request.method == "GET":
            blind.append(request)
        return RawAnswer(0, error="timeout") if lost else answer

    run.api.wrong = lose
    problem = refused(run)
    assert "timeout" in problem.cause
    assert problem.left == []
    assert not any("namespaces" in path for path in run.api.objects)


def test_what_cannot_be_looked_for_is_named(tmp_path: Path) -> None:
    run = prepared(tmp_path)
    run.api.wrong = lambda _request, _answer: RawAnswer(0, error="connection refused")
    problem = refused(run)
    assert problem.left == [f"namespace/aiconform-{RUN} (GET {ROOT}: no answer: connection refused)"]
    assert ROOT in run.api.objects


def test_a_namespace_of_somebody_else_is_told_and_stays(tmp_path: Path) -> None:
    run = prepared(tmp_path)
    meta = {"name": f"aiconform-{RUN}", "uid": "theirs", "resourceVersion": "3"}
    run.api.objects[ROOT] = {"apiVersion": "v1", "kind": "Namespace", "metadata": meta}
    problem = refused(run)
    assert "somebody else's object has this name" in problem.cause
    assert run.api.objects[ROOT]["metadata"]["uid"] == "theirs"
    assert problem.left == []


def test_without_a_service_account_what_was_made_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = prepared(tmp_path)
    monkeypatch.setattr("aiconform.engine.conduct._ACCOUNT_WITHIN_S", 0.2)
    problem = refused(run)
    assert "default ServiceAccount" in problem.cause
    made = [json.loads(request.body or b"")["kind"] for request in run.api.requests if request.method == "POST"]
    assert made.count("Namespace") == 2
    assert run.api.objects == {}
