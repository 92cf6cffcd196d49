"""A Prometheus without an operator: by its Service, as told, by its URL; and workloads made known by annotations."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any, cast

import pytest
from tests.support.scripted import Scripted

from aiconform.checks._kit import inference_metrics, prometheus_found, prometheus_service, workloads
from aiconform.checks._kit.in_pods import relaying
from aiconform.checks._kit.inference_metrics import Service
from aiconform.checks._kit.prometheus import Monitoring
from aiconform.engine import Context, Handle, StopProbe, kinds

Obj = dict[str, Any]


def vector(*series: tuple[Mapping[str, str], float]) -> Obj:
    result = [{"metric": dict(labels), "value": [0, f"{value:g}"]} for labels, value in series]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


def service(name: str, *ports: Obj, selector: Mapping[str, str] | None = None, product: str = "prometheus") -> Obj:
    labels = {"app.kubernetes.io/name": product}
    meta = {"name": name, "namespace": "monitoring", "labels": labels}
    return {"metadata": meta, "spec": {"ports": list(ports), "selector": dict(selector or {"app": name})}}


def pod(name: str, number: int = 9090, **labels: str) -> Obj:
    meta = {"name": name, "namespace": "monitoring", "labels": labels}
    container = {"ports": [{"name": "web", "containerPort": number}]}
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    return {"metadata": meta, "spec": {"containers": [container]}, "status": ready}


WEB = {"name": "web", "port": 80, "targetPort": "web"}


def answering(*paths: str) -> Any:
    """Those below these paths answer, others do not."""

    def answer(path: str, _query: Mapping[str, str]) -> Any:
        good = any(path.startswith(one) for one in paths)
        return vector(({}, 1)) if good else {"kind": "Status", "status": "Failure"}

    return answer


def find(ctx: Scripted) -> Monitoring:
    return asyncio.run(prometheus_found.find(cast("Context", ctx)))


class TestByItsService:
    root = "/api/v1/namespaces/monitoring"

    def test_its_service_is_asked(self) -> None:
        ctx = Scripted()
        ctx.has(kinds.SERVICE, service("prometheus-server", {"name": "grpc", "port": 10901}, WEB))
        ctx.answers = answering(f"{self.root}/services/prometheus-server:80/proxy/api/v1/")
        found = find(ctx)
        assert (found.name, found.way) == ("monitoring/prometheus-server", "annotations")
        assert ctx.told[-1][0] == "passed"

    def test_one_pod_of_several_is_asked_by_the_number_of_its_port(self) -> None:
        ctx = Scripted()
        ctx.has(kinds.SERVICE, service("prometheus", WEB))
        ctx.has(kinds.POD, pod("p-1", app="prometheus"), pod("p-0", app="prometheus"))
        ctx.answers = answering(f"{self.root}/pods/p-0:9090/proxy/api/v1/")
        assert find(ctx).door == "pod p-0, one of 2 behind service prometheus"

    def test_what_does_not_answer_is_passed_over(self) -> None:
        ctx = Scripted()
        ctx.has(
            kinds.SERVICE, service("a", WEB), service("vmselect", {"name": "http", "port": 8481}, product="vmselect")
        )
        ctx.answers = answering(f"{self.root}/services/vmselect:8481/proxy/select/0/prometheus/api/v1/")
        assert find(ctx).name == "monitoring/vmselect"

    def test_where_none_answers_it_is_undecided_with_what_to_do(self) -> None:
        ctx = Scripted()
        ctx.has(kinds.SERVICE, service("a", WEB), service("peers"))
        with pytest.raises(StopProbe):
            find(ctx)
        [(outcome, text)] = ctx.told
        assert (outcome, "--prometheus names a Service" in text) == ("undecided", True)

    @pytest.mark.parametrize(
        ("told", "api"),
        [
            ("a/b", "/api/v1/namespaces/a/services/b/proxy/api/v1"),
            ("a/b:9090", "/api/v1/namespaces/a/services/b:9090/proxy/api/v1"),
            ("a/b:8481/select/0/prometheus/", "/api/v1/namespaces/a/services/b:8481/proxy/select/0/prometheus/api/v1"),
        ],
    )
    def test_the_one_that_was_told_is_asked_alone(self, told: str, api: str) -> None:
        ctx = Scripted("monitoring.coreos.com/v1", options={"prometheus": told})
        ctx.answers = answering(api)
        found = find(ctx)
        assert (found.api, found.way) == (api, "ServiceMonitor")

    @pytest.mark.parametrize(
        ("ports", "port"),
        [
            ([{"name": "anything", "port": 7000}], ":7000"),
            ([{"name": "grpc", "port": 10901}, WEB], ":80"),
            ([{"name": "a", "port": 1}, {"name": "b", "port": 2}], ""),
        ],
    )
    def test_where_no_port_was_told_the_service_says_it(self, ports: list[Obj], port: str) -> None:
        """Upstream's are named, and the API server finds a named port only by its name or number."""
        ctx = Scripted(options={"prometheus": "monitoring/p"})
        ctx.has(kinds.SERVICE, service("p", *ports))
        api = f"/api/v1/namespaces/monitoring/services/p{port}/proxy/api/v1"
        ctx.answers = answering(api)
        assert find(ctx).api == api

    def test_the_way_that_was_asked_for_is_taken(self) -> None:
        ctx = Scripted("monitoring.coreos.com/v1", options={"scrape-by": "podmonitor"})
        assert prometheus_service.way(cast("Context", ctx)) == "PodMonitor"


def test_by_its_url_it_is_asked_from_a_pod_of_ours_which_is_made_once() -> None:
    ctx = Scripted(options={"prometheus-url": "https://metrics.example.com/prom"})
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    ctx.on_create = lambda made: made.update(status=ready, spec={**made["spec"], "nodeName": "n"})
    ctx.answers = answering("/api/v1/namespaces/ours/pods/relay-1:8000/proxy/api/v1/")
    assert find(ctx).name == find(ctx).name == "https://metrics.example.com/prom"
    [made] = ctx.made
    assert made["spec"]["containers"][0]["command"][-2:] == ["https://metrics.example.com/prom", "8000"]
    assert asyncio.run(prometheus_found.every(cast("Context", ctx)))[0].api.endswith("relay-1:8000/proxy/api/v1")


@pytest.fixture
def far() -> Iterator[str]:
    """A server that says what it was asked."""

    class Far(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"asked": self.path}).encode()
            self.send_response(302 if "moved" in self.path else 200)
            self.send_header("Location", "http://elsewhere.example.com/")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Far)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/prom"
    server.shutdown()
    server.server_close()


class TestRelay:
    """The program that runs in the pod."""

    @pytest.fixture
    def near(self, far: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
        monkeypatch.setattr(relaying.Handler, "base", far)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), relaying.Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        server.server_close()

    def test_a_query_is_passed_on_below_the_url(self, near: str) -> None:
        with urllib.request.urlopen(f"{near}/api/v1/query?query=vector(1)") as answer:
            assert json.load(answer) == {"asked": "/prom/api/v1/query?query=vector(1)"}

    def test_nothing_else_is(self, near: str) -> None:
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{near}/admin")
        assert refused.value.code == 404
        refused.value.close()

    def test_a_redirect_is_not_followed(self, far: str) -> None:
        assert relaying.ask(far, "/moved")[0] == 302

    def test_what_cannot_be_reached_is_told(self) -> None:
        status, _, body = relaying.ask("http://127.0.0.1:9", "/api/v1/query")
        assert (status, b"ConnectionRefused" in body) == (502, True)


class TestAnnotations:
    monitoring = Monitoring("monitoring/main", "service main", "/p/api/v1", {}, "", "annotations")

    def made(self) -> Service:
        deployment = Handle(kinds.DEPLOYMENT, "ours", "app", "uid-of-app")
        before = Handle(kinds.SERVICE, "ours", "app", "uid-of-app")
        return Service(workloads.Workload(deployment, before, "app"), "old", "old-uid")

    def test_the_service_gets_a_new_pod_with_them(self) -> None:
        ctx = Scripted()
        ctx.has(kinds.DEPLOYMENT, {"metadata": {"name": "app", "uid": "uid-of-app"}, "spec": {}})
        new = pod("new") | {"metadata": {"name": "new", "uid": "new-uid", "labels": {workloads.APP_LABEL: "app"}}}
        ctx.has(kinds.POD, new)
        known = asyncio.run(inference_metrics.made_known(cast("Context", ctx), self.monitoring, self.made()))
        assert (known.pod, known.uid) == ("new", "new-uid")
        [deployment] = ctx.objects["deployments.apps/v1"]
        annotations = deployment["spec"]["template"]["metadata"]["annotations"]
        assert annotations["prometheus.io/scrape"] == "true"
        assert annotations["prometheus.io/port"] == "8000"

    def collected(self, series: Obj, up: Obj) -> tuple[Service | None, list[str]]:
        ctx = Scripted()
        ctx.answers = lambda _path, query: up if query["query"].startswith("up{") else series
        known = None
        with contextlib.suppress(StopProbe):
            known = asyncio.run(
                inference_metrics.collected(cast("Context", ctx), self.monitoring, self.made(), within_s=1)
            )
        return known, [outcome for outcome, _ in ctx.told]

    def test_its_series_are_known_by_the_label_that_names_the_pod(self) -> None:
        labels = {"model": "app", "kubernetes_pod_name": "old", "job": "kubernetes-pods", "instance": "i"}
        known, outcomes = self.collected(vector((labels, 0)), vector(({"job": "kubernetes-pods"}, 1)))
        assert outcomes == ["passed", "passed"]
        assert known is not None
        assert known.of_pod("x") == 'x{model="app",kubernetes_pod_name="old",job="kubernetes-pods"}'

    def test_series_of_another_pod_are_not_its_own(self) -> None:
        known, outcomes = self.collected(vector(({"model": "app", "pod": "other"}, 0)), vector(({}, 1)))
        assert (known, outcomes) == (None, ["failed"])

    def test_a_target_that_is_down_is_not_collected(self) -> None:
        labels = {"model": "app", "pod": "old", "job": "j", "instance": "i"}
        known, outcomes = self.collected(vector((labels, 0)), vector(({}, 0)))
        assert (known, outcomes) == (None, ["passed", "failed"])

    def test_nothing_of_it_may_be_there_before_for_longer_than_prometheus_needs(self) -> None:
        ctx = Scripted()
        asked: list[str] = []

        def answer(path: str, query: Mapping[str, str]) -> Any:
            asked.append(query.get("query", path))
            return "inference_requests_total 0\nprocess_start_time_seconds 1\n" if "/pods/" in path else vector()

        ctx.answers = answer
        asyncio.run(inference_metrics.never_collected(cast("Context", ctx), self.monitoring, self.made()))
        assert asked[0] == '{__name__=~"inference_.+",model="app"}'
        assert "for 120 s" in ctx.told[0][1]
