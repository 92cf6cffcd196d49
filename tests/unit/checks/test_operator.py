"""Whose word a refusal is, and when a Ray cluster is whole."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from tests.support.scripted import Scripted

from aiconform.checks import robust_controller
from aiconform.checks._kit import operator, operator_kuberay, ray_cluster
from aiconform.checks._kit.operator_webhooks import Hook, attributed, hooks_of
from aiconform.engine import Context, Facts, Handle, RefusedError, State, StopProbe, kinds

Obj = dict[str, Any]

OWN = [Hook("vraycluster.kb.io", "kuberay", "ray-system/webhook", "Fail")]


def refusal(status: int, reason: str, message: str) -> RefusedError:
    return RefusedError("create RayCluster wrong", status, reason, message)


@pytest.mark.parametrize(
    ("status", "reason", "message", "by", "who"),
    [
        (422, "Invalid", 'admission webhook "vraycluster.kb.io" denied the request: twice', "own", "vraycluster.kb.io"),
        (403, "Forbidden", 'admission webhook "other.io" denied the request: no', "foreign", "other.io"),
        (500, "InternalError", 'failed calling webhook "vraycluster.kb.io": refused', "silent", "vraycluster.kb.io"),
        (500, "InternalError", 'failed calling webhook "other.io": refused', "other", "500 InternalError"),
        (422, "Invalid", "spec.headGroupSpec: Required value", "other", "422 Invalid"),
        (403, "Forbidden", 'User "x" cannot create resource "rayclusters"', "other", "403 Forbidden"),
        (422, "Invalid", "ValidatingAdmissionPolicy 'p' denied request: no", "other", "422 Invalid"),
        (500, "", "", "other", "500 error"),
    ],
)
def test_a_refusal_is_attributed_by_the_servers_own_words(status, reason, message, by, who) -> None:
    seen = attributed(refusal(status, reason, message), OWN)
    assert (seen.by, seen.who, seen.message) == (by, who, message)


def configuration(**changes: Any) -> Obj:
    rule = {"apiGroups": ["ray.io"], "apiVersions": ["v1"], "resources": ["rayclusters"], "operations": ["CREATE"]}
    service = {"name": "webhook", "namespace": "ray-system"}
    rule = {**rule, **{key: value for key, value in changes.items() if key in rule}}
    service = {**service, **{key: value for key, value in changes.items() if key in service}}
    hook = {"name": "v.kb.io", "clientConfig": {"service": service}, "rules": [rule]}
    return {"metadata": {"name": "kuberay"}, "webhooks": [hook]}


def own(found: Obj) -> list[Hook]:
    return list(hooks_of(found, kinds.RAY_CLUSTER, "ray-system", {"webhook"}))


def test_a_webhook_is_the_operators_by_its_service_and_its_rules() -> None:
    assert own(configuration()) == [Hook("v.kb.io", "kuberay", "ray-system/webhook", "Fail")]
    assert own(configuration(apiGroups=["*"], resources=["*/*"], operations=["*"], apiVersions=["*"]))


@pytest.mark.parametrize(
    "changes",
    [
        {"namespace": "kueue-system"},
        {"name": "another"},
        {"apiGroups": ["batch"]},
        {"apiVersions": ["v1alpha1"]},
        {"resources": ["rayjobs"]},
        {"operations": ["UPDATE"]},
    ],
)
def test_a_webhook_of_somebody_else_or_for_something_else_is_not(changes) -> None:
    assert own(configuration(**changes)) == []


@pytest.mark.parametrize(("policy", "asked"), [("Equivalent", True), ("Exact", False)])
def test_a_webhook_for_another_version_is_asked_where_the_configuration_says_so(policy: str, asked: bool) -> None:
    found = configuration(apiVersions=["v1alpha1"])
    found["webhooks"][0]["matchPolicy"] = policy
    assert bool(own(found)) is asked


def test_a_webhook_by_url_is_not() -> None:
    found = configuration()
    found["webhooks"][0]["clientConfig"] = {"url": "https://example.com"}
    assert own(found) == []


def member(kind: str, uid: str, *, ready: str = "True", owner: str = "c", going: bool = False) -> Obj:
    meta: Obj = {
        "name": f"{kind}-{uid}",
        "uid": uid,
        "labels": {ray_cluster.NODE_LABEL: kind},
        "ownerReferences": [{"uid": owner, "controller": True}],
    }
    if going:
        meta["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}
    return {"metadata": meta, "spec": {"nodeName": "n"}, "status": status}


class TestWhole:
    condition = staticmethod(ray_cluster.whole("c"))
    again = staticmethod(ray_cluster.whole("c", without=["h0"]))

    def test_a_head_and_a_worker_that_are_ready(self) -> None:
        assert self.condition([member("head", "h"), member("worker", "w")]).outcome == "met"

    @pytest.mark.parametrize(
        "members",
        [
            [],
            [member("head", "h")],
            [member("head", "h"), member("worker", "w", ready="False")],
            [member("head", "h", going=True), member("worker", "w")],
            [member("worker", "v"), member("worker", "w")],
            [member("head", "h"), member("worker", "w"), member("worker", "v", ready="False")],
        ],
    )
    def test_less_is_waited_for(self, members) -> None:
        assert self.condition(members).outcome == "waiting"

    def test_pods_of_nobodys_are_wrong(self) -> None:
        assert self.condition([member("head", "h", owner="x"), member("worker", "w")]).outcome == "wrong"

    def test_the_head_that_was_deleted_does_not_count(self) -> None:
        assert self.again([member("head", "h0"), member("worker", "w")]).outcome == "waiting"
        assert self.again([member("head", "h0", going=True), member("head", "h1"), member("worker", "w")]).outcome == (
            "waiting"
        )
        assert self.again([member("head", "h1"), member("worker", "w")]).outcome == "met"

    def test_no_image_says_nothing_of_the_operator(self) -> None:
        waiting = member("head", "h", ready="False")
        waiting["status"] = {
            "phase": "Pending",
            "containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no"}}}],
        }
        assert self.condition([waiting, member("worker", "w")]).outcome == "blocked"


def told(**changes: Any) -> Obj:
    status: Obj = {
        "state": "ready",
        "readyWorkerReplicas": 1,
        "observedGeneration": 2,
        "head": {"podName": "head-h"},
        "conditions": [{"type": "HeadPodReady", "status": "True"}],
    }
    return {"metadata": {"name": "ray", "generation": 2}, "status": {**status, **changes}}


def test_a_cluster_says_that_it_is_ready() -> None:
    assert ray_cluster.told_ready([told()]).outcome == "met"
    for change in ({"state": "suspended"}, {"readyWorkerReplicas": 0}, {"observedGeneration": 1}):
        assert ray_cluster.told_ready([told(**change)]).outcome == "waiting"
    not_yet = [{"type": "HeadPodReady", "status": "False"}]
    assert ray_cluster.told_ready([told(conditions=not_yet)]).outcome == "waiting"


def test_its_state_does_not_tell_of_its_head() -> None:
    assert ray_cluster.head_is("head-h")([told()]).outcome == "met"
    assert ray_cluster.head_is("head-new")([told()]).outcome == "waiting"
    not_ready = told(conditions=[{"type": "HeadPodReady", "status": "False"}])
    assert ray_cluster.head_is("head-h")([not_ready]).outcome == "waiting"
    assert ray_cluster.head_is("head-h")([told(conditions=[])]).outcome == "waiting"


def facts(*groups: str) -> Facts:
    return Facts("v1.35.3", "", "", frozenset(groups), (), (), (), (), (), (), ())


def test_a_cluster_without_an_operator_that_is_known_is_not_tried() -> None:
    needed = operator.need(robust_controller.KNOWN)
    assert needed(facts("ray.io/v1")) is None
    unmet = needed(facts("ray.io/v1alpha1"))
    assert unmet is not None
    assert (unmet.outcome, "KubeRay (ray.io/v1)" in unmet.reason) == ("not run", True)


def test_an_operator_says_itself_whether_it_serves_a_webhook() -> None:
    def pod(*env: Obj) -> Obj:
        return {"spec": {"containers": [{"name": "kuberay-operator", "env": list(env)}]}}

    assert operator_kuberay.no_webhook(pod({"name": "ENABLE_WEBHOOKS", "value": "true"})) == ""
    assert "not told ENABLE_WEBHOOKS=true" in operator_kuberay.no_webhook(pod())
    assert operator_kuberay.no_webhook(pod({"name": "ENABLE_WEBHOOKS", "value": "false"}))


def test_ready_pods_of_the_operator() -> None:
    ready = operator._ready("o")
    good = member("head", "a")
    good["spec"]["containers"] = [{"image": "o:1"}]
    bad = member("head", "b", ready="False")
    bad["spec"]["containers"] = [{"image": "o:2"}]
    assert ready([good]).outcome == "met"
    assert ready([]).outcome == "waiting", "scaled to nothing"
    assert ready([good, bad]).outcome == "waiting"
    for phase in ("Failed", "Succeeded"):
        over = member("head", "c", ready="False")
        over["status"]["phase"] = phase
        assert ready([good, over]).observed == "1 of 1 pods of deployment o are ready", "its replacement is beside it"
        assert ready([over]).outcome == "waiting"


def test_a_job_that_is_dealt_with_but_not_held_will_never_be() -> None:
    def job(state: str, *held: str) -> Obj:
        return {"metadata": {"name": "job", "finalizers": list(held)}, "status": {"jobDeploymentStatus": state}}

    suspended = operator_kuberay._suspended
    assert suspended([job("Suspended", operator_kuberay.FINALIZER)]).outcome == "met"
    assert suspended([job("Suspended", "rogue.example.com/keep")]).outcome == "wrong"
    assert suspended([job("Initializing", operator_kuberay.FINALIZER)]).outcome == "waiting"
    assert suspended([job("")]).outcome == "waiting"


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        (("ray.io/v1",), "KubeRay runs without its webhook"),
        (
            ("ray.io/v1", "kueue.x-k8s.io/v1beta2", "jobset.x-k8s.io/v1alpha2"),
            "KubeRay runs without its webhook; found too: JobSet, Kueue, tried by --operator jobset or kueue",
        ),
    ],
)
def test_an_operator_without_its_webhook_is_undecided_and_others_that_are_there_are_named(
    groups: tuple[str, ...], words: str
) -> None:
    ctx = Scripted(*groups)
    ctx.memo["pods"] = [{"metadata": {"namespace": "ours"}, "spec": {"containers": [{"name": "operator"}]}}]
    with pytest.raises(StopProbe):
        asyncio.run(robust_controller.wrong_refused.function(cast("Context", ctx)))
    outcome, text = ctx.told[-1]
    assert (outcome, text.endswith(words)) == ("undecided", True), text


HOOK = {
    "name": "vraycluster.kb.io",
    "clientConfig": {"service": {"namespace": "ours", "name": "webhook"}},
    "rules": [{"apiGroups": ["ray.io"], "apiVersions": ["v1"], "resources": ["rayclusters"], "operations": ["CREATE"]}],
}


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ('failed calling webhook "vraycluster.kb.io": refused', "own webhook vraycluster.kb.io cannot be called"),
        ('admission webhook "vraycluster.kb.io" denied the request: no', "vraycluster.kb.io refuses a right object"),
        ('failed calling webhook "policy.example.com": connection refused', ""),
        ("exceeded quota", ""),
    ],
)
def test_a_right_object_that_is_refused_is_the_operators_fault_only_by_its_own_webhook(message: str, told: str) -> None:
    ctx = Scripted()
    labels = {"app": "operator"}
    ctx.memo["pods"] = [{"metadata": {"namespace": "ours", "labels": labels}}]
    ctx.has(kinds.SERVICE, {"metadata": {"name": "webhook"}, "spec": {"selector": labels}})
    ctx.has(kinds.VALIDATING_WEBHOOKS, {"metadata": {"name": "own"}, "webhooks": [HOOK]})

    def refuse(_made: Obj) -> None:
        raise refusal(500, "InternalError", message)

    ctx.on_create = refuse
    manifest = {"apiVersion": "ray.io/v1", "kind": "RayCluster", "metadata": {"name": "ray"}}
    with pytest.raises(StopProbe if told else RefusedError):
        asyncio.run(operator.make(cast("Context", ctx), "KubeRay", manifest))
    assert [outcome for outcome, text in ctx.told if told in text] == (["failed"] if told else [])


def explained(state: State, reason: str = "FailedCreateHeadPod", message: str = "", *, gone: bool = False) -> State:
    """What a wait for pods comes to where the operator says this of its cluster."""
    ctx = Scripted()
    told = {"type": "ReplicaFailure", "status": "True", "reason": reason, "message": f"{reason}\n{message}"}
    meta = {"namespace": ctx.namespace, "name": "ray", "uid": "u"}
    if not gone:
        ctx.has(kinds.RAY_CLUSTER, {"metadata": meta, "status": {"conditions": [told]}})
    made = Handle(kinds.RAY_CLUSTER, ctx.namespace, "ray", "u")
    return asyncio.run(ray_cluster.why_no_pods(cast("Context", ctx), made)(state))


NO_PODS = State("waiting", "0 pods")


def test_a_head_that_a_policy_refuses_is_not_the_operators_fault() -> None:
    seen = explained(NO_PODS, message='admission webhook "policy.example.com" denied the request: no team label')
    assert seen.outcome == "blocked"
    assert seen.observed.endswith('admission webhook "policy.example.com" denied the request: no team label')


def test_an_operator_without_the_right_to_make_pods_fails_as_before() -> None:
    said = 'pods is forbidden: User "kuberay" cannot create resource "pods" in API group "" in the namespace "n"'
    assert explained(NO_PODS, message=said) == NO_PODS


def test_pods_that_it_cannot_delete_or_a_cluster_that_is_gone_explain_nothing() -> None:
    assert explained(NO_PODS, "FailedDeleteHeadPod", "no") == NO_PODS
    assert explained(NO_PODS, gone=True) == NO_PODS
    wrong = State("wrong", "a is not controlled by the RayCluster")
    assert explained(wrong, message="denied") == wrong
