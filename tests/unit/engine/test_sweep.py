"""Cleaning up after earlier runs: all of theirs is found and removed, and nothing that only looks like it."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Iterator
from datetime import UTC, datetime

import anyio
import pytest
from tests.support.fake_api import FakeApi, Obj

from aiconform.cluster.http import RawAnswer, RawRequest
from aiconform.engine.journal import Entry
from aiconform.engine.ownership import ENDS_WITHIN, NONCE, WHAT, marked, namespaces, run_of
from aiconform.engine.runner import _swept
from aiconform.engine.sweep import Left, find, remove_left
from aiconform.engine.unrecorded import UnrecordedLane
from aiconform.evidence.records import CleanupData

RUN = "0123456789abcdef"
OTHER = "fedcba9876543210"
ROOT = f"/api/v1/namespaces/aiconform-{RUN}"
NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


def root(run: str = RUN, *, made: str = "2026-11-26T10:00:00Z", within: str = "3600") -> Obj:
    name = namespaces(run)["restricted"]
    annotations = {WHAT: "made by a run", ENDS_WITHIN: within}
    meta = {"name": name, "annotations": annotations, "creationTimestamp": made, "uid": f"uid-of-{name}"}
    return marked({"apiVersion": "v1", "kind": "Namespace", "metadata": meta}, run)


def owned(kind: str, api_version: str, name: str, run: str = RUN) -> Obj:
    parent = root(run)["metadata"]
    owners = [{"apiVersion": "v1", "kind": "Namespace", "name": parent["name"], "uid": parent["uid"]}]
    meta = {"name": name, "ownerReferences": owners, "creationTimestamp": "2026-11-26T10:00:01Z", "uid": f"uid-{name}"}
    return marked({"apiVersion": api_version, "kind": kind, "metadata": meta}, run)


def queue(run: str = RUN) -> Obj:
    return owned("ClusterQueue", "kueue.x-k8s.io/v1beta2", "gang-0123456789", run)


def pod(name: str, **meta: object) -> Obj:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "uid": f"uid-{name}", **meta}}


def cluster(*objects: Obj) -> FakeApi:
    """An API that holds these."""
    api = FakeApi()
    paths = {"Namespace": "/api/v1/namespaces", "ClusterQueue": "/apis/kueue.x-k8s.io/v1beta2/clusterqueues"}
    for obj in objects:
        meta = obj["metadata"]
        inside = f"/api/v1/namespaces/{meta.get('namespace')}/pods"
        obj["metadata"].setdefault("resourceVersion", "7")
        api.objects[f"{paths.get(obj['kind'], inside)}/{meta['name']}"] = copy.deepcopy(obj)
    return api


def lane(api: FakeApi) -> UnrecordedLane:
    made = UnrecordedLane(api, "cleanup-test")  # type: ignore[arg-type]
    made.server_time = NOW
    return made


def found(api: FakeApi, run: str = "", entries: tuple[Entry, ...] | None = None) -> list[Left]:
    return anyio.run(find, lane(api), run, entries).runs


def unseen(api: FakeApi, run: str = "", entries: tuple[Entry, ...] | None = None) -> list[str]:
    return anyio.run(find, lane(api), run, entries).unseen


def broken(api: FakeApi, monkeypatch: pytest.MonkeyPatch, *, status: int = 500) -> None:
    """Let reading ClusterQueues fail: by default as where the webhook that converts them is down."""
    monkeypatch.setattr("aiconform.engine.api._RETRIES", 1)
    body = b'{"kind":"Status","reason":"R","message":"conversion webhook failed"}'

    def fail(request: RawRequest, answer: RawAnswer) -> RawAnswer:
        mine = request.method == "GET" and "/clusterqueues" in request.path
        return RawAnswer(status, {}, body) if mine else answer

    api.wrong = fail


def removed(api: FakeApi, left: Left, within_s: float = 0.5) -> CleanupData:
    async def work() -> CleanupData:
        return await remove_left(lane(api), left, lambda _: None, within_s=within_s)

    return anyio.run(work)


def test_all_of_a_run_is_found_and_removed() -> None:
    baseline = owned("Namespace", "v1", namespaces(RUN)["baseline"])
    api = cluster(root(), baseline, queue(), pod("probe", namespace=f"aiconform-{RUN}"))
    (left,) = found(api)
    assert [str(handle) for handle in left.handles] == [
        f"namespace/aiconform-{RUN}",
        f"namespace/aiconform-{RUN}-baseline",
        "clusterqueue/gang-0123456789",
    ]
    assert left.contents == {"Pod": 1}
    result = removed(api, left)
    assert (len(result.removed), result.left, api.objects) == (3, [], {})


def decoys() -> Iterator[Obj]:
    """Namespaces and objects that carry some of our marks, each without one of them."""
    good = root()
    for field, key in (("labels", "aiconform.dev/run"), ("labels", "app.kubernetes.io/managed-by")):
        decoy = copy.deepcopy(good)
        del decoy["metadata"][field][key]
        yield decoy
    for key in (NONCE, WHAT):
        decoy = copy.deepcopy(good)
        del decoy["metadata"]["annotations"][key]
        yield decoy
    for name in ("production", f"aiconform-{RUN}-copy", f"aiconform-{OTHER}"):
        decoy = copy.deepcopy(good)
        decoy["metadata"]["name"] = name
        yield decoy
        yield marked(decoy, RUN)  # even with the annotation that fits
    shouted = copy.deepcopy(good)
    shouted["metadata"]["labels"]["aiconform.dev/run"] = RUN.upper()
    yield shouted
    yield {**queue(), "metadata": {**queue()["metadata"], "ownerReferences": []}}
    foreign = queue()
    foreign["metadata"]["name"] = "production"
    yield marked(foreign, RUN)
    yield {**queue(), "metadata": {**queue()["metadata"], "name": "gang-9876543210"}}
    stranger = owned("Namespace", "v1", "production")
    yield stranger


@pytest.mark.parametrize("decoy", list(decoys()), ids=lambda decoy: decoy["metadata"]["name"])
def test_a_decoy_is_not_ours(decoy: Obj) -> None:
    api = cluster(decoy)
    before = copy.deepcopy(api.objects)
    assert run_of(decoy) == ""
    assert found(api) == found(api, RUN) == []
    assert api.objects == before


def test_the_good_ones_are_ours() -> None:
    assert run_of(root()) == run_of(queue()) == RUN


def test_a_decoy_stays_while_the_run_beside_it_goes() -> None:
    decoy = copy.deepcopy(root())
    decoy["metadata"]["name"] = f"aiconform-{RUN}-copy"
    api = cluster(root(), decoy)
    (left,) = found(api)
    removed(api, left)
    assert [obj["metadata"]["name"] for obj in api.objects.values()] == [f"aiconform-{RUN}-copy"]
    assert all(request.method != "PATCH" for request in api.requests)


def test_a_run_that_may_be_alive_says_so_by_its_own_limit() -> None:
    young = root(OTHER, made="2026-11-26T11:30:00Z")
    old, alive = found(cluster(root(), young))
    assert (old.run, old.may_be_alive, alive.run, alive.may_be_alive) == (RUN, False, OTHER, True)
    (long,) = found(cluster(root(within="9000")))
    assert long.may_be_alive


def test_a_run_that_is_named_needs_no_right_to_list_namespaces() -> None:
    api = cluster(root())

    def refuse(request: RawRequest, answer: RawAnswer) -> RawAnswer:
        listed = request.method == "GET" and request.path == "/api/v1/namespaces"
        return RawAnswer(403, {}, b'{"kind":"Status","reason":"Forbidden","message":"no"}') if listed else answer

    api.wrong = refuse
    (left,) = found(api, RUN)
    assert left.run == RUN


def test_where_objects_of_the_cluster_may_not_be_listed_the_journal_names_them() -> None:
    api = cluster(root(), queue())

    def refuse(request: RawRequest, answer: RawAnswer) -> RawAnswer:
        listed = request.method == "GET" and request.path.endswith("queues")
        return RawAnswer(403, {}, b'{"kind":"Status","reason":"Forbidden","message":"no"}') if listed else answer

    api.wrong = refuse
    assert [len(left.handles) for left in found(api, RUN)] == [1]
    made = Entry("kueue.x-k8s.io/v1beta2", "ClusterQueue", "", "gang-0123456789")
    assert [len(left.handles) for left in found(api, RUN, (made,))] == [2]


def test_a_kind_that_cannot_be_converted_is_named_and_the_rest_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    api = cluster(root(), queue())
    broken(api, monkeypatch)
    for run in ("", RUN):
        assert [[str(handle) for handle in left.handles] for left in found(api, run)] == [
            [f"namespace/aiconform-{RUN}"]
        ]
        (why,) = unseen(api, run)
        assert why.startswith("clusterqueues, if there are any (GET /apis/kueue.x-k8s.io/v1beta2/clusterqueues: 500 ")


def test_of_such_a_kind_the_journal_says_whether_there_is_any(monkeypatch: pytest.MonkeyPatch) -> None:
    api = cluster(root(), queue())
    broken(api, monkeypatch)
    assert unseen(api, RUN, ()) == []
    made = Entry("kueue.x-k8s.io/v1beta2", "ClusterQueue", "", "gang-0123456789")
    (why,) = unseen(api, RUN, (made,))
    assert why.startswith("clusterqueue/gang-0123456789, if it is there (GET ")
    read = api.wrong
    api.wrong = lambda request, answer: answer if request.path.endswith("gang-0123456789") else read(request, answer)
    assert unseen(api, RUN, (made,)) == []
    (left,) = found(api, RUN, (made,))
    assert [str(handle) for handle in left.handles] == [f"namespace/aiconform-{RUN}", "clusterqueue/gang-0123456789"]


@pytest.mark.parametrize("status", [403, 404])
def test_a_kind_that_may_not_be_listed_or_is_not_served_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    api = cluster(root())
    broken(api, monkeypatch, status=status)
    assert unseen(api) == []


def test_the_sweep_after_a_crash_removes_the_rest_and_knows_that_something_may_be_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    api = cluster(root())
    broken(api, monkeypatch)
    whole = anyio.run(_swept, api, RUN)
    assert (whole, api.objects) == (False, {})


def test_a_foreign_finalizer_is_named_and_stays() -> None:
    held = pod("held", namespace=f"aiconform-{RUN}", finalizers=["example.com/hold"])
    api = cluster(root(), held)
    (left,) = found(api)
    result = removed(api, left)
    assert result.removed == []
    assert "waits for finalizer example.com/hold" in result.left[0]
    assert f"pod/held in aiconform-{RUN}" in result.left[0]
    assert api.objects[f"{ROOT}/pods/held"]["metadata"]["finalizers"] == ["example.com/hold"]
    api.objects[f"{ROOT}/pods/held"]["metadata"]["finalizers"] = []
    (again,) = found(api)
    assert removed(api, again).left == []
    assert api.objects == {}


def condition(kind: str, reason: str, message: str = "", status: str = "True") -> list[Obj]:
    return [{"type": kind, "status": status, "reason": reason, "message": message}]


def test_a_dead_api_service_and_the_namespaces_own_words_are_named() -> None:
    said = root()
    said["status"] = {"conditions": condition("NamespaceDeletionDiscoveryFailure", "DiscoveryFailed", "metrics: 503")}
    api = cluster(said)
    api.stuck = {ROOT}
    meta = {"name": "v1beta1.metrics.k8s.io", "uid": "u", "resourceVersion": "1"}
    service = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": meta,
        "status": {"conditions": condition("Available", "ServiceNotFound", status="False")},
    }
    api.objects["/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io"] = service
    (left,) = found(api)
    (why,) = removed(api, left).left
    assert "apiservice/v1beta1.metrics.k8s.io is not available (ServiceNotFound)" in why
    assert "the namespace says DiscoveryFailed: metrics: 503" in why


@pytest.mark.parametrize(
    ("status", "message"),
    [(403, "you may not delete namespaces"), (500, 'failed calling webhook "guard.example.com": connection refused')],
)
def test_a_refused_delete_is_told_in_the_clusters_words(status: int, message: str) -> None:
    api = cluster(root())

    body = json.dumps({"kind": "Status", "apiVersion": "v1", "reason": "R", "message": message}).encode()
    api.refused = {"DELETE": RawAnswer(status, {}, body)}
    (left,) = found(api)
    (why,) = removed(api, left).left
    assert message in why
    assert ROOT in api.objects


def test_a_delete_whose_answers_are_all_lost_is_seen_to_have_worked() -> None:
    api = cluster(root())
    api.wrong = lambda request, answer: RawAnswer(0, error="timeout") if request.method == "DELETE" else answer
    (left,) = found(api)
    result = removed(api, left)
    assert (result.left, api.objects) == ([], {})


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize(
    ("status", "body"), [(401, b"{}"), (403, b"{}"), (410, b"{}"), (200, b"<title>Sign in</title>")]
)
def test_a_delete_that_is_refused_for_a_moment_is_asked_for_again(status: int, body: bytes, times: int) -> None:
    api = cluster(root())
    (left,) = found(api)
    refused = itertools.count(1)

    class Refused(dict[str, RawAnswer]):
        def __contains__(self, method: object) -> bool:
            return method == "DELETE" and next(refused) <= times

    api.refused = Refused(DELETE=RawAnswer(status, {}, body))
    result = removed(api, left, within_s=20)
    assert (result.left, api.objects) == ([], {})
    assert next(refused) == times + 2


def test_what_cannot_be_seen_for_a_moment_is_not_called_left() -> None:
    api = cluster(root())
    (left,) = found(api)
    looks = itertools.count(1)

    def conflicts(request: RawRequest, answer: RawAnswer) -> RawAnswer:
        return RawAnswer(409, {}, b"{}") if request.method == "GET" and next(looks) <= 4 else answer

    api.wrong = conflicts
    result = removed(api, left, within_s=20)
    assert (result.left, api.objects) == ([], {})


def test_what_can_never_be_seen_again_is_told_so() -> None:
    api = cluster(root())
    (left,) = found(api)
    api.wrong = lambda request, answer: RawAnswer(409, {}, b"{}") if request.method == "GET" else answer
    (why,) = removed(api, left, within_s=20).left
    assert why.startswith(f"namespace/aiconform-{RUN} (what holds it is not known: ")


def test_a_pod_whose_node_is_silent_is_named() -> None:
    api = cluster(root(), pod("lost", namespace=f"aiconform-{RUN}"))
    api.stuck = {f"{ROOT}/pods/lost"}
    (left,) = found(api)
    (why,) = removed(api, left).left
    assert "its node's kubelet has not confirmed" in why
