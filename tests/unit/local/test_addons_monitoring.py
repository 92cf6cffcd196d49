from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509

from aiconform.local.addons import metrics_server, prometheus, prometheus_adapter, serving
from aiconform.local.addons.addon import Materials
from aiconform.local.api import ApiError

Obj = dict[str, Any]


class Api:
    """Answers by path; what it does not know is refused."""

    def __init__(self, answers: Obj) -> None:
        self.answers = answers

    def get(self, path: str) -> Obj:
        for part, answer in self.answers.items():
            if part in path:
                return answer
        raise ApiError(503, f"GET {path}: 503")


def materials(directory: Path, rendered: list[Obj] | None = None) -> Materials:
    return Materials(
        programs=None,
        module_dir=lambda _module: directory,
        render=lambda _chart: rendered or [],
        kustomize=lambda _module, _path: [],
    )


def pod_of(deployment: Obj) -> Obj:
    return deployment["spec"]["template"]["spec"]


def by_kind(objects) -> Callable[[str], Obj]:
    return lambda kind: next(thing for thing in objects if thing["kind"] == kind)


def deployment(name: str, **pod: Any) -> Obj:
    spec = {"replicas": 2, "template": {"spec": pod}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def account(name: str) -> Obj:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "default"}}


def binding(name: str) -> Obj:
    subject = {"kind": "ServiceAccount", "name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ClusterRoleBinding", "metadata": {"name": name}, "subjects": [subject]}


def write(directory: Path, files: dict[str, Obj]) -> None:
    for name, thing in files.items():
        path = directory / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(thing))


@pytest.fixture
def operator_module(tmp_path: Path) -> Path:
    container = {"args": ["--kubelet-service=a/b", "--prometheus-config-reloader=x"], "resources": {"limits": {}}}
    role: Obj = {"apiVersion": "v1", "kind": "ClusterRole", "metadata": {"name": "r"}, "rules": []}
    crds = "example/prometheus-operator-crd/monitoring.coreos.com_"
    files: dict[str, Obj] = {
        f"{crds}{name}": {"apiVersion": "x/v1", "kind": "CustomResourceDefinition", "metadata": {"name": name}}
        for name in prometheus._DEFINITIONS
    }
    for name in ("prometheus", "prometheus-operator"):
        place = f"example/rbac/{name}/{name}-"
        files |= {f"{place}service-account": account(name), f"{place}cluster-role": role}
        files |= {f"{place}cluster-role-binding": binding(name)}
    files["example/rbac/prometheus-operator/prometheus-operator-deployment"] = deployment("o", containers=[container])
    write(tmp_path, files)
    return tmp_path


def test_the_operator_is_upstreams_in_our_namespace(operator_module: Path) -> None:
    objects = prometheus.objects(materials(operator_module))
    for thing in objects:
        if thing["kind"] in ("ServiceAccount", "Deployment", "Service", "Prometheus", "ServiceMonitor"):
            assert thing["metadata"]["namespace"] == "monitoring"
        assert all(subject["namespace"] == "monitoring" for subject in thing.get("subjects", ()))
    [container] = pod_of(by_kind(objects)("Deployment"))["containers"]
    assert container["args"][0] == "--prometheus-config-reloader=x"
    assert not any("kubelet" in argument for argument in container["args"])
    assert "limits" not in container["resources"]


def test_the_reloader_looks_every_second_and_every_namespace_is_collected(operator_module: Path) -> None:
    spec = by_kind(prometheus.objects(materials(operator_module)))("Prometheus")["spec"]
    reloader = next(item for item in spec["containers"] if item["name"] == "config-reloader")
    assert "--watch-interval=1s" in reloader["args"]
    assert spec["serviceMonitorSelector"] == spec["serviceMonitorNamespaceSelector"] == {}


@pytest.mark.parametrize(
    ("answers", "missing"),
    [
        ({"/query": {"status": "success", "data": {"result": [{"value": [0, "1"]}]}}}, []),
        ({"/query": {"status": "success", "data": {"result": []}}}, ["the first target of Prometheus"]),
        ({}, ["an answer of Prometheus (GET"]),
    ],
)
def test_prometheus_is_ready_once_it_collects(answers: Obj, missing: list[str]) -> None:
    found = prometheus.missing(Api(answers))
    assert len(found) == len(missing)
    assert all(text.startswith(start) for text, start in zip(found, missing, strict=True))


def trusted(ca_bundle: str, secret: Obj) -> None:
    authority = x509.load_pem_x509_certificate(base64.b64decode(ca_bundle))
    own = x509.load_pem_x509_certificate(base64.b64decode(secret["data"]["tls.crt"]))
    own.verify_directly_issued_by(authority)


def test_a_certificate_names_its_service_and_is_made_anew() -> None:
    first, second = (serving.certificate("s", "n", secret="s-tls") for _ in range(2))
    trusted(first.ca_bundle, dict(first.secret))
    own = x509.load_pem_x509_certificate(base64.b64decode(first.secret["data"]["tls.crt"]))
    names = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    assert names == ["s.n.svc", "s.n.svc.cluster.local"]
    assert first.ca_bundle != second.ca_bundle


def test_the_adapter_serves_what_the_api_server_verifies(tmp_path: Path) -> None:
    container = {"args": ["--cert-dir=/x"], "readinessProbe": {"httpGet": {}, "initialDelaySeconds": 30}}
    volumes = [{"name": "volume-serving-cert", "emptyDir": {}}, {"name": "tmpfs", "emptyDir": {}}]
    things = {name: account(name) for name in prometheus_adapter._FILES}
    things["deployment"] = deployment("prometheus-adapter", containers=[container], volumes=volumes)
    write(tmp_path / "deploy" / "manifests", things)
    objects = prometheus_adapter.objects(materials(tmp_path))
    service = by_kind(objects)("APIService")
    trusted(service["spec"]["caBundle"], by_kind(objects)("Secret"))
    pod = pod_of(by_kind(objects)("Deployment"))
    assert {"name": "volume-serving-cert", "secret": {"secretName": "prometheus-adapter-tls"}} in pod["volumes"]
    assert {"name": "tmpfs", "emptyDir": {}} in pod["volumes"]
    [changed] = pod["containers"]
    assert changed["readinessProbe"]["initialDelaySeconds"] == 0
    assert "--prometheus-url=http://prometheus.monitoring.svc:9090/" in changed["args"]
    assert not any(argument.startswith("--cert-dir") for argument in changed["args"])


@pytest.mark.parametrize(
    ("answers", "count"), [({"/up": {"items": [{"value": "1"}]}}, 0), ({"/up": {"items": []}}, 1), ({}, 1)]
)
def test_the_adapter_is_ready_once_it_answers_a_metric(answers: Obj, count: int) -> None:
    assert len(prometheus_adapter.missing(Api(answers))) == count


def test_metrics_server_is_trusted_by_its_certificate() -> None:
    rendered: Obj = {"kind": "APIService", "spec": {"group": "metrics.k8s.io"}}
    objects = metrics_server.objects(materials(Path(), [rendered, account("metrics-server")]))
    trusted(by_kind(objects)("APIService")["spec"]["caBundle"], by_kind(objects)("Secret"))
    assert "caBundle" not in rendered["spec"]


def test_metrics_server_verifies_kubelets() -> None:
    arguments = metrics_server.CHART.values["defaultArgs"]
    assert any(argument.startswith("--kubelet-certificate-authority=") for argument in arguments)
    assert "--kubelet-insecure-tls" not in arguments


@pytest.mark.parametrize(
    ("nodes", "measured", "pods", "count"), [(3, 3, 1, 0), (3, 2, 1, 1), (3, 3, 0, 1), (3, 0, 0, 2)]
)
def test_metrics_server_is_ready_once_nodes_and_a_pod_are_measured(
    nodes: int, measured: int, pods: int, count: int
) -> None:
    answers = {
        "metrics.k8s.io/v1beta1/nodes": {"items": [{}] * measured},
        "metrics.k8s.io/v1beta1/namespaces/": {"items": [{}] * pods},
        "/api/v1/nodes": {"items": [{}] * nodes},
    }
    assert len(metrics_server.missing(Api(answers))) == count


def test_metrics_server_without_an_answer_is_not_ready() -> None:
    assert len(metrics_server.missing(Api({}))) == 1
