"""Guard rails: what bounds a run even if nobody comes back, and what happens where they cannot be made."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import anyio
import pytest
from tests.support.fake_api import FakeApi, Obj
from tests.unit.engine.test_record_and_replay import FACTS, JSON, POD, RUN, Recorded, bind, check_of, create_and_wait

from aiconform.checks._kit.selectors import matches
from aiconform.cluster.http import RawAnswer, RawRequest
from aiconform.engine import Context
from aiconform.engine.api import Api
from aiconform.engine.conduct import _prepared
from aiconform.engine.examine import Examination, examine
from aiconform.engine.guards import DEADLINE_S, QUOTA, SPARE_S, TTL_S, bounded, fence, fences
from aiconform.engine.rights import GUARDS, parse

FORBIDDEN = RawAnswer(403, JSON, b'{"kind":"Status","apiVersion":"v1","reason":"Forbidden","message":"not for you"}')


def created(api: FakeApi) -> list[Obj]:
    return [json.loads(request.body or b"") for request in api.requests if request.method == "POST"]


def notes(run: Recorded) -> list[str]:
    lines = (run.writer.directory / "log.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    return [record["data"]["text"] for record in records if record["type"] == "note"]


def refuse(api: FakeApi, plural: str) -> None:
    """Let an API refuse to create objects of a kind."""
    real = api._answer

    async def answer(request: RawRequest) -> RawAnswer:
        mine = request.method == "POST" and request.path.endswith(plural)
        return FORBIDDEN if mine else await real(request)

    api._answer = answer  # type: ignore[method-assign]


def test_what_a_check_makes_belongs_to_a_guard_that_the_cluster_ends(tmp_path: Path) -> None:
    run = Recorded(tmp_path, check_of(create_and_wait))
    run.api.on_create = bind
    verdict = run.live()
    assert verdict.outcome == "passed"
    guard, pod = created(run.api)
    spec = guard["spec"]
    assert (guard["kind"], spec["parallelism"], spec["completions"]) == ("Job", 0, 1)
    assert (spec["activeDeadlineSeconds"], spec["ttlSecondsAfterFinished"]) == (DEADLINE_S, 0)
    (owner,) = pod["metadata"]["ownerReferences"]
    name = guard["metadata"]["name"]
    assert (owner["kind"], owner["name"], owner["uid"], owner["controller"]) == ("Job", name, f"uid-of-{name}", False)
    assert pod["spec"]["activeDeadlineSeconds"] == DEADLINE_S
    assert run.api.objects == {}, "the guard goes with the rest"
    assert run.replay(run.bundle(verdict)) == verdict


def test_a_pod_that_nobody_may_own_is_left_so_and_still_ends(tmp_path: Path) -> None:
    async def create_unowned(ctx: Context) -> None:
        await ctx.create({**POD, "metadata": {**POD["metadata"], "ownerReferences": []}})

    run = Recorded(tmp_path, check_of(create_unowned))
    verdict = run.live()
    _guard, pod = created(run.api)
    assert "ownerReferences" not in pod["metadata"]
    assert pod["spec"]["activeDeadlineSeconds"] == DEADLINE_S
    assert run.api.objects == {}, "it goes with the rest"
    assert run.replay(run.bundle(verdict)) == verdict


def test_there_is_one_guard_and_it_waits_as_long_as_the_check_may_take(tmp_path: Path) -> None:
    async def two(ctx: Context) -> None:
        await ctx.create(POD)
        await ctx.create({**POD, "metadata": {"name": "another"}})

    run = Recorded(tmp_path, check_of(two, timeout_s=2000))
    run.live()
    guards = [obj for obj in created(run.api) if obj["kind"] == "Job"]
    assert [guard["spec"]["activeDeadlineSeconds"] for guard in guards] == [2000 + SPARE_S]


def test_a_check_that_makes_nothing_has_no_guard(tmp_path: Path) -> None:
    async def look(ctx: Context) -> None:
        await ctx.get("/version")

    run = Recorded(tmp_path, check_of(look))
    run.live()
    assert created(run.api) == []


def test_what_is_to_be_kept_has_no_guard(tmp_path: Path) -> None:
    run = Recorded(tmp_path, check_of(create_and_wait))

    async def work() -> None:
        examination = Examination(run.stage, FACTS, {"restricted": "ours"}, {}, lambda _: None, keep=True)
        await examine(examination, run.check, run.planned, FACTS)

    anyio.run(work)
    assert [obj["kind"] for obj in created(run.api)] == ["Pod"]


def test_a_guard_that_may_not_be_made_is_told_and_fails_nothing(tmp_path: Path) -> None:
    run = Recorded(tmp_path, check_of(create_and_wait))
    run.api.on_create = bind
    refuse(run.api, "jobs")
    verdict = run.live()
    assert verdict.outcome == "passed"
    assert any(note.startswith("no guard for dra_support") and "not for you" in note for note in notes(run))
    assert run.replay(run.bundle(verdict)) == verdict


def test_a_guard_that_a_webhook_holds_up_is_made_with_the_next_object(tmp_path: Path) -> None:
    async def two(ctx: Context) -> None:
        await ctx.create(POD)
        ready.append("now")
        await ctx.create({**POD, "metadata": {"name": "another"}})
        ctx.expect("two", "two", ok=True)

    ready: list[str] = []
    run = Recorded(tmp_path, check_of(two))
    real = run.api._answer

    async def answer(request: RawRequest) -> RawAnswer:
        body = b'{"kind":"Status","apiVersion":"v1","reason":"InternalError","message":"failed calling webhook"}'
        early = request.method == "POST" and request.path.endswith("jobs") and not ready
        return RawAnswer(500, JSON, body) if early else await real(request)

    run.api._answer = answer  # type: ignore[method-assign]
    verdict = run.live()
    first, second = [obj["metadata"] for obj in created(run.api) if obj["kind"] == "Pod"]
    assert "ownerReferences" not in first
    assert second["ownerReferences"][0]["kind"] == "Job"
    assert sum(note.startswith("no guard") for note in notes(run)) == 1
    assert run.api.objects == {}
    assert run.replay(run.bundle(verdict)) == verdict


def test_a_guard_that_the_cluster_suspends_is_told(tmp_path: Path) -> None:
    run = Recorded(tmp_path, check_of(create_and_wait))

    def suspend(obj: Obj) -> None:
        bind(obj)
        if obj["kind"] == "Job":
            obj["spec"]["suspend"] = True

    run.api.on_create = suspend
    run.live()
    assert any("it guards nothing" in note for note in notes(run))


@pytest.mark.parametrize(
    ("api_version", "kind", "fields"),
    [
        ("v1", "Pod", {"activeDeadlineSeconds": DEADLINE_S}),
        ("batch/v1", "Job", {"activeDeadlineSeconds": DEADLINE_S, "ttlSecondsAfterFinished": TTL_S}),
        ("batch.volcano.sh/v1alpha1", "Job", {"ttlSecondsAfterFinished": TTL_S}),
        ("ray.io/v1", "RayJob", {"activeDeadlineSeconds": DEADLINE_S}),
        ("apps/v1", "Deployment", {}),
    ],
)
def test_deadlines_are_filled_in_and_never_changed(api_version: str, kind: str, fields: dict[str, int]) -> None:
    manifest = {"apiVersion": api_version, "kind": kind, "metadata": {}, "spec": {"x": 1}}
    assert bounded(manifest)["spec"] == {"x": 1, **fields}
    own = {**manifest, "spec": dict.fromkeys(fields, 7)}
    assert bounded(own)["spec"] == own["spec"]


def quota_controller(obj: Obj) -> None:
    """What the controllers do with a new namespace and a new quota."""
    if obj["kind"] == "ResourceQuota":
        obj["status"] = {"hard": dict(QUOTA)}


def prepared(run: Recorded, *groups: str) -> list[str]:
    """Make the namespaces of both standards where these APIs are served; returns their names."""

    async def work() -> list[str]:
        for name in (f"aiconform-{RUN}", f"aiconform-{RUN}-baseline"):
            meta = {"name": "default", "namespace": name, "uid": f"sa-{name}", "resourceVersion": "1"}
            path = f"/api/v1/namespaces/{name}/serviceaccounts/default"
            run.api.objects[path] = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}
        made = await _prepared(run.stage, run.plan, {"restricted", "baseline"}, frozenset(groups))
        return [handle.name for handle in made]

    return anyio.run(work)


def test_every_namespace_is_fenced_and_belongs_to_the_root(tmp_path: Path) -> None:
    run = Recorded(tmp_path, check_of(create_and_wait))
    run.api.on_create = quota_controller
    names = prepared(run)
    made = created(run.api)
    for name in names:
        kinds = [obj["kind"] for obj in made if obj["metadata"].get("namespace") == name]
        assert kinds == ["ResourceQuota", "LimitRange", "NetworkPolicy"]
    first, second = [obj["metadata"] for obj in made if obj["kind"] == "Namespace"]
    assert second["ownerReferences"][0]["uid"] == f"uid-of-{first['name']}"
    assert first["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


OUT_OF_ISTIO = {"istio-injection": "disabled", "istio.io/dataplane-mode": "none"}
OUT_OF_LINKERD = {"linkerd.io/inject": "disabled"}


@pytest.mark.parametrize(
    ("groups", "labels", "annotations"),
    [
        ({"networking.istio.io/v1"}, OUT_OF_ISTIO, {}),
        ({"policy.linkerd.io/v1beta3"}, {}, OUT_OF_LINKERD),
        ({"linkerd.io/v1alpha2", "security.istio.io/v1"}, OUT_OF_ISTIO, OUT_OF_LINKERD),
        ({"apps/v1", "notistio.io/v1"}, {}, {}),
    ],
)
def test_both_namespaces_ask_to_be_left_out_of_the_meshes_that_there_are(
    tmp_path: Path, groups: set[str], labels: dict[str, str], annotations: dict[str, str]
) -> None:
    run = Recorded(tmp_path, check_of(create_and_wait))
    run.api.on_create = quota_controller
    assert len(prepared(run, *groups)) == 2
    namespaces = [obj["metadata"] for obj in created(run.api) if obj["kind"] == "Namespace"]
    assert len(namespaces) == 2
    for made in namespaces:
        assert {key: value for key, value in made["labels"].items() if "istio" in key} == labels
        assert {key: value for key, value in made["annotations"].items() if "linkerd" in key} == annotations
        assert made["labels"]["aiconform.dev/run"] == RUN


@pytest.mark.parametrize("plural", ["resourcequotas", "limitranges", "networkpolicies"])
def test_a_fence_that_may_not_be_made_is_told_and_the_run_goes_on(tmp_path: Path, plural: str) -> None:
    run = Recorded(tmp_path, check_of(create_and_wait))
    run.api.on_create = quota_controller
    refuse(run.api, plural)
    assert len(prepared(run)) == 2
    assert sum("not for you" in note for note in notes(run)) == 2


def test_a_quota_that_nothing_counts_is_taken_away_before_it_refuses_our_pods(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aiconform.engine.guards._QUOTA_WITHIN_S", 0.3)
    run = Recorded(tmp_path, check_of(create_and_wait))

    async def work() -> None:
        await fence(Api(run.stage.lane("setup")), RUN, "ours")

    anyio.run(work)
    assert not any("resourcequotas" in path for path in run.api.objects)
    assert "no ResourceQuota in ours: nothing counts it" in notes(run)


@pytest.mark.parametrize("answer", [FORBIDDEN, RawAnswer(0, error="connection reset"), RawAnswer(200, JSON, b"<html>")])
@pytest.mark.parametrize("removable", [True, False])
def test_a_quota_of_which_nobody_can_tell_whether_it_counts_ends_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: RawAnswer, *, removable: bool
) -> None:
    monkeypatch.setattr("aiconform.engine.api._RETRIES", 1)
    run = Recorded(tmp_path, check_of(create_and_wait))
    run.api.refused = {} if removable else {"DELETE": FORBIDDEN}

    def wrong(request: RawRequest, right: RawAnswer) -> RawAnswer:
        return answer if request.method == "GET" and request.path.endswith("resourcequotas") else right

    run.api.wrong = wrong
    assert len(prepared(run)) == 2
    assert any("resourcequotas" in path for path in run.api.objects) is not removable
    told = "no ResourceQuota in aiconform-" if removable else "a ResourceQuota in aiconform-"
    (first, second) = [note for note in notes(run) if note.startswith(told)]
    assert "whether it counts cannot be seen: " in first
    assert removable or "may refuse every pod" in second
    assert removable or second.endswith("not for you")


def test_the_role_gives_what_takes_such_a_quota_away() -> None:
    (right,) = parse("delete resourcequotas")
    assert [given.sometimes for given in parse(*GUARDS) if given == right] == [True]


def test_a_quota_is_waited_for(tmp_path: Path) -> None:
    run = Recorded(tmp_path, check_of(create_and_wait))
    path = "/api/v1/namespaces/ours/resourcequotas/aiconform"

    async def work() -> None:
        async def count() -> None:
            await asyncio.sleep(0.2)
            await run.api.change("resourcequotas/aiconform", status={"hard": dict(QUOTA)})

        async with anyio.create_task_group() as group:
            group.start_soon(count)
            await fence(Api(run.stage.lane("setup")), RUN, "ours")

    anyio.run(work)
    assert path in run.api.objects
    assert not [note for note in notes(run) if note.startswith("no ")]


@pytest.mark.parametrize(
    ("labels", "cut_off"),
    [
        ({}, True),
        ({"aiconform.dev/run": RUN}, True),
        ({"aiconform.dev/network": "none"}, True),
        ({"aiconform.dev/network": "needed"}, False),
        ({"ray.io/cluster": "ray-1"}, False),
        ({"gateway.networking.k8s.io/gateway-name": "g"}, False),
    ],
)
def test_the_network_policy_cuts_off_all_but_those_who_talk(labels: dict[str, str], cut_off: bool) -> None:
    policy = fences("ours")[2]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in policy
    assert "egress" not in policy
    assert matches(policy["podSelector"], labels) is cut_off
