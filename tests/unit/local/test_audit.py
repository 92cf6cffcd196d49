"""What an audit log tells of a user: rights, refusals, and what was written."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from aiconform.engine.rights import Right
from aiconform.local.audit import Used, used

USER = "system:serviceaccount:a:b"


def event(verb: str, path: str, about: dict[str, str] | None, **more: Any) -> dict[str, Any]:
    return {
        "stage": "ResponseComplete",
        "verb": verb,
        "requestURI": path,
        "objectRef": about,
        "user": {"username": USER},
        "requestReceivedTimestamp": "2026-11-26T10:00:00.000000Z",
        "responseStatus": {"code": 200},
        "annotations": {"authorization.k8s.io/decision": "allow"},
        **more,
    }


def told(tmp_path: Path, *events: dict[str, Any], old: tuple[dict[str, Any], ...] = (), since: str = "") -> Used:
    for name, lines in (("audit.log", events), ("audit-2026-11-26T09-00-00.000.log", old)):
        (tmp_path / name).write_text("".join(json.dumps(one) + "\n" for one in lines))
    return used(SimpleNamespace(audit_log=tmp_path / "audit.log"), USER, since=since)  # type: ignore[arg-type]


def test_rights_that_requests_rest_on(tmp_path: Path) -> None:
    log = {"resource": "pods", "subresource": "log", "name": "p", "namespace": "n"}
    found = told(
        tmp_path,
        event("get", "/api/v1/namespaces/n/pods/p/log", log),
        event("list", "/apis/batch/v1/jobs", {"resource": "jobs", "apiGroup": "batch"}),
        event("get", "/version", None),
    )
    assert found.rights == {Right("", "pods/log", "get", "p", "n"), Right("batch", "jobs", "list")}
    assert (found.refused, found.writes, found.requests) == (set(), [], 3)


def test_reviews_and_dry_runs_change_nothing(tmp_path: Path) -> None:
    review = {"resource": "selfsubjectaccessreviews", "apiGroup": "authorization.k8s.io"}
    found = told(
        tmp_path,
        event("create", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review),
        event("create", "/api/v1/namespaces?dryRun=All", {"resource": "namespaces"}),
        event("create", "/api/v1/namespaces", {"resource": "namespaces"}),
    )
    assert found.rights == {Right("", "namespaces", "create")}
    assert found.writes == ["create /api/v1/namespaces"]


def test_a_refusal_by_the_authorizer_is_a_missing_right_and_one_by_admission_is_not(tmp_path: Path) -> None:
    refused = {"responseStatus": {"code": 403}}
    denied = {"authorization.k8s.io/decision": "forbid"}
    found = told(
        tmp_path,
        event("list", "/api/v1/nodes", {"resource": "nodes"}, **refused, annotations=denied),
        event("create", "/api/v1/namespaces/n/pods", {"resource": "pods", "namespace": "n"}, **refused),
    )
    assert found.refused == {Right("", "nodes", "list")}
    assert found.rights == {Right("", "pods", "create", "", "n")}
    assert found.writes == []


def test_others_and_earlier_times_are_left_out_and_old_files_read(tmp_path: Path) -> None:
    nodes = event("list", "/api/v1/nodes", {"resource": "nodes"})
    other = {**nodes, "user": {"username": "admin"}}
    begun = {**nodes, "stage": "ResponseStarted"}
    old = event("list", "/api/v1/pods", {"resource": "pods"}, requestReceivedTimestamp="2026-11-26T09:00:00.000000Z")
    assert told(tmp_path, other, begun, nodes, old=(old,)).requests == 2
    assert told(tmp_path, nodes, old=(old,), since="2026-11-26T09:30:00.000000Z").rights == {Right("", "nodes", "list")}


def test_a_line_that_is_still_being_written_is_left_for_later(tmp_path: Path) -> None:
    (tmp_path / "audit.log").write_text(json.dumps(event("get", "/version", None)) + "\n" + '{"stage": "Resp')
    assert used(SimpleNamespace(audit_log=tmp_path / "audit.log"), USER).requests == 1  # type: ignore[arg-type]
