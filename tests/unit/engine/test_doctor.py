"""The doctor on clusters that lack something: what it says, and that it writes nothing whatever it finds."""

from __future__ import annotations

import json
import time
from typing import Any

import anyio
import pytest
from tests.support.fake_cluster import FakeCluster, api_service, meta, node, pod

from aiconform.checks import all_checks
from aiconform.cluster.http import RawAnswer, RawRequest
from aiconform.engine import doctor, doctor_looks
from aiconform.engine.diagnosis import Diagnosis, Finding, Readiness
from aiconform.engine.doctor import Patient
from aiconform.engine.lane import Ask, TimeUp
from aiconform.engine.plain import PlainLane
from aiconform.errors import InternalError, UnreachableError

RUN = "0" * 16
GATEWAY = "gateway.networking.k8s.io/v1"
ROUTES = "create httproutes.gateway.networking.k8s.io"


def examined(cluster: FakeCluster, *requirements: str, release: str = "1.35", dry_run: bool = True) -> Diagnosis:
    patient = Patient("https://there", release, requirements, all_checks(), "example.com/probe", dry_run=dry_run)

    async def work() -> Diagnosis:
        return await doctor.examine(PlainLane(cluster, RUN, per_second=0), patient)  # type: ignore[arg-type]

    found = anyio.run(work)
    assert all(read_only(request) for request in cluster.requests)
    return found


def read_only(request: object) -> bool:
    """Reads, reviews and dry runs, and no Secret."""
    if "secrets" in request.path:  # type: ignore[attr-defined]
        return False
    if request.method == "GET":  # type: ignore[attr-defined]
        return True
    reviews = request.path.startswith("/apis/authorization.k8s.io/v1/selfsubject")  # type: ignore[attr-defined]
    return request.method == "POST" and (reviews or ("dryRun", "All") in request.query)  # type: ignore[attr-defined]


def finding(found: Diagnosis, name: str) -> Finding:
    return next(one for one in found.findings if one.name == name)


def of(found: Diagnosis, requirement: str) -> Readiness:
    return next(one for one in found.requirements if one.requirement == requirement)


def with_gateway() -> FakeCluster:
    cluster = FakeCluster()
    accepted = {"conditions": [{"type": "Accepted", "status": "True"}]}
    one = {"metadata": meta("eg"), "spec": {"controllerName": "example.com/controller"}, "status": accepted}
    cluster.serve(GATEWAY, "gatewayclasses", "GatewayClass", [one])
    return cluster


# -- requirements --------------------------------------------------------------------------------------------------


def test_a_requirement_whose_needs_are_met_can_run() -> None:
    found = examined(with_gateway(), "ai_inference")
    one = of(found, "ai_inference")
    assert (one.state, one.reason) == ("can run", "")
    assert one.usual_s > 0
    assert one.at_most_s > one.usual_s
    assert found.exit_code == 0


def test_a_need_that_is_not_met_is_said_as_a_run_would() -> None:
    found = examined(FakeCluster(), "ai_inference")
    assert of(found, "ai_inference").state == "cannot run"
    assert of(found, "ai_inference").reason == "the API server does not serve gateway.networking.k8s.io/v1"
    assert found.exit_code == 3


def test_what_does_not_apply_keeps_nobody() -> None:
    found = examined(FakeCluster(), "virtualized_accelerator", "secure_accelerator_access")
    assert of(found, "virtualized_accelerator").state == "n/a"
    assert of(found, "secure_accelerator_access").state == "can run"
    assert of(found, "secure_accelerator_access").holds == ["gpu-0/nvidia.com/gpu"]
    assert found.exit_code == 0


def test_a_requirement_that_can_run_in_part_is_not_called_ready() -> None:
    found = examined(FakeCluster(), "dra_support")
    assert of(found, "dra_support").state == "in part"
    assert any("no DRA driver offers a device" in line for line in of(found, "dra_support").in_part)
    assert found.exit_code == 3


def test_shoulds_alone_decide_nothing() -> None:
    assert examined(FakeCluster(), "gpu_sharing").exit_code == 3


def test_those_that_hold_the_same_accelerator_wait_for_each_other() -> None:
    found = examined(FakeCluster(), "secure_accelerator_access", "accelerator_metrics")
    assert found.usual_s == sum(one.usual_s for one in found.requirements)


# -- rights --------------------------------------------------------------------------------------------------------


def test_every_missing_right_is_said_at_once_with_what_it_costs() -> None:
    cluster = with_gateway()
    cluster.deny(ROUTES, "create gateways.gateway.networking.k8s.io", "get pods/log")
    found = examined(cluster, "ai_inference", "secure_accelerator_access", "robust_controller")
    assert {missing.right: missing.costs for missing in found.rights.missing} == {
        "create gateways.gateway.networking.k8s.io": ["ai_inference"],
        ROUTES: ["ai_inference"],
        "get pods/log": ["ai_inference", "secure_accelerator_access", "robust_controller"],
    }
    assert of(found, "ai_inference").state == "cannot run"
    assert "without the right to get pods/log; create gateways" in of(found, "ai_inference").reason
    assert "pods/log" in of(found, "secure_accelerator_access").reason
    assert found.exit_code == 3


def test_a_right_that_every_run_needs_costs_every_requirement() -> None:
    cluster = with_gateway()
    cluster.deny("create namespaces")
    found = examined(cluster, "ai_inference")
    (missing,) = found.rights.missing
    assert (missing.right, missing.costs) == ("create namespaces", ["every requirement"])
    assert of(found, "ai_inference").state == "cannot run"


def test_a_right_that_discovery_can_do_without_costs_knowledge() -> None:
    cluster = FakeCluster()
    cluster.deny("list runtimeclasses.node.k8s.io")
    found = examined(cluster, "secure_accelerator_access")
    (missing,) = found.rights.missing
    assert (missing.right, missing.costs) == ("list runtimeclasses.node.k8s.io", ["what is known of the cluster"])
    assert found.gaps == ["runtimeclasses: 403 Forbidden"]
    assert of(found, "secure_accelerator_access").state == "can run"


def test_a_right_that_bounds_a_run_keeps_nobody() -> None:
    cluster = FakeCluster()
    cluster.deny("create resourcequotas", "create jobs.batch")
    found = examined(cluster, "secure_accelerator_access")
    assert {missing.right: missing.costs for missing in found.rights.missing} == {
        "create resourcequotas": ["what bounds a run"],
        "create jobs.batch": ["what bounds a run"],
    }
    assert of(found, "secure_accelerator_access").state == "can run"


def test_a_right_that_is_needed_sometimes_is_said_and_keeps_nobody() -> None:
    cluster = FakeCluster()
    cluster.serve("batch.volcano.sh/v1alpha1", "jobs", "Job", [])
    cluster.serve("scheduling.volcano.sh/v1beta1", "podgroups", "PodGroup", [])
    cluster.deny("list events")
    found = examined(cluster, "gang_scheduling")
    assert [missing.right for missing in found.rights.missing] == ["list events"]
    assert of(found, "gang_scheduling").state == "can run"


def test_rights_on_what_is_not_served_are_not_asked() -> None:
    asked = examined(FakeCluster(), "robust_controller").rights.asked
    cluster = FakeCluster()
    cluster.serve("ray.io/v1", "rayclusters", "RayCluster", [])
    assert examined(cluster, "robust_controller").rights.asked > asked


def test_one_review_of_the_rules_is_enough_where_all_is_given() -> None:
    cluster = with_gateway()
    examined(cluster, "ai_inference")
    reviews = [request for request in cluster.requests if "authorization" in request.path]
    assert len(reviews) == 1
    assert json.loads(reviews[0].body or b"")["spec"]["namespace"] == doctor.NOWHERE


def test_what_no_rule_shows_is_asked_singly_and_believed() -> None:
    cluster = with_gateway()
    cluster.rules = []  # as authorizers that cannot list their rules answer
    found = examined(cluster, "ai_inference")
    assert found.rights.missing == []
    assert sum("accessreviews" in request.path for request in cluster.requests) == found.rights.asked


def test_what_rules_do_not_show_that_are_all_there_are_is_missing_and_only_a_right_in_one_namespace_is_asked() -> None:
    cluster = with_gateway()
    reading = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["list", "watch", "create", "delete"]}
    cluster.rules = [reading]
    found = examined(cluster, "ai_inference")
    assert "patch httproutes.gateway.networking.k8s.io" in {missing.right for missing in found.rights.missing}
    singly = [json.loads(one.body or b"") for one in cluster.requests if "accessreviews" in one.path]
    assert [one["spec"]["resourceAttributes"]["namespace"] for one in singly] == ["kube-system"]


def test_reviews_that_are_refused_are_no_gap_and_no_yes() -> None:
    cluster = with_gateway()
    cluster.reviews = False
    found = examined(cluster, "ai_inference")
    assert found.rights.missing == []
    assert "access reviews are refused" in found.rights.unknown


# -- what cannot be read -------------------------------------------------------------------------------------------


def test_nodes_that_cannot_be_read_leave_the_rest_of_the_diagnosis() -> None:
    cluster = with_gateway()
    cluster.deny("list nodes", ROUTES)
    found = examined(cluster, "ai_inference")
    assert "403 Forbidden" in found.unread
    assert {missing.right for missing in found.rights.missing} == {"list nodes", ROUTES}
    assert of(found, "ai_inference").state == "undecided"
    assert found.exit_code == 3


def test_pods_that_cannot_be_read_leave_the_number_of_free_devices_unknown() -> None:
    cluster = FakeCluster()
    cluster.deny("list pods")
    (devices,) = examined(cluster).devices
    assert (devices.total, devices.free) == (2, None)
    assert "403 Forbidden" in devices.why_not


@pytest.mark.parametrize(
    ("right", "name"), [("list resourcequotas", "quotas"), ("list apiservices.apiregistration.k8s.io", "API services")]
)
def test_what_is_not_ours_to_read_is_unknown(right: str, name: str) -> None:
    cluster = FakeCluster()
    cluster.deny(right)
    assert finding(examined(cluster), name).state == "unknown"


def test_a_server_that_is_silent_or_knows_us_not_is_unreachable() -> None:
    cluster = FakeCluster()
    for answer in (
        RawAnswer(0, error="connection refused"),
        RawAnswer(401, {}, b'{"kind":"Status","reason":"Unauthorized","message":"Unauthorized"}'),
        RawAnswer(200, {}, b"<html>"),
    ):
        cluster._answer = lambda _request, answer=answer: answer  # type: ignore[method-assign, misc]
        with pytest.raises(UnreachableError) as refused:
            examined(cluster)
        assert refused.value.hint
        assert refused.value.details == ("server https://there",)


def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "GREETING_S", 0.05)
    cluster = FakeCluster()

    async def never(_request: object) -> RawAnswer:
        await anyio.sleep(60)
        raise AssertionError

    cluster.send = never  # type: ignore[method-assign, assignment]
    with pytest.raises(UnreachableError, match="no answer within"):
        examined(cluster)


# -- the looks -----------------------------------------------------------------------------------------------------


def test_an_api_service_that_is_not_available_is_named_with_what_it_costs() -> None:
    cluster = FakeCluster()
    for version in ("custom.metrics.k8s.io/v1beta2", "monitoring.coreos.com/v1", "autoscaling/v2", "events.k8s.io/v1"):
        cluster.groups.append(version)
    cluster.lists["/apis/monitoring.coreos.com/v1/prometheuses"] = ("Prometheus", [])
    broken = api_service("v1beta2.custom.metrics.k8s.io", available=False, message="no endpoints")
    cluster.lists["/apis/apiregistration.k8s.io/v1/apiservices"][1].append(broken)
    found = examined(cluster, "pod_autoscaling")
    assert finding(found, "API services").state == "bad"
    assert finding(found, "API services").details == ["v1beta2.custom.metrics.k8s.io: no endpoints"]
    assert of(found, "pod_autoscaling").state == "cannot run"
    assert of(found, "pod_autoscaling").reason == "no run begins while an API service is not available"


def test_an_api_service_that_a_requirement_does_not_use_keeps_it_from_running_too() -> None:
    """As a run would refuse to begin, whatever it is asked; what does not apply stays so."""
    cluster = FakeCluster()
    broken = api_service("v1.packages.example.com", available=False)
    cluster.lists["/apis/apiregistration.k8s.io/v1/apiservices"][1].append(broken)
    found = examined(cluster, "secure_accelerator_access", "virtualized_accelerator")
    assert of(found, "secure_accelerator_access").state == "cannot run"
    assert finding(found, "API services").details == ["v1.packages.example.com: nothing is told"]
    assert of(found, "virtualized_accelerator").state == "n/a"
    assert found.exit_code == 3


@pytest.mark.parametrize(
    ("ahead_s", "state", "words"),
    [(0, "good", "is ours"), (3, "note", "ahead"), (90, "bad", "ahead"), (-90, "bad", "behind")],
)
def test_the_clocks_are_compared(ahead_s: float, state: str, words: str) -> None:
    cluster = FakeCluster()
    cluster.ahead_s = ahead_s
    clock = finding(examined(cluster), "clock")
    assert clock.state == state
    assert words in clock.said


def test_a_clock_is_judged_by_all_answers_together() -> None:
    assert doctor_looks.clock([(-1.0, 9.0), (4.0, 20.0)]).said == "the server's is ahead by 4.0 s at least"
    assert doctor_looks.clock([]).state == "unknown"


def test_a_version_that_the_release_is_not_asked_of_is_noted() -> None:
    assert doctor_looks.version("v1.35.3+k0s", "1.35").state == "good"
    assert doctor_looks.version("v1.34.1", "1.35").state == "note"
    assert doctor_looks.version("", "1.35").state == "note"


def test_admission_is_asked_by_dry_runs_and_its_refusal_shown() -> None:
    cluster = FakeCluster()
    cluster.refuses["Pod"] = "policy: images of example.com are not allowed"
    admission = finding(examined(cluster), "admission")
    assert admission.state == "bad"
    assert admission.details == ["Pod: 403 Forbidden: policy: images of example.com are not allowed"]
    posted = [json.loads(request.body or b"") for request in cluster.requests if request.query == doctor_looks.DRY_RUN]
    assert [body["kind"] for body in posted] == ["Namespace", "Pod"]
    assert posted[0]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_admission_is_asked_about_a_namespace_as_a_run_makes_it() -> None:
    cluster = FakeCluster()
    cluster.groups.append("networking.istio.io/v1")
    examined(cluster)
    asked = next(json.loads(one.body or b"") for one in cluster.requests if one.query == doctor_looks.DRY_RUN)
    assert asked["metadata"]["labels"]["istio-injection"] == "disabled"


def test_admission_is_asked_about_a_pod_as_openshift_wants_it() -> None:
    def asked(*groups: str) -> dict[str, Any]:
        cluster = FakeCluster()
        cluster.groups += groups
        examined(cluster)
        posted = [json.loads(one.body or b"") for one in cluster.requests if one.query == doctor_looks.DRY_RUN]
        return dict(posted[1])

    assert asked()["spec"]["securityContext"]["runAsUser"] == 65532
    there = asked("security.openshift.io/v1")
    assert there["spec"]["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert there["metadata"]["annotations"] == {"openshift.io/required-scc": "restricted-v2"}


def test_no_dry_run_is_made_where_none_is_wanted() -> None:
    cluster = FakeCluster()
    examined(cluster, dry_run=False)
    assert not any(request.query == doctor_looks.DRY_RUN for request in cluster.requests)


def test_quotas_are_shown() -> None:
    cluster = FakeCluster()
    assert finding(examined(cluster), "quotas").state == "good"
    cluster.lists["/api/v1/resourcequotas"][1].append({"metadata": meta("few", namespace="team")})
    quotas = finding(examined(cluster), "quotas")
    assert (quotas.state, quotas.details) == ("note", ["quota few in team"])


def test_accelerators_that_pods_hold_are_not_free() -> None:
    cluster = FakeCluster()
    cluster.lists["/api/v1/pods"][1].extend(
        [
            pod("one", "gpu-0", nvidia__com_gpu="1"),
            pod("elsewhere", "control", nvidia__com_gpu="1"),
        ]
    )
    (devices,) = examined(cluster).devices
    assert (devices.name, devices.total, devices.free) == ("nvidia.com/gpu", 2, 1)


def test_with_many_nodes_all_pods_are_read_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_looks, "PAGE", 7)
    cluster = FakeCluster()
    many = doctor_looks.FEW_NODES + 1
    cluster.lists["/api/v1/nodes"] = ("Node", [node(f"gpu-{number}", accelerators=2) for number in range(many)])
    cluster.lists["/api/v1/pods"][1].extend(pod(f"p{n}", f"gpu-{n % many}", nvidia__com_gpu="1") for n in range(15))
    (devices,) = examined(cluster).devices
    assert devices.free == 2 * many - 15
    assert sum(request.path == "/api/v1/pods" for request in cluster.requests) == 3


def test_a_cluster_too_large_to_count_on_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_looks, "COUNTING_S", 0.05)
    cluster = FakeCluster()
    send = cluster.send

    async def slow(request: RawRequest) -> RawAnswer:
        if request.path == "/api/v1/pods":
            await anyio.sleep(60)
        return await send(request)

    cluster.send = slow  # type: ignore[method-assign]
    (devices,) = examined(cluster).devices
    assert (devices.total, devices.free) == (2, None)
    assert devices.why_not == "there are more pods than could be read in 0.05 s"


def test_devices_that_claims_hold_are_not_free() -> None:
    cluster = FakeCluster()
    spec = {
        "driver": "gpu.example.com",
        "nodeName": "gpu-0",
        "pool": {"name": "gpu-0", "generation": 1, "resourceSliceCount": 1},
        "devices": [{"name": "a"}, {"name": "b"}],
    }
    chosen = {"selectors": [{"cel": {"expression": "device.driver == 'gpu.example.com'"}}]}
    cluster.lists["/apis/resource.k8s.io/v1/resourceslices"][1].append({"metadata": meta("slice"), "spec": spec})
    cluster.lists["/apis/resource.k8s.io/v1/deviceclasses"][1].append({"metadata": meta("gpu"), "spec": chosen})
    results = [{"driver": "gpu.example.com", "device": "a"}, {"driver": "gpu.example.com", "adminAccess": True}]
    claim = {"metadata": meta("claim", namespace="x"), "status": {"allocation": {"devices": {"results": results}}}}
    cluster.lists["/apis/resource.k8s.io/v1/resourceclaims"][1].append(claim)
    found = {one.name: one for one in examined(cluster).devices}
    assert (found["gpu.example.com"].total, found["gpu.example.com"].free) == (2, 1)


# -- the lane ------------------------------------------------------------------------------------------------------


def test_a_plain_lane_never_asks_faster_than_it_may() -> None:
    cluster = FakeCluster()
    times: list[float] = []

    async def work() -> None:
        lane = PlainLane(cluster, RUN, per_second=50)  # type: ignore[arg-type]
        for _ in range(6):
            await lane.exchange(Ask("GET", "/version"))
            times.append(time.monotonic())

    anyio.run(work)
    assert times[-1] - times[0] >= 5 / 50 - 0.005


def test_a_plain_lane_follows_nothing_and_keeps_limits() -> None:
    lane = PlainLane(FakeCluster(), RUN)  # type: ignore[arg-type]
    with pytest.raises(InternalError):
        lane.stream(Ask("GET", "/api/v1/pods"))

    async def wait() -> None:
        await lane.pause(5, limit=lane.now, waiting_for="nothing")

    with pytest.raises(TimeUp):
        anyio.run(wait)
