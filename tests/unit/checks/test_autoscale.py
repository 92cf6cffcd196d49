"""What the kit of pod autoscaling makes of facts, metrics and what an autoscaler says."""

from __future__ import annotations

import asyncio
import contextlib
import math
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.support.scripted import Scripted

from aiconform.checks import pod_autoscaling
from aiconform.checks._kit import (
    autoscale,
    autoscale_cpu,
    autoscale_queue,
    autoscale_watch,
    custom_metrics,
    workloads,
)
from aiconform.checks._kit.autoscale_watch import Look, Timed, Watcher, asks_for, wants
from aiconform.engine import Context, Facts, RefusedError, StopProbe, UndecidableError, kinds
from aiconform.evidence.headline import headline

Obj = dict[str, Any]
LINUX = {"kubernetes.io/os": "linux"}


def facts(
    *accelerators: tuple[str, int, int],
    groups: tuple[str, ...] = (),
    resource: str = "nvidia.com/gpu",
    told: bool = True,
) -> Facts:
    found = [
        SimpleNamespace(
            node=node,
            resource=resource,
            allocatable=number,
            replicas=shares,
            shared=shares > 1,
            lock=f"{node}/x",
            label={"kubernetes.io/hostname": f"host-{node}"},
            sharing_told=told,
        )
        for node, number, shares in accelerators
    ]
    seen = SimpleNamespace(
        accelerators=tuple(found), groups=frozenset(groups), gaps=(), unknown=(), parts=(), refused=()
    )
    return cast("Facts", seen)


def test_a_node_with_two_exclusive_accelerators_is_used_before_one_with_shares() -> None:
    found = facts(("one", 1, 1), ("shares", 4, 4), ("two", 2, 1))
    assert [site.words for site in autoscale.sites(found)] == ["two", "shares"]
    assert autoscale.holds(found) == {"two/x"}
    assert autoscale.room(found) is None


def test_two_nodes_with_one_accelerator_each_suffice_where_no_node_has_two() -> None:
    found = facts(("one", 1, 1), ("other", 1, 1), ("third", 1, 1))
    site = autoscale.sites(found)[0]
    assert (site.words, site.hosts, site.exclusive) == ("one and other", ("host-one", "host-other"), True)
    assert autoscale.holds(found) == {"one/x", "other/x"}
    assert autoscale_cpu.held_of(site) == [1, 0]


def test_of_one_node_all_but_one_accelerator_are_held() -> None:
    assert autoscale_cpu.held_of(autoscale.sites(facts(("four", 4, 1)))[0]) == [3]


@pytest.mark.parametrize(
    ("pods", "outcome"),
    [
        ({"first": ("a", ""), "second": ("", "")}, "met"),
        ({"first": ("a", "")}, "waiting"),
        ({"first": ("a", ""), "second": ("b", "")}, "wrong"),
        ({"first": ("a", "Evicted"), "second": ("a", "")}, "blocked"),
        ({"second": ("a", "")}, "blocked"),
        ({}, "blocked"),
    ],
)
def test_the_second_pod_must_wait_unless_the_first_is_no_more(pods: dict[str, tuple[str, str]], outcome: str) -> None:
    def one(name: str, node: str, reason: str) -> Obj:
        status = {"phase": "Failed" if reason else "Pending", "reason": reason}
        return {"metadata": {"name": name}, "spec": {"nodeName": node} if node else {}, "status": status}

    seen = [one(name, node, reason) for name, (node, reason) in pods.items()]
    assert autoscale_cpu.beside("first")(seen).outcome == outcome


def test_one_accelerator_in_all_is_too_little() -> None:
    gap = autoscale.room(facts(("one", 1, 1)))
    assert gap is not None
    assert gap.outcome == "not run"
    assert "1 nvidia.com/gpu on one" in gap.reason


def test_accelerators_of_different_kinds_are_not_two_of_one() -> None:
    found = facts(("one", 1, 1), ("other", 1, 1))
    other = SimpleNamespace(**{**vars(found.accelerators[1]), "resource": "amd.com/gpu"})
    assert autoscale.sites(cast("Facts", SimpleNamespace(accelerators=(found.accelerators[0], other)))) == []


def held(
    ctx: Scripted, site: autoscale.Site, devices: dict[str, list[int]], where: dict[str, str]
) -> list[tuple[str, str]]:
    workload = SimpleNamespace(app="app")
    ctx.answers = lambda path, _query: {"devices": devices[path.rpartition("/pods/")[2].partition(":")[0]]}
    for name, node in where.items():
        meta = {"name": name, "labels": {workloads.APP_LABEL: "app"}}
        ctx.has(kinds.POD, {"metadata": meta, "spec": {"nodeName": node}})
    with contextlib.suppress(StopProbe):
        asyncio.run(autoscale.hold_their_own(cast("Context", ctx), cast("Any", workload), site, list(where)))
    return ctx.told


@pytest.mark.parametrize(
    ("second", "devices", "outcome"),
    [
        ("other", [0], "passed"),
        ("one", [0], "failed"),
        ("one", [1], "passed"),
        ("other", [], "failed"),
        ("other", [0, 1], "failed"),
    ],
)
def test_devices_are_told_apart_by_node_and_number(second: str, devices: list[int], outcome: str) -> None:
    site = autoscale.sites(facts(("one", 1, 1), ("other", 1, 1)))[0]
    told = held(Scripted(), site, {"a": [0], "b": devices}, {"a": "one", "b": second})
    assert [found for found, _ in told] == [outcome]


def test_one_device_of_two_pods_says_nothing_where_nothing_tells_whether_devices_are_shared() -> None:
    site = autoscale.sites(facts(("one", 2, 1), told=False))[0]
    where = {"a": "one", "b": "one"}
    assert [outcome for outcome, _ in held(Scripted(), site, {"a": [0], "b": [0]}, where)] == ["undecided"]
    assert [outcome for outcome, _ in held(Scripted(), site, {"a": [0], "b": []}, where)] == ["failed"]


def test_pods_of_several_nodes_are_pinned_to_these() -> None:
    ctx = cast("Context", Scripted())
    container: Obj = {"resources": {"limits": {}}}
    assert workloads.pod_spec(ctx, container, nodes=["a"])["nodeSelector"] == {**LINUX, "kubernetes.io/hostname": "a"}
    spec = workloads.pod_spec(ctx, container, nodes=["a", "b"])
    [term] = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert term == {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["a", "b"]}]}


@pytest.mark.parametrize(
    ("groups", "missing"),
    [
        ((), "custom.metrics.k8s.io: install a metrics adapter"),
        (("custom.metrics.k8s.io/v1beta1",), "monitoring.coreos.com/v1"),
    ],
)
def test_what_is_missing_is_named(groups: tuple[str, ...], missing: str) -> None:
    gap = autoscale_queue.served(facts(groups=groups))
    assert gap is not None
    assert missing in gap.reason
    whole = facts(groups=("custom.metrics.k8s.io/v1beta2", "monitoring.coreos.com/v1"))
    assert autoscale_queue.served(whole) is None
    assert custom_metrics.version(whole) == "custom.metrics.k8s.io/v1beta2"


@pytest.mark.parametrize(("text", "value"), [("7", 7), ("2500m", 2.5), ("1k", 1000), ("0", 0), ("1.5", 1.5)])
def test_quantities(text: str, value: float) -> None:
    assert custom_metrics.quantity(text) == value


@pytest.mark.parametrize("text", ["", "seven", "7Gi", "7 ", "m"])
def test_what_is_no_quantity_is_no_number(text: str) -> None:
    assert math.isnan(custom_metrics.quantity(text))


class Answering:
    """As much of a context as is asked for a metric."""

    namespace = "ours"
    facts = facts(groups=("custom.metrics.k8s.io/v1beta1",))

    def __init__(self, answer: Obj | Exception) -> None:
        self.answer = answer

    async def get(self, path: str, *, query: Obj) -> Obj:
        assert path == "/apis/custom.metrics.k8s.io/v1beta1/namespaces/ours/pods/*/queue"
        assert query == {"labelSelector": "app.kubernetes.io/name=app"}
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def item(value: str, namespace: str = "ours", kind: str = "Pod") -> Obj:
    return {"describedObject": {"kind": kind, "namespace": namespace, "name": "pod-1"}, "value": value}


def asked(answer: Obj | Exception, *, gone: bool = False) -> tuple[dict[str, float], str]:
    return asyncio.run(custom_metrics.of_pods(cast("Context", Answering(answer)), "queue", "app", gone=gone))


def listed(*items: Obj) -> Obj:
    return {"kind": "MetricValueList", "items": list(items)}


def test_a_metric_is_read_by_pod() -> None:
    assert asked(listed(item("2500m"))) == ({"pod-1": 2.5}, "")


@pytest.mark.parametrize("answer", [listed(), RefusedError("GET", 404, "NotFound", "no such metric")])
def test_a_metric_may_be_gone_only_where_that_is_expected(answer: Obj | Exception) -> None:
    assert asked(answer, gone=True)[0] == {}
    with pytest.raises(UndecidableError):
        asked(answer)


@pytest.mark.parametrize(
    "answer",
    [
        RefusedError("GET", 404, "", "the answer is no Kubernetes Status"),
        RefusedError("GET", 503, "ServiceUnavailable", ""),
        {"kind": "Status", "items": []},
        {"kind": "MetricValueList"},
        listed(item("1", namespace="theirs")),
        listed(item("1", kind="Service")),
        listed(item("many")),
    ],
)
def test_another_answer_decides_nothing(answer: Obj | Exception) -> None:
    with pytest.raises(UndecidableError):
        asked(answer, gone=True)


def look(desired: int = 2, ready: int = 2, metric: float | None = 5, active: str = "True") -> Look:
    return Look(desired, ready, metric, {"ScalingActive": (active, "ValidMetricFound")})


@pytest.mark.parametrize(
    ("seen", "wants", "asks"),
    [
        (look(), "met", "met"),
        (look(ready=1), "waiting", "met"),
        (look(desired=1), "waiting", "waiting"),
        (look(active="False"), "waiting", "waiting"),
        (Look(2, 2, 5, {}), "waiting", "waiting"),
    ],
)
def test_an_autoscaler_that_is_not_active_wants_nothing(seen: Look, wants: str, asks: str) -> None:
    assert autoscale_watch.wants(2)(seen).outcome == wants
    assert autoscale_watch.asks_for(2)(seen).outcome == asks


class Looked(Watcher):
    """A watcher that sees what it is given, one after the other."""

    shown: list[Look]

    async def look(self) -> Look:
        self._seen.append((self.ctx.now, self.shown[0]))
        return self.shown.pop(0)


def test_how_long_it_took_is_a_figure_that_the_headline_names() -> None:
    ctx = Scripted()
    watched = Looked(cast("Context", ctx), cast("Any", None), cast("Any", None), "queue", "requests", 5)
    watched.shown = [look(desired=1, ready=1), look(ready=1), look(desired=1, ready=1)]
    asyncio.run(watched.until(asks_for(2), expected="up", within_s=60, timed=Timed(autoscale_queue.UP, -5.0)))
    assert ctx.figures == {autoscale_queue.UP: "7 s"}
    asyncio.run(watched.until(wants(1), expected="down", within_s=60, timed=Timed(autoscale_queue.DOWN, 1.0)))
    assert headline(pod_autoscaling.CHECK.headline, [ctx.figures]) == "up in 7 s, down in 3 s"


def test_what_was_seen_is_drawn_without_what_was_not_told_yet() -> None:
    watched = Watcher(cast("Context", None), cast("Any", None), cast("Any", None), "queue", "requests", 5)
    watched._seen = [(1.0, Look(0, 1, None, {})), (2.0, look(desired=1, ready=1, metric=0)), (3.0, look(metric=10))]
    drawn = {one.name: one.points for one in watched.series()}
    assert drawn["queue"] == ((2.0, 0), (3.0, 10))
    assert drawn["desired"] == ((2.0, 1), (3.0, 2))
    assert drawn["ready"] == ((1.0, 1), (2.0, 1), (3.0, 2))
    assert drawn["target for queue"] == ((1.0, 5), (3.0, 5))
