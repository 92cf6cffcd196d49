"""Requirements that no cluster of ours can show: what is looked at, and that nothing passes for want of more."""

from __future__ import annotations

import asyncio
import contextlib
from types import SimpleNamespace
from typing import Any, cast

import pytest

from aiconform.checks import all_checks, disaggregated_inference, high_performance_networking
from aiconform.checks._kit import disaggregated, networks
from aiconform.engine import Context, Probe, judge
from aiconform.engine.judge import Judgement

Obj = dict[str, Any]
LLM_D, DYNAMO, AIBRIX = disaggregated.FRAMEWORKS


class Cluster:
    """As much of a context as is asked for lists."""

    def __init__(self, objects: list[Obj], *drivers: str, groups: tuple[str, ...] = ()) -> None:
        dra = tuple(SimpleNamespace(name=name) for name in drivers)
        self.facts = SimpleNamespace(dra=dra, groups=frozenset(groups), gaps=())
        self.said: list[tuple[str, str]] = []
        self.asked: list[str] = []
        self._objects = objects

    async def list(self, _kind: object, *, selector: str = "") -> list[Obj]:
        self.asked.append(selector)
        return self._objects

    def expect(self, _expected: str, observed: str, *, ok: bool, **_rest: object) -> None:
        self.said.append(("passed" if ok else "failed", observed))
        if not ok:
            raise RuntimeError(observed)

    def undecided(self, _expected: str, _observed: str, cause: str) -> Exception:
        self.said.append(("undecided", cause))
        return RuntimeError(cause)


def ask(probe: object, cluster: Cluster) -> str:
    with contextlib.suppress(RuntimeError):
        asyncio.run(cast("Any", probe).function(cast("Context", cluster)))
    return cluster.said[-1][0]


BY_HAND = [check for check in all_checks().values() if check.by_hand]


def test_these_are_the_requirements_that_are_shown_by_hand() -> None:
    assert BY_HAND == [disaggregated_inference.CHECK, high_performance_networking.CHECK]


@pytest.mark.parametrize("check", BY_HAND)
def test_whatever_else_passes_the_requirement_stays_undecided(check: Any) -> None:
    last: Probe = check.probes[-1]
    assert ask(last, Cluster([])) == "undecided"
    others = {probe.id: Judgement("passed") for probe in check.probes[:-1]}
    assert judge.check({**others, last.id: Judgement("undecided", "not tried")}).outcome == "undecided"


def test_nothing_that_offers_interfaces_is_undecided_and_names_the_condition() -> None:
    unmet = networks.offered(cast("Any", Cluster([], "gpu.example.com").facts))
    assert unmet is not None
    assert unmet.outcome == "undecided"
    assert "n/a only if the platform's workloads need none" in unmet.reason
    assert networks.offered(cast("Any", Cluster([], "dra.net").facts)) is None
    assert networks.offered(cast("Any", Cluster([], groups=("k8s.cni.cncf.io/v1",)).facts)) is None


def network(driver: str, **devices: Obj) -> Obj:
    listed = [{"name": name, "attributes": attributes} for name, attributes in devices.items()]
    return {"spec": {"driver": driver, "pool": {"name": "node-1"}, "devices": listed}}


@pytest.mark.parametrize(
    ("slices", "outcome"),
    [
        ([network("dra.net", eth1={"dra.net/mtu": {"int": 9000}, "dra.net/rdma": {"bool": True}})], "passed"),
        ([network("dra.net", eth1={"dra.net/mtu": {"int": 9000}}, eth2={"dra.net/ifName": {"string": "x"}})], "failed"),
        ([network("dra.net", eth1={})], "failed"),
        ([network("gpu.example.com", gpu0={"driverVersion": {"version": "1.0.0"}})], "undecided"),
        ([], "undecided"),
    ],
)
def test_every_network_device_tells_traits(slices: list[Obj], outcome: str) -> None:
    cluster = Cluster(slices, "dra.net", groups=("k8s.cni.cncf.io/v1",))
    assert ask(high_performance_networking.traits, cluster) == outcome


def pod(name: str, ready: str = "True", namespace: str = "serving", **labels: str) -> Obj:
    named = {key.replace("__", "/").replace("_", "-"): value for key, value in labels.items()}
    meta = {"name": name, "namespace": namespace, "labels": named}
    return {"metadata": meta, "status": {"conditions": [{"type": "Ready", "status": ready}]}}


def llm_d(name: str, role: str, **rest: str) -> Obj:
    found = pod(name, **rest)
    found["metadata"]["labels"] = {LLM_D.role: role}
    return found


@pytest.mark.parametrize(
    ("pods", "outcome"),
    [
        ([llm_d("p", "prefill"), llm_d("d", "decode")], "passed"),
        ([llm_d("p", "prefill"), llm_d("d", "decode", ready="False")], "undecided"),
        ([llm_d("p", "prefill"), llm_d("d", "decode", namespace="elsewhere")], "undecided"),
        ([llm_d("p", "prefill"), llm_d("q", "prefill")], "undecided"),
        ([llm_d("b", "both")], "undecided"),
        ([], "undecided"),
    ],
)
def test_ready_pods_of_both_roles_of_one_namespace(pods: list[Obj], outcome: str) -> None:
    assert ask(disaggregated_inference.apart, Cluster(pods)) == outcome


def test_pods_of_two_groups_are_not_one() -> None:
    pods = [pod("p", role_name="prefill", roleset_name="a"), pod("d", role_name="decode", roleset_name="b")]
    assert disaggregated.apart(pods, AIBRIX) == {}
    pods[1]["metadata"]["labels"]["roleset-name"] = "a"
    assert disaggregated.apart(pods, AIBRIX) == {"serving/a": {"prefill": ["p"], "decode": ["d"]}}


def test_pods_are_asked_for_by_their_roles_and_no_others() -> None:
    cluster = Cluster([])
    ask(disaggregated_inference.apart, cluster)
    assert cluster.asked[0] == "llm-d.ai/role in (prefill,decode)"
    assert all("in (prefill,decode)" in selector for selector in cluster.asked)
