"""What the kit of pod autoscaling makes of facts, metrics and what an autoscaler says."""

from __future__ import annotations

import asyncio
import math
from types import SimpleNamespace
from typing import Any, cast

import pytest

from aiconform.checks._kit import autoscale, autoscale_queue, autoscale_watch, custom_metrics
from aiconform.checks._kit.autoscale_watch import Look, Watcher
from aiconform.engine import Context, Facts, RefusedError, UndecidableError

Obj = dict[str, Any]


def facts(*accelerators: tuple[str, int, int], groups: tuple[str, ...] = ()) -> Facts:
    found = [
        SimpleNamespace(
            node=node, resource="x.io/gpu", allocatable=number, replicas=shares, shared=shares > 1, lock=f"{node}/x"
        )
        for node, number, shares in accelerators
    ]
    seen = SimpleNamespace(
        accelerators=tuple(found), groups=frozenset(groups), gaps=(), unknown=(), parts=(), refused=()
    )
    return cast("Facts", seen)


def test_a_node_with_two_exclusive_accelerators_is_used_before_one_with_shares() -> None:
    found = facts(("one", 1, 1), ("shares", 4, 4), ("two", 2, 1))
    assert [node.node for node in autoscale.nodes(found)] == ["two", "shares"]
    assert autoscale.holds(found) == {"two/x"}
    assert autoscale.room(found) is None


def test_one_accelerator_on_each_node_is_too_little() -> None:
    gap = autoscale.room(facts(("one", 1, 1), ("other", 1, 1)))
    assert gap is not None
    assert gap.outcome == "not run"
    assert "1 x.io/gpu on one" in gap.reason


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


def test_what_was_seen_is_drawn_without_what_was_not_told_yet() -> None:
    watched = Watcher(cast("Context", None), cast("Any", None), cast("Any", None), "queue", "requests", 5)
    watched._seen = [(1.0, Look(0, 1, None, {})), (2.0, look(desired=1, ready=1, metric=0)), (3.0, look(metric=10))]
    drawn = {one.name: one.points for one in watched.series()}
    assert drawn["queue"] == ((2.0, 0), (3.0, 10))
    assert drawn["desired"] == ((2.0, 1), (3.0, 2))
    assert drawn["ready"] == ((1.0, 1), (2.0, 1), (3.0, 2))
    assert drawn["target for queue"] == ((1.0, 5), (3.0, 5))
