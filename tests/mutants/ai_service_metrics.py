"""Broken monitoring: monitors that are ignored or not asked for, metrics that are lost, requests of somebody else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from threading import Event
from typing import Any

from tests.mutants.breaking import applied, patched, scaled_to_zero
from tests.mutants.contract import Kill, Mutant
from tests.mutants.nodes import meanwhile, ours
from tests.mutants.servers import webhook

from aiconform.errors import AiconformError
from aiconform.local import Cluster
from aiconform.local.addons.prometheus import NAMESPACE, SERVICE
from aiconform.local.api import Api, ApiError

CHECK = "ai_service_metrics"
PROMETHEUS = ("-n", NAMESPACE, "prometheuses.monitoring.coreos.com", "main")
TAKEN_UP_S = 60
BY_POD = {"scrape-by": "podmonitor"}

NO_QUEUE = """
def edit(obj, request):
    if obj["metadata"]["name"].startswith("inference-"):
        (container,) = obj["spec"]["template"]["spec"]["containers"]
        container["command"] = [word.replace("inference_queue_depth", "queue") for word in container["command"]]
"""


@contextmanager
def without_pods(cluster: Cluster) -> Iterator[None]:
    """A Prometheus that has no pod."""
    pod = ("-n", NAMESPACE, "wait", "pod/prometheus-main-0", "--timeout=120s")
    with patched(cluster, {"spec": {"replicas": 0}}, *PROMETHEUS):
        cluster.kubectl(*pod, "--for=delete")
        yield
    _until(cluster, bool)


@contextmanager
def without_monitors(cluster: Cluster) -> Iterator[None]:
    """A Prometheus that selects neither ServiceMonitors nor PodMonitors."""
    with patched(cluster, {"spec": {"serviceMonitorSelector": None, "podMonitorSelector": None}}, *PROMETHEUS):
        yield
    _until(cluster, lambda config: f"serviceMonitor/{NAMESPACE}/{SERVICE}/" in config)


@contextmanager
def relabelling(cluster: Cluster, kind: str, rule: dict[str, Any]) -> Iterator[None]:
    """A Prometheus with a rule that changes whatever it collects."""
    classes = [{"name": "broken", "default": True, kind: [rule]}]
    with patched(cluster, {"spec": {"scrapeClasses": classes}}, *PROMETHEUS):
        _until(cluster, lambda config: rule["regex"] in config)
        yield
    _until(cluster, lambda config: rule["regex"] not in config)


def dropping(cluster: Cluster, metric: str) -> AbstractContextManager[None]:
    """A Prometheus that throws a metric of inference services away."""
    rule = {"action": "drop", "sourceLabels": ["job", "__name__"], "regex": f"inference-.*;{metric}"}
    return relabelling(cluster, "metricRelabelings", rule)


def moving(cluster: Cluster) -> AbstractContextManager[None]:
    """A Prometheus that says of inference services that they are of another namespace."""
    rule = {
        "sourceLabels": ["__meta_kubernetes_service_name"],
        "regex": "inference-.+",
        "targetLabel": "namespace",
        "replacement": "elsewhere",
    }
    return relabelling(cluster, "relabelings", rule)


def forgetting(cluster: Cluster) -> AbstractContextManager[None]:
    """A Prometheus that does not collect from a pod that replaces another."""
    present = "__meta_kubernetes_pod_annotationpresent_aiconform_dev_restarted"
    return relabelling(cluster, "relabelings", {"action": "drop", "sourceLabels": [present], "regex": "true|restarted"})


@contextmanager
def collected_anyway(cluster: Cluster, prefix: str) -> Iterator[None]:
    """Somebody else's ServiceMonitor, for every service whose name begins so."""
    name = f"all-{prefix}"
    keep = {"action": "keep", "sourceLabels": ["__meta_kubernetes_service_name"], "regex": f"{prefix}-.*"}
    monitor: dict[str, Any] = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "selector": {},
            "namespaceSelector": {"any": True},
            "endpoints": [{"port": "http", "interval": "1s", "relabelings": [keep]}],
        },
    }
    with applied(cluster, monitor):
        _until(cluster, lambda config: name in config)
        yield
    _until(cluster, lambda config: name not in config)


def asked_by_others(cluster: Cluster) -> AbstractContextManager[None]:
    """Somebody else who asks the service, once a client of ours is there."""

    def ask(api: Api, _: Event) -> None:
        if ours(api, "pods", "client-"):
            for service in ours(api, "services", "inference-"):
                meta = service["metadata"]
                api.get(f"/api/v1/namespaces/{meta['namespace']}/services/{meta['name']}:http/proxy/predict")

    return meanwhile(ask, cluster)


def _until(cluster: Cluster, right: Callable[[str], bool]) -> None:
    """Wait until Prometheus has taken up a configuration."""
    path = f"/api/v1/namespaces/{NAMESPACE}/services/{SERVICE}:web/proxy/api/v1/status/config"
    deadline = time.monotonic() + TAKEN_UP_S
    while time.monotonic() < deadline:
        with suppress(ApiError):
            if right(cluster.api.text(path)):
                return
        time.sleep(0.5)
    raise AiconformError("Prometheus did not take up its configuration")


MUTANTS = (
    Mutant(
        CHECK,
        "Prometheus has no pod",
        without_pods,
        {"answers": Kill("undecided", "no endpoints available")},
    ),
    Mutant(
        CHECK,
        "Prometheus selects no monitors",
        without_monitors,
        {"answers": Kill("undecided", "takes no ServiceMonitor")},
    ),
    Mutant(
        CHECK,
        "Prometheus selects PodMonitors alone",
        lambda cluster: patched(cluster, {"spec": {"serviceMonitorSelector": None}}, *PROMETHEUS),
        told="workloads made known by PodMonitor",
    ),
    Mutant(
        CHECK,
        "Prometheus selects no PodMonitors, though they are asked for",
        lambda cluster: patched(cluster, {"spec": {"podMonitorSelector": None}}, *PROMETHEUS),
        {"answers": Kill("undecided", "takes no PodMonitor")},
        options=BY_POD,
    ),
    Mutant(
        CHECK,
        "Prometheus throws the request counter of what a PodMonitor names away",
        lambda cluster: dropping(cluster, "inference_requests_total"),
        {"counted": Kill("failed", "no series")},
        options=BY_POD,
    ),
    Mutant(
        CHECK,
        "the service's page of metrics lacks its queue",
        lambda cluster: webhook(cluster, NO_QUEUE, "apps", ["deployments"], "CREATE"),
        {"serving": Kill("failed", "no inference_queue_depth")},
    ),
    Mutant(
        CHECK,
        "somebody else's ServiceMonitor collects the service already",
        lambda cluster: collected_anyway(cluster, "inference"),
        {"unmonitored": Kill("failed", "series, such as")},
    ),
    Mutant(
        CHECK,
        "the operator of Prometheus is stopped",
        lambda cluster: scaled_to_zero(cluster, NAMESPACE, "prometheus-operator"),
        {"discovered": Kill("failed", "no target of the job")},
    ),
    Mutant(
        CHECK,
        "Prometheus says the service is of another namespace",
        moving,
        {"discovered": Kill("failed", "of namespace elsewhere")},
    ),
    Mutant(
        CHECK,
        "Prometheus throws the request counter away",
        lambda cluster: dropping(cluster, "inference_requests_total"),
        {"counted": Kill("failed", "no series")},
    ),
    Mutant(
        CHECK,
        "Prometheus throws the count of durations away",
        lambda cluster: dropping(cluster, "inference_request_duration_seconds_count"),
        {"counted": Kill("failed", "the histogram of durations has counted 37")},
    ),
    Mutant(
        CHECK,
        "somebody else asks the service as well",
        asked_by_others,
        {"counted": Kill("failed", "the pod itself has counted")},
    ),
    Mutant(
        CHECK,
        "Prometheus throws the queue's depth away",
        lambda cluster: dropping(cluster, "inference_queue_depth"),
        {"queue_followed": Kill("failed", "no series")},
    ),
    Mutant(
        CHECK,
        "somebody else's ServiceMonitor collects the service that has none",
        lambda cluster: collected_anyway(cluster, "unwatched"),
        {"unwatched": Kill("failed", "series, such as")},
    ),
    Mutant(
        CHECK,
        "Prometheus does not collect from the pod that replaces the first",
        forgetting,
        {"resumed": Kill("failed", "no target of the job")},
    ),
)
