"""Prometheus Operator and one Prometheus, tuned so that a ServiceMonitor takes effect within seconds.

The definitions, and the operator's own objects, are those of its module; the Prometheus is ours, in namespace
``monitoring``, and collects from every namespace. Three things are not as the operator would have them, for each makes
a new monitor wait: the probes' period, the reloader's interval, and the interval at which targets are taken over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from aiconform.local.addons import manifests
from aiconform.local.addons.addon import Addon, Manifest, Materials
from aiconform.local.api import Api, ApiError
from aiconform.local.profiles import CONTROL

MODULE = "github.com/prometheus-operator/prometheus-operator"
NAMESPACE = "monitoring"
NAME = "main"
SERVICE = "prometheus"
"""The Service of our Prometheus, beside the headless ``prometheus-operated`` that the operator makes."""

_DEFINITIONS = ("podmonitors", "probes", "prometheuses", "prometheusrules", "scrapeconfigs", "servicemonitors")
_OPERATOR = ("service-account", "cluster-role", "cluster-role-binding", "deployment")
_RELOADER = "quay.io/prometheus-operator/prometheus-config-reloader:v0.90.1"
_SERVICE_LABELS = {"app.kubernetes.io/name": "prometheus", "app.kubernetes.io/instance": NAME}
_ON_CONTROL = {"kubernetes.io/hostname": CONTROL}


def objects(materials: Materials) -> Sequence[Manifest]:
    """The definitions, the operator, and our Prometheus with what it may read."""
    examples = materials.module_dir(MODULE) / "example"
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        *_definitions(examples / "prometheus-operator-crd"),
        *_operator(examples / "rbac" / "prometheus-operator"),
        *_access(examples / "rbac" / "prometheus"),
        _service(),
        _monitor(),
        _prometheus(),
    ]


def missing(api: Api) -> list[str]:
    """Prometheus must say that it collects from a target that a ServiceMonitor names: itself."""
    query = f"up%7Bjob%3D%22{SERVICE}%22%7D%3D%3D1"  # up{job="prometheus"}==1
    path = f"/api/v1/namespaces/{NAMESPACE}/services/{SERVICE}:web/proxy/api/v1/query?query={query}"
    try:
        answer = api.get(path)
    except ApiError as error:
        return [f"an answer of Prometheus ({error})"]
    return [] if answer.get("data", {}).get("result") else ["the first target of Prometheus"]


def _definitions(directory: Path) -> Iterator[Manifest]:
    for name in _DEFINITIONS:
        yield _read(directory / f"monitoring.coreos.com_{name}.yaml")


def _operator(directory: Path) -> Iterator[Manifest]:
    for name in _OPERATOR:
        thing = _moved(_read(directory / f"prometheus-operator-{name}.yaml"))
        if thing["kind"] == "Deployment":
            pod = thing["spec"]["template"]["spec"]
            pod["nodeSelector"] = _ON_CONTROL
            [container] = pod["containers"]
            container["imagePullPolicy"] = "IfNotPresent"
            # nothing here collects from kubelets; the limits would slow the reloader's start to several seconds
            kept = [argument for argument in container["args"] if "kubelet" not in argument]
            sizes = ("cpu-request", "cpu-limit", "memory-request", "memory-limit")
            container["args"] = [*kept, *(f"--config-reloader-{size}=0" for size in sizes)]
            container["resources"] = {"requests": {"cpu": "10m", "memory": "64Mi"}}
        yield thing


def _access(directory: Path) -> Iterator[Manifest]:
    for name in ("service-account", "cluster-role", "cluster-role-binding"):
        yield _moved(_read(directory / f"prometheus-{name}.yaml"))


def _read(path: Path) -> dict[str, Any]:
    [thing] = manifests.parse(path.read_text())
    return dict(thing)


def _moved(thing: dict[str, Any]) -> dict[str, Any]:
    """The same object for our namespace instead of ``default``."""
    if not thing["kind"].startswith("Cluster"):
        thing["metadata"]["namespace"] = NAMESPACE
    for subject in thing.get("subjects", ()):
        subject["namespace"] = NAMESPACE
    return thing


def _service() -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": SERVICE, "namespace": NAMESPACE, "labels": _SERVICE_LABELS},
        "spec": {
            "selector": {"operator.prometheus.io/name": NAME},
            "ports": [{"name": "web", "port": 9090, "targetPort": "web"}],
        },
    }


def _monitor() -> Manifest:
    """Prometheus is its own first target; little is kept of what it says."""
    kept = {"action": "keep", "sourceLabels": ["__name__"], "regex": "prometheus_build_info"}
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": {"name": SERVICE, "namespace": NAMESPACE},
        "spec": {
            "selector": {"matchLabels": _SERVICE_LABELS},
            "endpoints": [{"port": "web", "interval": "5s", "metricRelabelings": [kept]}],
        },
    }


def _prometheus() -> Manifest:
    quick = {"periodSeconds": 1, "timeoutSeconds": 3}
    everything: dict[str, object] = {}
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "Prometheus",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {
            "image": "quay.io/prometheus/prometheus:v3.9.1",
            "imagePullPolicy": "IfNotPresent",
            "version": "v3.9.1",
            "replicas": 1,
            "serviceAccountName": "prometheus",
            "serviceMonitorSelector": everything,
            "serviceMonitorNamespaceSelector": everything,
            "podMonitorSelector": everything,
            "podMonitorNamespaceSelector": everything,
            "scrapeInterval": "1s",
            "evaluationInterval": "1s",
            "retention": "6h",
            "resources": {"requests": {"cpu": "20m", "memory": "128Mi"}},
            "nodeSelector": _ON_CONTROL,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 65534, "fsGroup": 65534},
            # hidden, with a default of 5 s: how often new targets are handed to the scrapers
            "additionalArgs": [{"name": "scrape.discovery-reload-interval", "value": "500ms"}],
            "containers": [
                {"name": "prometheus", "startupProbe": {**quick, "failureThreshold": 120}, "readinessProbe": quick},
                _reloader(),
            ],
        },
    }


def _reloader() -> dict[str, object]:
    """The reloader as the operator starts it, but looking every second.

    It watches a file that the kubelet replaces together with its directory, and so misses every change after the first
    until it looks by itself, every three minutes by default. The operator has no option for that; arguments given here
    replace its own as a whole.
    """
    place = "/etc/prometheus"
    return {
        "name": "config-reloader",
        "args": [
            "--listen-address=:8080",
            "--reload-url=http://localhost:9090/-/reload",
            f"--config-file={place}/config/prometheus.yaml.gz",
            f"--config-envsubst-file={place}/config_out/prometheus.env.yaml",
            f"--watched-dir={place}/rules/prometheus-{NAME}-rulefiles-0",
            "--watch-interval=1s",
            "--delay-interval=100ms",
        ],
    }


PROMETHEUS = Addon(
    "prometheus",
    "Prometheus 3.9.1, Prometheus Operator 0.90.1",
    "collects metrics from what ServiceMonitors name",
    images=("prometheus-operator", "prometheus-config-reloader", "prometheus"),
    objects=objects,
    missing=missing,
    namespaces=(NAMESPACE,),
)
