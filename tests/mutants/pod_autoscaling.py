"""Broken autoscaling: metrics that lie or vanish, autoscalers that are edited or have no rights, no accelerators."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from threading import Event
from typing import Any

from tests.mutants.breaking import applied, deleted, patched, scaled_to_zero
from tests.mutants.contract import Kill, Mutant
from tests.mutants.nodes import binds_anyway, meanwhile, ours, runtime, stops_once
from tests.mutants.servers import webhook

from aiconform.errors import AiconformError
from aiconform.local import Cluster
from aiconform.local.addons import prometheus_adapter
from aiconform.local.addons.prometheus import NAMESPACE
from aiconform.local.api import Api, ApiError
from aiconform.local.images.table import IMAGES

CHECK = "pod_autoscaling"
NODE = "gpu-0"
ADAPTER = ("-n", NAMESPACE, "deployment/prometheus-adapter")
AUTOSCALERS = "/apis/autoscaling/v2"
GROUPED = "sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)"
REMEMBERED = GROUPED.replace(">>})", ">>}[1h])").replace("sum(", "max(last_over_time(").replace(") by", ")) by")

NO_QUEUE = """
def edit(obj, request):
    return "no" if obj["metadata"]["name"].startswith("queue-") else None
"""
HIGHER = """
def edit(obj, request):
    obj["spec"]["maxReplicas"] = 4
"""
NEVER_DOWN = """
def edit(obj, request):
    obj["spec"]["behavior"]["scaleDown"]["selectPolicy"] = "Disabled"
"""


@contextmanager
def adapter_asks(cluster: Cluster, query: str) -> Iterator[None]:
    """An adapter that asks Prometheus another question than it should."""
    rules = json.loads(json.dumps(prometheus_adapter.RULES))
    rules["rules"][0]["metricsQuery"] = query
    config = {"data": {"config.yaml": json.dumps(rules)}}
    with patched(cluster, config, "-n", NAMESPACE, "configmap/adapter-config"):
        _restart(cluster)
        yield
    _restart(cluster)


@contextmanager
def adapter_remembers(cluster: Cluster) -> Iterator[None]:
    """An adapter that goes on with the last value of a metric that nobody tells any more."""
    deployment = json.loads(cluster.kubectl("get", *ADAPTER, "-o", "json"))
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    others = [argument for argument in container["args"] if not argument.startswith("--metrics-max-age")]
    changed = {**container, "args": [*others, "--metrics-max-age=1h"]}
    with (
        patched(cluster, {"spec": {"template": {"spec": {"containers": [changed]}}}}, *ADAPTER),
        adapter_asks(cluster, REMEMBERED),
    ):
        yield


def _restart(cluster: Cluster) -> None:
    cluster.kubectl("rollout", "restart", *ADAPTER)
    cluster.kubectl("rollout", "status", *ADAPTER, "--timeout=120s")
    deadline = time.monotonic() + 60
    path = f"/apis/{prometheus_adapter.GROUP}/v1beta1/namespaces/{NAMESPACE}/pods/*/up"
    while time.monotonic() < deadline:
        with suppress(ApiError):
            if cluster.api.get(path).get("items"):
                return
        time.sleep(0.5)
    raise AiconformError("the adapter answers no metric")


@contextmanager
def once(
    cluster: Cluster, seen: Callable[[Api], bool], broken: Callable[[], AbstractContextManager[Any]]
) -> Iterator[None]:
    """Something that is broken once the check has come so far, and repaired at the end."""
    stack = ExitStack()
    done = Event()

    def look(api: Api, ended: Event) -> None:
        if not done.is_set() and seen(api) and not ended.is_set():
            done.set()
            stack.enter_context(broken())

    with stack, meanwhile(look, cluster):
        yield


def autoscaled(prefix: str) -> Callable[[Api], bool]:
    """Whether an autoscaler of ours is there."""
    return lambda api: bool(ours(api, "horizontalpodautoscalers", prefix, AUTOSCALERS))


def adapter_stops(cluster: Cluster) -> AbstractContextManager[None]:
    """The metrics adapter goes away once there is an autoscaler."""
    return once(cluster, autoscaled("queue-"), lambda: scaled_to_zero(cluster, NAMESPACE, "prometheus-adapter"))


def others_take_it(cluster: Cluster) -> AbstractContextManager[None]:
    """Somebody else takes the accelerator that is left, once there is an autoscaler."""
    container = {
        "name": "taker",
        "image": IMAGES["busybox"].reference,
        "command": ["sleep", "3600"],
        "resources": {"limits": {"nvidia.com/gpu": "1"}},
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "taker", "namespace": "default"},
        "spec": {
            "nodeSelector": {"kubernetes.io/hostname": NODE},
            "terminationGracePeriodSeconds": 1,
            "containers": [container],
        },
    }
    return once(cluster, autoscaled("queue-"), lambda: applied(cluster, pod))


def edited_once_grown(cluster: Cluster) -> AbstractContextManager[None]:
    """Somebody raises the autoscaler's target a while after it has grown."""
    grown: list[float] = []

    def edit(api: Api, ended: Event) -> None:
        for found in ours(api, "horizontalpodautoscalers", "queue-", AUTOSCALERS):
            if (found.get("status") or {}).get("currentReplicas") == 2 and not grown:
                grown.append(time.monotonic())
            if len(grown) == 1 and time.monotonic() > grown[0] + 15 and not ended.is_set():
                grown.append(time.monotonic())
                metric = found["spec"]["metrics"]
                metric[0]["pods"]["target"]["averageValue"] = "50"
                meta = found["metadata"]
                path = f"{AUTOSCALERS}/namespaces/{meta['namespace']}/horizontalpodautoscalers/{meta['name']}"
                api.patch(path, {"spec": {"metrics": metric}})

    return meanwhile(edit, cluster)


def hook(code: str, cluster: Cluster) -> AbstractContextManager[None]:
    """Autoscalers that are not what was asked for."""
    return webhook(cluster, code, "autoscaling", ["horizontalpodautoscalers"], "CREATE")


@contextmanager
def on_cpu_alone(cluster: Cluster, broken: AbstractContextManager[Any]) -> Iterator[None]:
    """The part on the queue is refused at once, so that the part on CPU comes soon; and that is broken."""
    with webhook(cluster, NO_QUEUE, "apps", ["deployments"], "CREATE"), broken:
        yield


def no_cpu(cluster: Cluster) -> AbstractContextManager[None]:
    """metrics-server goes away once there is an autoscaler on CPU."""
    return once(cluster, autoscaled("cpu-"), lambda: scaled_to_zero(cluster, "kube-system", "metrics-server"))


def without_devices(cluster: Cluster) -> AbstractContextManager[None]:
    """A runtime that leaves the devices out which a device plugin has given to a container."""
    left = '[d for d in spec["linux"].get("devices") or [] if not d["path"].startswith("/dev/nvidia")]'
    return runtime(cluster, NODE, f'spec["linux"]["devices"] = {left}')


REFUSED = Kill("undecided", "denied the request")

MUTANTS = (
    Mutant(
        CHECK,
        "the metrics adapter answers a constant",
        lambda cluster: adapter_asks(cluster, f"{GROUPED} * 0 + 42"),
        {"answered": Kill("failed", ": 42")},
    ),
    Mutant(
        CHECK,
        "the metrics adapter is stopped once there is an autoscaler",
        adapter_stops,
        {"grows": Kill("undecided", "inference_queue_depth: 503")},
    ),
    Mutant(
        CHECK,
        "the autoscaling controller has lost its rights",
        lambda cluster: deleted(cluster, "clusterrolebinding", "system:controller:horizontal-pod-autoscaler"),
        {"grows": Kill("failed", "ScalingActive not told")},
    ),
    Mutant(
        CHECK,
        "somebody else takes the accelerator that is left",
        others_take_it,
        {"grows": Kill("undecided", "Insufficient nvidia.com/gpu")},
    ),
    Mutant(
        CHECK,
        "the runtime leaves the devices out of containers",
        without_devices,
        {"grows": Kill("failed", ": none")},
    ),
    Mutant(
        CHECK,
        "somebody raises the autoscaler's target once it has grown",
        edited_once_grown,
        {"steady": Kill("failed", "1 desired")},
    ),
    Mutant(
        CHECK,
        "autoscalers may have four replicas, whatever was asked",
        lambda cluster: hook(HIGHER, cluster),
        {"at_most": Kill("failed", "4 desired")},
    ),
    Mutant(
        CHECK,
        "the metrics adapter goes on with the last value of a metric that is gone",
        adapter_remembers,
        {"blind": Kill("failed", "ScalingActive True")},
    ),
    Mutant(
        CHECK,
        "autoscalers never scale down, whatever was asked",
        lambda cluster: hook(NEVER_DOWN, cluster),
        {"shrinks": Kill("failed", "2 desired")},
    ),
    Mutant(
        CHECK,
        "metrics-server is stopped, and queues may not be deployed",
        lambda cluster: on_cpu_alone(cluster, no_cpu(cluster)),
        {"answered": REFUSED, "busy": Kill("failed", "FailedGetResourceMetric")},
    ),
    Mutant(
        CHECK,
        "somebody binds replicas to the node although every accelerator is taken",
        lambda cluster: on_cpu_alone(cluster, binds_anyway(cluster, "cpu-", NODE)),
        {"no_room": Kill("failed", f"was given node {NODE}")},
    ),
    Mutant(
        CHECK,
        "the scheduler stops once it has refused a replica",
        lambda cluster: on_cpu_alone(cluster, stops_once(cluster, "kube-scheduler", "cpu-")),
        {"room_appears": Kill("failed", "1 ready")},
    ),
)
