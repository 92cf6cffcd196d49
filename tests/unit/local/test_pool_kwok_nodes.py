from __future__ import annotations

from types import SimpleNamespace

import pytest

from aiconform.local import nodes
from aiconform.local.addons import karpenter, nvidia
from aiconform.local.pool import kwok_nodes
from aiconform.local.state import ClusterState, NodeState


def a_node(name: str, provider: str = "kwok://", machine: str = "t4-1", **metadata: str) -> dict:
    labels = {kwok_nodes.TYPE_LABEL: machine}
    return {"metadata": {"name": name, "labels": labels, **metadata}, "spec": {"providerID": f"{provider}{name}"}}


@pytest.fixture
def seen(monkeypatch):
    """What a pool does to nodes."""
    done: list[tuple[str, str]] = []
    monkeypatch.setattr(nodes, "begin", lambda _c, spec: done.append(("begin", spec.name)) or NodeState(spec.name, 9))
    monkeypatch.setattr(nodes, "retire", lambda _home, name: done.append(("retire", name)))
    monkeypatch.setattr(nodes, "forget_pods", lambda _api, name: done.append(("forget", name)))
    monkeypatch.setattr(kwok_nodes, "complete", lambda _api, place: done.append(("complete", place.name)))
    return done


def a_pool(monkeypatch, seen, *late: str, retired: tuple[str, ...] = ()) -> kwok_nodes.Pool:
    places = (
        NodeState("control", 0),
        *(NodeState(n, i, late=True, pool=kwok_nodes.POOL) for i, n in enumerate(late, 1)),
    )
    state = ClusterState("try", "default", 1, "boot", 1.0, places, retired=retired)
    api = SimpleNamespace(patch=lambda path, _change: seen.append(("patch", path)))
    monkeypatch.setattr(kwok_nodes, "Api", lambda _kubeconfig: api)
    cluster = SimpleNamespace(kubeconfig="", home=SimpleNamespace(read=lambda: state))
    return kwok_nodes.Pool(cluster)  # type: ignore[arg-type]


def test_an_object_that_nobody_runs_becomes_a_node(monkeypatch, seen) -> None:
    a_pool(monkeypatch, seen).reconcile([a_node("new"), a_node("control", "aiconform://x/"), a_node("cloud", "aws://")])
    assert seen == [("patch", "/api/v1/nodes/new/status"), ("begin", "new"), ("complete", "new")]


def test_a_node_whose_object_is_gone_goes(monkeypatch, seen) -> None:
    a_pool(monkeypatch, seen, "stays", "goes").reconcile([a_node("stays")])
    assert seen == [("retire", "goes"), ("forget", "goes")]


def test_an_object_that_is_on_its_way_out_keeps_its_node_until_it_is_gone(monkeypatch, seen) -> None:
    objects = [a_node(name, deletionTimestamp="2026-01-01T00:00:00Z") for name in ("going", "never-started")]
    a_pool(monkeypatch, seen, "going").reconcile(objects)
    assert seen == []


def test_a_name_that_was_used_is_not_started_again(monkeypatch, seen) -> None:
    a_pool(monkeypatch, seen, retired=("old",)).reconcile([a_node("old")])
    assert seen == []


def test_a_node_is_what_its_instance_type_says() -> None:
    spec = kwok_nodes.spec_of(a_node("new"))
    assert spec.provider_id == "kwok://new"
    assert spec.accelerators is not None
    assert spec.accelerators.count == 1
    assert spec.memory_bytes == 4 * 1024**3
    assert kwok_nodes.spec_of(a_node("new", machine="t4-missing")).accelerators is None


def test_the_autoscaler_is_told_what_nodes_will_offer() -> None:
    told = {name: karpenter.instance_type(name)["resources"][nvidia.RESOURCE] for name in kwok_nodes.MACHINES}
    assert told == {"t4-1": "1", "t4-missing": "1"}


def test_the_pool_keeps_other_pods_off_and_is_bounded() -> None:
    spec = karpenter.node_pool()["spec"]
    assert [taint["key"] for taint in spec["template"]["spec"]["taints"]] == [nvidia.AUTOSCALED]
    assert spec["limits"] == {nvidia.RESOURCE: "3"}
    assert spec["template"]["metadata"]["labels"]["nvidia.com/gpu.present"] == "true"  # for the device plugin


def test_what_serves_accelerators_goes_to_nodes_of_the_pool() -> None:
    values = nvidia.device_plugin([kwok_nodes.MACHINES["t4-1"].accelerators]).values
    for tolerations in (values["tolerations"], values["nfd"]["worker"]["tolerations"]):
        assert {"key": nvidia.AUTOSCALED, "operator": "Exists"} in tolerations
