"""What a cluster has for the checks, and how each was known: from the API's answers alone."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from tests.support.fake_cluster import FakeCluster, meta, node

from aiconform.checks import all_checks
from aiconform.checks._kit import sandbox
from aiconform.cluster.http import RawAnswer, RawRequest
from aiconform.engine import needs
from aiconform.engine.api import Api
from aiconform.engine.capabilities import (
    ACCELERATORS,
    AUTOSCALER,
    GATEWAY,
    KINDS,
    METRICS,
    SANDBOX,
    STACK,
    Capability,
    merged,
)
from aiconform.engine.discovery import discover
from aiconform.engine.facts import Facts
from aiconform.engine.kinds import NODE
from aiconform.engine.model import Need
from aiconform.engine.paging import every
from aiconform.engine.plain import PlainLane
from aiconform.engine.products import GANG, OPERATOR
from aiconform.engine.undecidable import NoAnswerError, RefusedError

Obj = dict[str, Any]
CHECKS = all_checks()


def lane(cluster: FakeCluster) -> PlainLane:
    return PlainLane(cluster, "0" * 16, per_second=0)  # type: ignore[arg-type]


def discovered(cluster: FakeCluster) -> Facts:
    return anyio.run(discover, lane(cluster), {})


def found(cluster: FakeCluster, kind: str) -> dict[str, Capability]:
    return {one.name: one for one in discovered(cluster).capabilities if one.kind == kind}


def deployment(name: str, app: str, image: str) -> Obj:
    labels = {"app.kubernetes.io/name": app}
    spec = {"template": {"spec": {"containers": [{"image": image}]}}}
    return {"metadata": meta(name, namespace=f"{name}-system", labels=labels), "spec": spec}


def test_a_bare_cluster_has_nothing_but_its_accelerators() -> None:
    facts = discovered(FakeCluster())
    assert [(one.kind, one.name) for one in facts.capabilities] == [(ACCELERATORS, "nvidia.com/gpu")]
    assert facts.gaps == ()


def test_accelerators_by_device_plugin_are_counted_and_marked() -> None:
    cluster = FakeCluster()
    simulated = {"aiconform.dev/simulated-accelerator": "true"}
    nodes = [node(f"gpu-{number}", accelerators=4, **simulated) for number in range(6)]
    cluster.lists["/api/v1/nodes"] = ("Node", nodes)
    one = found(cluster, ACCELERATORS)["nvidia.com/gpu"]
    assert one.detail == "24 by device plugin on 6 nodes; some simulated"
    assert "gpu-0, gpu-1, gpu-2, gpu-3 and 2 more" in one.how[0]


def test_accelerators_by_dra_are_a_capability_of_their_own() -> None:
    cluster = FakeCluster()
    pool = {"name": "gpu-0", "generation": 2, "resourceSliceCount": 1}
    spec = {"driver": "gpu.example.com", "nodeName": "gpu-0", "pool": pool, "devices": [{"name": "a"}]}
    old = {**spec, "pool": {**pool, "generation": 1}, "devices": [{"name": "a"}, {"name": "b"}]}
    chosen = {"selectors": [{"cel": {"expression": "device.driver == 'gpu.example.com'"}}]}
    slices = [{"metadata": meta("old"), "spec": old}, {"metadata": meta("new"), "spec": spec}]
    cluster.lists["/apis/resource.k8s.io/v1/resourceslices"] = ("ResourceSlice", slices)
    cluster.lists["/apis/resource.k8s.io/v1/deviceclasses"][1].append({"metadata": meta("gpu"), "spec": chosen})
    one = found(cluster, ACCELERATORS)["gpu.example.com"]
    assert one.detail == "1 by DRA on gpu-0; simulated"
    assert one.how[0] == "DeviceClass gpu"


@pytest.mark.parametrize(
    ("group_version", "name", "kinds"),
    [
        ("batch.volcano.sh/v1alpha1", "Volcano", {GANG, OPERATOR}),
        ("kueue.x-k8s.io/v1beta2", "Kueue", {GANG, OPERATOR}),
        ("scheduling.run.ai/v2alpha2", "KAI Scheduler", {GANG}),
        ("scheduling.x-k8s.io/v1alpha1", "coscheduling", {GANG}),
        ("ray.io/v1", "KubeRay", {OPERATOR}),
        ("jobset.x-k8s.io/v1alpha2", "JobSet", {OPERATOR}),
        ("trainer.kubeflow.org/v1alpha1", "Kubeflow Trainer", {OPERATOR}),
    ],
)
def test_products_are_known_by_the_groups_they_serve(group_version: str, name: str, kinds: set[str]) -> None:
    cluster = FakeCluster()
    cluster.groups.append(group_version)
    mine = [one for one in discovered(cluster).capabilities if one.name == name]
    assert {one.kind for one in mine} == kinds
    assert all(one.how == (f"API {group_version}",) for one in mine)
    assert all("webhook refuses" in one.detail for one in mine if one.kind == OPERATOR)


def test_what_runs_of_a_product_is_named_beside_what_it_serves() -> None:
    cluster = FakeCluster()
    cluster.groups.append("ray.io/v1")
    image = "example.com/kuberay/operator:v1.6.1"
    running = deployment("ray", "kuberay-operator", image)
    cluster.lists["/apis/apps/v1/deployments"] = ("Deployment", [running])
    one = found(cluster, OPERATOR)["KubeRay"]
    assert one.how == ("API ray.io/v1", "Deployment ray-system/ray: operator:v1.6.1")


@pytest.mark.parametrize(
    ("status", "words"),
    [("True", "accepted, by c"), ("False", "not accepted, by c"), (None, "acceptance not told, by c")],
)
def test_gateway_classes_say_whether_they_are_accepted(status: str | None, words: str) -> None:
    cluster = FakeCluster()
    conditions = [{"type": "Accepted", "status": status}] if status else []
    one = {"metadata": meta("eg"), "spec": {"controllerName": "c"}, "status": {"conditions": conditions}}
    cluster.serve("gateway.networking.k8s.io/v1", "gatewayclasses", "GatewayClass", [one])
    assert found(cluster, GATEWAY)["eg"].detail == words


def test_metrics_are_known_by_the_operator_by_services_and_by_apis() -> None:
    cluster = FakeCluster()
    one = {"metadata": meta("k8s", namespace="monitoring"), "spec": {"version": "v3.9.1"}}
    cluster.serve("monitoring.coreos.com/v1", "prometheuses", "Prometheus", [one])
    resources = [{"kind": "ServiceMonitor"}, {"kind": "PodMonitor"}, {"kind": "Prometheus"}]
    cluster.objects["/apis/monitoring.coreos.com/v1"] = {"kind": "APIResourceList", "resources": resources}
    cluster.groups += ["custom.metrics.k8s.io/v1beta2", "external.metrics.k8s.io/v1beta1", "metrics.k8s.io/v1beta1"]
    labels = {"app.kubernetes.io/name": "prometheus"}
    service = {
        "metadata": meta("prom", namespace="other", labels=labels, annotations={"prometheus.io/scrape": "true"}),
        "spec": {},
    }
    cluster.lists["/api/v1/services"] = ("Service", [service, {"metadata": meta("web", namespace="x"), "spec": {}}])
    metrics = found(cluster, METRICS)
    assert metrics["monitoring/k8s"].detail == "Prometheus v3.9.1; found workloads by PodMonitor, ServiceMonitor"
    assert metrics["service other/prom"].detail == "a Service for it; annotated prometheus.io/scrape"
    assert {"resource metrics API", "custom metrics API", "external metrics API"} <= set(metrics)
    assert len(metrics) == 5


def test_autoscalers_and_their_pools() -> None:
    cluster = FakeCluster()
    cluster.serve("karpenter.sh/v1", "nodepools", "NodePool", [])
    told = {"apiVersion": "v1", "kind": "ConfigMap"}
    told["metadata"] = meta("cluster-autoscaler-status", namespace="kube-system")  # type: ignore[assignment]
    cluster.objects["/api/v1/namespaces/kube-system/configmaps/cluster-autoscaler-status"] = told
    pool = {"metadata": meta("gpus"), "spec": {"limits": {"nvidia.com/gpu": "4"}}}
    cluster.lists["/apis/karpenter.sh/v1/nodepools"] = ("NodePool", [pool])
    autoscalers = found(cluster, AUTOSCALER)
    assert set(autoscalers) == {"Karpenter", "Cluster Autoscaler", "pool gpus"}
    assert autoscalers["pool gpus"].how == ("Karpenter", "label karpenter.sh/nodepool=gpus")


def test_the_vendors_stack_and_sandboxes() -> None:
    cluster = FakeCluster()
    policy = {"metadata": meta("cluster-policy"), "spec": {}, "status": {"state": "ready"}}
    cluster.serve("nvidia.com/v1", "clusterpolicies", "ClusterPolicy", [policy])
    handlers = {name: name for name in ("gvisor", "kata-qemu", "nvidia", "runsc", "firecracker", "spin")}
    handlers |= {"micro": "crun-krun", "gvisor-by-name": "runc"}
    classes = [{"metadata": meta(name), "handler": handler} for name, handler in handlers.items()]
    cluster.lists["/apis/node.k8s.io/v1/runtimeclasses"] = ("RuntimeClass", classes)
    assert found(cluster, STACK)["GPU Operator"].detail == "ready"
    sandboxes = found(cluster, SANDBOX)
    assert {name: one.detail for name, one in sandboxes.items()} == {
        "gvisor": "gVisor",
        "kata-qemu": "Kata Containers",
        "runsc": "gVisor",
        "firecracker": "Firecracker",
        "micro": "libkrun",
        "gvisor-by-name": "gVisor",
    }
    assert sandboxes["micro"].how == ("RuntimeClass micro with handler crun-krun",)


def test_a_sandbox_that_is_found_is_one_that_its_check_tries() -> None:
    cluster = FakeCluster()
    handlers = ("runsc", "kata-fc", "crun-krun", "firecracker", "spin", "nvidia")
    classes = [{"metadata": meta(f"as-{name}"), "handler": name} for name in handlers]
    cluster.lists["/apis/node.k8s.io/v1/runtimeclasses"] = ("RuntimeClass", classes)
    facts = discovered(cluster)
    tried = {one.runtime_class: one.mechanism for one in sandbox.promised(facts)}
    assert {one.name: one.detail for one in facts.capabilities if one.kind == SANDBOX} == tried


def test_what_may_not_be_read_is_not_known_rather_than_not_there() -> None:
    cluster = FakeCluster()
    cluster.serve("gateway.networking.k8s.io/v1", "gatewayclasses", "GatewayClass", [])
    cluster.serve("nvidia.com/v1", "clusterpolicies", "ClusterPolicy", [])
    cluster.serve("monitoring.coreos.com/v1", "prometheuses", "Prometheus", [])
    cluster.deny(
        "list gatewayclasses.gateway.networking.k8s.io services",
        "list clusterpolicies.nvidia.com prometheuses.monitoring.coreos.com",
    )
    facts = discovered(cluster)
    unknown = {one.name: one.how for one in facts.capabilities if not one.known}
    assert set(unknown) == {"GatewayClasses", "GPU Operator", "Prometheus Operator", "Prometheus by Service"}
    assert unknown["GatewayClasses"] == ("list gatewayclasses: 403 Forbidden",)
    assert facts.gaps == (), "no need of a check rests on these"


def broken(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, *endings: str) -> None:
    """Let reading these fail as where the webhook that converts a kind is down."""
    monkeypatch.setattr("aiconform.engine.api._RETRIES", 1)
    answer = cluster._answer

    def answered(request: RawRequest) -> RawAnswer:
        if request.path.endswith(endings):
            return cluster._status(500, "InternalError", "conversion webhook failed: connection refused")
        return answer(request)

    cluster._answer = answered  # type: ignore[method-assign]


def test_kinds_that_cannot_be_converted_are_not_known_and_end_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = FakeCluster()
    cluster.serve("gateway.networking.k8s.io/v1", "gatewayclasses", "GatewayClass", [])
    cluster.serve("nvidia.com/v1", "clusterpolicies", "ClusterPolicy", [])
    cluster.serve("monitoring.coreos.com/v1", "prometheuses", "Prometheus", [])
    broken(cluster, monkeypatch, "gatewayclasses", "clusterpolicies", "prometheuses")
    facts = discovered(cluster)
    unknown = {one.name: one.how for one in facts.capabilities if not one.known}
    assert set(unknown) == {"GatewayClasses", "GPU Operator", "Prometheus Operator"}
    assert unknown["GatewayClasses"] == ("list gatewayclasses: 500 InternalError",)
    assert facts.gaps == ()


@pytest.mark.parametrize(
    ("path", "gap", "need"),
    [
        ("nodepools", "nodepools: 500 InternalError", CHECKS["cluster_autoscaling"].needs[0]),
        (
            "cluster-autoscaler-status",
            "cluster-autoscaler-status: 500 InternalError",
            CHECKS["cluster_autoscaling"].needs[0],
        ),
        ("runtimeclasses", "runtimeclasses: 500 InternalError", CHECKS["workload_sandboxing"].needs[0]),
        ("resourceslices", "resourceslices: 500 InternalError", needs.dra),
    ],
)
def test_what_could_not_be_read_is_undecided_where_it_is_needed_and_never_absent(
    monkeypatch: pytest.MonkeyPatch, path: str, gap: str, need: Need
) -> None:
    cluster = FakeCluster()
    cluster.serve("karpenter.sh/v1", "nodepools", "NodePool", [])
    absent = need(discovered(cluster))
    assert absent is not None
    assert absent.outcome == "not run"
    broken(cluster, monkeypatch, path)
    facts = discovered(cluster)
    assert facts.gaps == (gap,)
    unread = need(facts)
    assert unread is not None
    assert unread.outcome == "undecided"
    assert gap in unread.reason


def test_an_api_server_that_gives_no_answer_is_no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiconform.engine.api._RETRIES", 1)
    cluster = FakeCluster()
    answer = cluster._answer
    silent = RawAnswer(0, error="connection refused")
    cluster._answer = lambda request: silent if "runtimeclasses" in request.path else answer(request)  # type: ignore[method-assign]
    with pytest.raises(NoAnswerError):
        discovered(cluster)


def test_capabilities_are_in_the_documents_of_a_run() -> None:
    facts = discovered(FakeCluster())
    (one,) = facts.cluster().capabilities
    assert (one.kind, one.name, one.known) == (ACCELERATORS, "nvidia.com/gpu", True)


def test_what_was_found_later_takes_the_place_of_what_was_found_first() -> None:
    early = Capability(GATEWAY, "eg", "not accepted", ())
    late = Capability(GATEWAY, "eg", "accepted", ())
    first = Capability(ACCELERATORS, "a", "", ())
    assert merged([early], [late, first]) == (first, late)
    assert KINDS.index(ACCELERATORS) < KINDS.index(GATEWAY)


# -- pages ---------------------------------------------------------------------------------------------------------


def stale(cluster: FakeCluster, times: int) -> None:
    """Let a continued list go stale so many times."""
    answer, left = cluster._answer, [times]

    def answered(request: RawRequest) -> RawAnswer:
        if dict(request.query).get("continue") and left[0]:
            left[0] -= 1
            return cluster._status(410, "Expired", "too old")
        return answer(request)

    cluster._answer = answered  # type: ignore[method-assign]


def test_a_list_is_read_page_by_page_without_what_nobody_looks_at() -> None:
    cluster = FakeCluster()
    cluster.lists["/api/v1/nodes"] = ("Node", [node(f"n{number}") for number in range(7)])

    async def work() -> list[Obj]:
        return await every(Api(lane(cluster)), NODE, size=3, without=frozenset({"images"}))

    nodes = anyio.run(work)
    assert [one["metadata"]["name"] for one in nodes] == [f"n{number}" for number in range(7)]
    assert not any("images" in one["status"] for one in nodes)
    assert [dict(request.query).get("continue") for request in cluster.requests] == [None, "3", "6"]


@pytest.mark.parametrize(("times", "good"), [(2, True), (3, False)])
def test_a_list_that_goes_stale_is_begun_anew_and_not_for_ever(times: int, good: bool) -> None:
    cluster = FakeCluster()
    cluster.lists["/api/v1/nodes"] = ("Node", [node(f"n{number}") for number in range(4)])
    stale(cluster, times)

    async def work() -> list[Obj]:
        return await every(Api(lane(cluster)), NODE, size=3)

    if good:
        assert len(anyio.run(work)) == 4
    else:
        with pytest.raises(RefusedError):
            anyio.run(work)
