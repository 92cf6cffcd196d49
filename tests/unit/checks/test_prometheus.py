from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest
from tests.support.scripted import facts

from aiconform.checks._kit import prometheus, prometheus_found, prometheus_operator
from aiconform.engine import Context, RefusedError, StopProbe, UndecidableError, kinds
from aiconform.engine.kinds import Kind

Obj = dict[str, Any]
ONE = {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [0, "1"]}]}}


class Asked:
    """As much of a context as the kit uses."""

    namespace = "ours"
    now = 0.0
    facts = facts(prometheus_operator.API)

    def __init__(
        self,
        prometheuses: list[Obj],
        services: list[Obj] | None = None,
        answer: Obj | Callable[[str, str], Obj] = ONE,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        self.prometheuses, self.services, self.answer = prometheuses, services or [], answer
        self.labels = dict(labels or {})
        self.pods: list[Obj] = []
        self.paths: list[str] = []
        self.stated: list[tuple[str, bool]] = []
        self.cause = ""

    def option(self, name: str) -> str:
        return self.facts.option(name)

    async def list(self, kind: Kind, namespace: str = "", **_: object) -> list[Obj]:
        if kind is kinds.PROMETHEUS:
            return self.prometheuses
        if kind is kinds.POD:
            return self.pods
        return [item for item in self.services if item["metadata"]["namespace"] == namespace]

    async def read_named(self, _kind: Kind, name: str) -> Obj:
        return {"metadata": {"name": name, "labels": self.labels}}

    async def get(self, path: str, *, query: Mapping[str, str]) -> Obj:
        self.paths.append(path)
        return self.answer(path, query["query"]) if callable(self.answer) else self.answer

    def expect(self, _expected: str, observed: str, *, ok: bool, **_: object) -> None:
        self.stated.append((observed, ok))
        if not ok:
            raise StopProbe

    def undecided(self, _expected: str, observed: str, _cause: str) -> StopProbe:
        self.cause = observed
        return StopProbe()


def made(name: str = "main", namespace: str = "monitoring", **spec: Any) -> Obj:
    everything: Obj = {"serviceMonitorSelector": {}, "serviceMonitorNamespaceSelector": {}}
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {**everything, **spec}}


def service(name: str, *, of: str = "", port: int = 9090, port_name: str = "web") -> Obj:
    selector = {"operator.prometheus.io/name": of} if of else {"app.kubernetes.io/name": "prometheus"}
    ports = [{"name": "reloader", "port": 8080}, {"name": port_name, "port": port, "targetPort": port_name}]
    return {"metadata": {"name": name, "namespace": "monitoring"}, "spec": {"selector": selector, "ports": ports}}


def found(asked: Asked) -> prometheus.Monitoring:
    return asyncio.run(prometheus_found.find(cast("Context", asked)))


def passed_over(asked: Asked) -> str:
    with pytest.raises(StopProbe):
        found(asked)
    return asked.cause


def test_its_own_service_is_asked_before_the_one_of_all() -> None:
    asked = Asked([made()], [service("prometheus-operated"), service("other", of="other"), service("mine", of="main")])
    monitoring = found(asked)
    assert monitoring.door == "service mine"
    assert asked.paths == ["/api/v1/namespaces/monitoring/services/mine:9090/proxy/api/v1/query"]
    assert asked.stated == [
        ("monitoring/main answers 1, asked through service mine, workloads made known by ServiceMonitor", True)
    ]


def replica(name: str, ready: str = "True") -> Obj:
    meta = {"name": name, "namespace": "monitoring"}
    return {"metadata": meta, "status": {"conditions": [{"type": "Ready", "status": ready}]}}


def test_of_several_replicas_one_pod_is_asked_for_a_service_asks_now_one_and_now_another() -> None:
    asked = Asked([made(replicas=2)], [service("mine", of="main")])
    asked.pods = [replica("prometheus-main-1"), replica("prometheus-main-0"), replica("prometheus-main-2", "False")]
    monitoring = found(asked)
    assert monitoring.api == "/api/v1/namespaces/monitoring/pods/prometheus-main-0:9090/proxy/api/v1"
    assert "asked through pod prometheus-main-0 of 2 replicas" in asked.stated[0][0]
    asked.pods = [replica("prometheus-main-0", "False")]
    assert passed_over(asked).startswith("no Prometheus object")


def test_the_one_of_all_is_asked_where_there_is_no_other() -> None:
    monitoring = found(Asked([made()], [service("prometheus-operated")]))
    assert monitoring.api == "/api/v1/namespaces/monitoring/services/prometheus-operated:9090/proxy/api/v1"


def test_a_named_service_port_route_and_tls_are_followed() -> None:
    spec: Obj = {
        "serviceName": "own",
        "portName": "http-web",
        "routePrefix": "/prom/",
        "web": {"tlsConfig": {"cert": {}}},
    }
    monitoring = found(Asked([made(**spec)], [service("own", port=19090, port_name="http-web")]))
    assert monitoring.api == "/api/v1/namespaces/monitoring/services/https:own:19090/proxy/prom/api/v1"


def test_a_monitor_carries_the_labels_that_are_selected() -> None:
    selecting = made(serviceMonitorSelector={"matchLabels": {"release": "stack"}})
    monitoring = found(Asked([selecting], [service("prometheus-operated")]))
    monitor = prometheus_operator.monitor(monitoring, "m", "http", {"app": "x"})
    assert monitor["metadata"]["labels"] == {"release": "stack"}


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"serviceMonitorSelector": None}, "takes no ServiceMonitor that we could make: None"),
        ({"serviceMonitorNamespaceSelector": None}, "of its own namespace only"),
        ({"serviceMonitorNamespaceSelector": {"matchLabels": {"team": "a"}}}, "does not take ServiceMonitors of our"),
        ({"shards": 2}, "is sharded"),
    ],
)
def test_a_prometheus_that_takes_none_of_ours_is_passed_over(spec: Obj, why: str) -> None:
    asked = Asked([made(**spec)], [service("prometheus-operated")])
    assert why in passed_over(asked)
    assert asked.paths == []


def test_one_that_takes_pod_monitors_alone_gets_one() -> None:
    pods_alone = {"podMonitorSelector": {"matchLabels": {"team": "a"}}, "podMonitorNamespaceSelector": {}}
    monitoring = found(Asked([made(serviceMonitorSelector=None, **pods_alone)], [service("prometheus-operated")]))
    monitor = prometheus_operator.monitor(monitoring, "m", "http", {"app": "x"})
    assert (monitor["kind"], monitor["metadata"]["labels"]) == ("PodMonitor", {"team": "a"})
    assert monitor["spec"]["podMetricsEndpoints"][0]["port"] == "http"
    assert monitor["spec"]["jobLabel"] == "app", "else the job is called after the PodMonitor"
    assert "endpoints" not in monitor["spec"]


def test_a_namespace_with_the_selected_labels_is_taken() -> None:
    selecting = made(serviceMonitorNamespaceSelector={"matchLabels": {"team": "a"}})
    assert found(Asked([selecting], [service("prometheus-operated")], labels={"team": "a"})).name == "monitoring/main"


def test_without_any_there_is_nothing_to_use() -> None:
    assert passed_over(Asked([])) == "no Prometheus object, and no Service with labels that are known"


def test_one_that_does_not_answer_is_passed_over_for_the_next() -> None:
    def answer(path: str, _: str) -> Obj:
        if "/first:" in path:
            raise RefusedError("GET", 503, "ServiceUnavailable", "no endpoints available for service")
        return ONE

    both = [made("a-first"), made("b-second")]
    monitoring = found(Asked(both, [service("first", of="a-first"), service("second", of="b-second")], answer))
    assert monitoring.name == "monitoring/b-second"


def test_an_answer_that_is_not_one_fails() -> None:
    nothing = {"status": "success", "data": {"resultType": "vector", "result": []}}
    asked = Asked([made()], [service("prometheus-operated")], nothing)
    with pytest.raises(StopProbe):
        found(asked)
    [(stated, ok)] = asked.stated
    assert ("monitoring/main answers nothing, asked through service prometheus-operated" in stated, ok) == (True, False)


MONITORING = prometheus.Monitoring("monitoring/main", "s", "/p/api/v1", {}, "")


def asked_for(answer: Obj | Callable[[str, str], Obj]) -> list[prometheus.Sample]:
    return asyncio.run(prometheus.query(cast("Context", Asked([], answer=answer)), MONITORING, "x"))


@pytest.mark.parametrize("reason", ["", "NotFound"])
def test_an_error_of_prometheus_is_told_from_one_of_kubernetes(reason: str) -> None:
    def refuse(*_: str) -> Obj:
        raise RefusedError("GET", 400, reason, "")

    with pytest.raises(UndecidableError) as raised:
        asked_for(refuse)
    assert ("itself answered 400" in raised.value.cause) is (not reason)


@pytest.mark.parametrize(
    "answer",
    [
        {"status": "error", "error": "bad"},
        {"kind": "Status", "status": "Failure"},
        {"status": "success", "data": {"resultType": "matrix", "result": []}},
        {"status": "success"},
        {"status": "success", "data": {"resultType": "vector"}},
        {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}}]}},
        {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [0, "x"]}]}},
    ],
)
def test_what_is_no_vector_is_no_answer(answer: Obj) -> None:
    with pytest.raises(UndecidableError):
        asked_for(answer)


@pytest.mark.parametrize(
    ("values", "outcome"),
    [(["37"], "met"), (["36"], "waiting"), (["38"], "wrong"), ([], "waiting"), (["37", "37"], "waiting")],
)
def test_only_the_very_number_is_met_and_more_is_wrong(values: list[str], outcome: str) -> None:
    result = [{"metric": {"pod": str(n)}, "value": [0, value]} for n, value in enumerate(values)]
    answer = {"status": "success", "data": {"resultType": "vector", "result": result}}
    points: list[tuple[float, float]] = []
    asked = cast("Context", Asked([], answer=answer))
    look = prometheus.equal(asked, MONITORING, "x", 37, points=points, never_more=True)
    assert asyncio.run(_awaited(look)).outcome == outcome
    assert points == [(0.0, float(value)) for value in values[:1]]


async def _awaited(look: Callable[[], Any]) -> Any:
    return await look()


def test_metrics_as_text_are_summed_by_name() -> None:
    text = '# TYPE a_total counter\na_total{x="1"} 2\na_total{x="2"} 3\n# TYPE b gauge\nb 0.5\n'
    assert prometheus.samples(text) == {"a_total": 5.0, "b": 0.5}


def test_other_text_is_no_metrics() -> None:
    with pytest.raises(UndecidableError):
        prometheus.samples("<html>not found</html>")
