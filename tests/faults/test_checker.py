"""The checker must notice what it is for: a planted leak, a touched bystander, a write outside, a false pass."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.faults import checker, decoys
from tests.faults.checker import AuditLog, Key
from tests.faults.plane import RUNNER

RUN, OTHER = "0123456789abcdef", "fedcba9876543210"
MAPS, SPACES = "api/v1/configmaps", "api/v1/namespaces"


class Cluster:
    """Objects by collection, as an API server lists them."""

    def __init__(self) -> None:
        self.items: dict[str, list[dict[str, Any]]] = {MAPS: [], SPACES: []}
        self.version = 0
        for name in ("a", "b"):
            self.put(MAPS, name, "default")

    def put(self, resource: str, name: str, namespace: str = "", **meta: Any) -> None:
        self.version += 1
        kept = {"name": name, "uid": f"u{self.version}", "resourceVersion": str(self.version), **meta}
        self.items[resource].append({"metadata": {**kept, **({"namespace": namespace} if namespace else {})}})

    def get(self, path: str) -> dict[str, Any]:
        served = {
            "/api/v1": {
                "resources": [
                    {"name": "configmaps", "verbs": ["list", "create"]},
                    {"name": "events", "verbs": ["list"]},
                    {"name": "pods/log", "verbs": ["get"]},
                    {"name": "bindings", "verbs": ["create"]},
                ]
            },
            "/apis": {"groups": [{"preferredVersion": {"groupVersion": "apps/v1"}}]},
            "/apis/apps/v1": {"resources": [{"name": "deployments", "verbs": ["list"]}]},
        }
        return served.get(path) or {"items": self.items.get(path[1:], [])}

    def snapshot(self) -> dict[Key, checker.State]:
        return checker.snapshot(self, [MAPS, SPACES])


def test_everything_that_can_be_listed_is_looked_at() -> None:
    assert checker.resources(Cluster()) == ["api/v1/configmaps", "apis/apps/v1/deployments"]


def test_a_cluster_that_is_as_it_was_has_no_difference() -> None:
    cluster = Cluster()
    assert checker.compare(cluster.snapshot(), cluster.snapshot()) == checker.Difference({}, ())


@pytest.mark.parametrize(
    ("resource", "name", "namespace", "meta"),
    [
        (MAPS, "leak", f"aiconform-{RUN}", {}),
        (MAPS, "leak", f"aiconform-{RUN}-baseline", {}),
        (SPACES, f"aiconform-{RUN}", "", {}),
        (MAPS, "leak", "default", {"labels": {checker.RUN_LABEL: RUN}}),
        (MAPS, "leak", "default", {"ownerReferences": [{"name": f"aiconform-{RUN}"}]}),
    ],
)
def test_a_planted_leak_is_found_and_is_its_runs(resource: str, name: str, namespace: str, meta: dict) -> None:
    cluster = Cluster()
    before = cluster.snapshot()
    cluster.put(resource, name, namespace, **meta)
    found = checker.compare(before, cluster.snapshot())
    assert [(key, state.run) for key, state in found.left.items()] == [(Key(resource, namespace, name), RUN)]
    assert found.touched == ()


def test_a_leak_of_nobody_is_found_too() -> None:
    cluster = Cluster()
    before = cluster.snapshot()
    cluster.put(MAPS, "leak", "default")
    assert [state.run for state in checker.compare(before, cluster.snapshot()).left.values()] == [""]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"resourceVersion": "99"}, "configmaps/default/a was changed"),
        ({"uid": "another"}, "configmaps/default/a is another one now"),
        (None, "configmaps/default/a is gone"),
    ],
)
def test_a_touched_bystander_is_found(change: dict[str, str] | None, words: str) -> None:
    cluster = Cluster()
    before = cluster.snapshot()
    if change is None:
        del cluster.items[MAPS][0]
    else:
        cluster.items[MAPS][0]["metadata"].update(change)
    assert checker.compare(before, cluster.snapshot()).touched == (words,)


def event(
    verb: str, resource: str, name: str, namespace: str = "", *, user: str = RUNNER, code: int = 200, run: str = RUN
) -> str:
    target = {"resource": resource, "name": name, **({"namespace": namespace} if namespace else {})}
    return json.dumps(
        {
            "verb": verb,
            "user": {"username": user},
            "objectRef": target,
            "responseStatus": {"code": code},
            "auditID": f"{run}.check.7",
        }
    )


OURS = f"aiconform-{RUN}"
CLEANUP = "cleanup-0123abcd"


@pytest.mark.parametrize(
    "line",
    [
        event("create", "configmaps", "c", "default"),
        event("delete", "configmaps", "c", "kube-system"),
        event("delete", "namespaces", "default"),
        event("patch", "namespaces", f"aiconform-{OTHER}", f"aiconform-{OTHER}"),
        event("create", "pods", "p", f"aiconform-{OTHER}"),
        event("deletecollection", "pods", "", "default"),
        event("delete", "deviceclasses", "somebodys"),
        event("update", "nodes", "n"),
        event("create", "pods", "p", f"x-aiconform-{RUN}"),
    ],
)
def test_a_write_outside_of_the_run_is_found(line: str) -> None:
    seen = checker.audited([line], RUNNER, {RUN})
    assert (seen.writes, len(seen.outside)) == (1, 1)


@pytest.mark.parametrize(
    "lines",
    [
        [event("create", "namespaces", OURS, OURS, code=201), event("delete", "namespaces", OURS, OURS)],
        [event("create", "pods", "p", OURS, code=201), event("patch", "pods", "p", OURS)],
        [event("create", "pods", "p", f"{OURS}-baseline", code=201)],
        [event("create", "deviceclasses", "c", code=201), event("delete", "deviceclasses", "c")],
    ],
)
def test_what_a_run_writes_of_its_own_is_right(lines: list[str]) -> None:
    assert checker.audited(lines, RUNNER, {RUN}) == checker.Audited(len(lines), ())


@pytest.mark.parametrize(
    "lines",
    [
        [event("delete", "namespaces", OURS, OURS, run=OTHER)],
        [event("patch", "pods", "p", OURS, run=OTHER)],
        [event("delete", "pods", "p", OURS, run="0000")],
        [event("create", "deviceclasses", "c", code=201), event("delete", "deviceclasses", "c", run=OTHER)],
    ],
)
def test_a_run_that_writes_in_another_is_found(lines: list[str]) -> None:
    assert len(checker.audited(lines, RUNNER, {RUN, OTHER}).outside) == 1


def test_a_cleanup_may_delete_what_runs_left_and_nothing_else() -> None:
    made = event("create", "deviceclasses", "c", code=201)
    of_run = [
        made,
        event("delete", "deviceclasses", "c", run=CLEANUP),
        event("delete", "namespaces", OURS, run=CLEANUP),
    ]
    assert checker.audited(of_run, RUNNER, {RUN}).outside == ()
    foreign = [event("delete", "deviceclasses", "d", run=CLEANUP), event("create", "pods", "p", OURS, run=CLEANUP)]
    assert len(checker.audited(foreign, RUNNER, {RUN}).outside) == 2


@pytest.mark.parametrize(
    "line",
    [
        event("get", "pods", "p", "default"),
        event("delete", "pods", "p", "default", user="system:somebody"),
        event("delete", "pods", "p", "default", code=409),
        event("create", "selfsubjectaccessreviews", "", code=201),
    ],
)
def test_what_writes_nothing_or_is_of_others_does_not_count(line: str) -> None:
    assert checker.audited([line], RUNNER, {RUN}) == checker.Audited(0, ())


def test_an_audit_log_is_read_line_by_line_as_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_text("before\n")
    log = AuditLog(path)
    assert log.news() == []
    with path.open("a") as file:
        file.write("one\ntw")
        file.flush()
        assert log.news() == ["one"]
        file.write("o\n")
        file.flush()
        assert log.news() == ["two"]


@pytest.mark.parametrize(
    ("clean", "seen", "found"),
    [
        ({"a": "failed"}, {"a": "passed"}, ["a"]),
        ({"a": "undecided"}, {"a": "passed"}, ["a"]),
        ({}, {"a": "passed"}, ["a"]),
        ({"a": "passed"}, {"a": "passed"}, []),
        ({"a": "passed"}, {"a": "undecided"}, []),
        ({"a": "passed"}, {}, []),
    ],
)
def test_a_false_pass_is_found(clean: dict[str, str], seen: dict[str, str], found: list[str]) -> None:
    assert checker.false_passes(clean, seen) == found


def test_a_false_failure_is_found() -> None:
    assert checker.false_failures({"a": "passed", "b": "failed"}, {"a": "failed", "b": "failed"}) == ["a"]


def test_bystanders_are_of_forty_kinds_and_some_look_like_ours() -> None:
    planted = list(decoys.manifests(22, [OTHER], [RUN]))
    assert len(planted) > 850
    assert len({thing["kind"] for _, thing in planted}) == 40
    names = [(path, thing["metadata"]["name"]) for path, thing in planted]
    assert len(set(names)) == len(names)
    labels = [thing["metadata"].get("labels", {}).get("aiconform.dev/run") for _, thing in planted]
    assert labels.count(OTHER) == 8
    assert labels.count(RUN) == 2
