"""A broken operator: stopped, looking elsewhere, not asked, overruled; and parts that do not come back or do not go."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from tests.mutants.breaking import deleted, patched, scaled_to_zero
from tests.mutants.contract import Break, Kill, Mutant
from tests.mutants.nodes import meanwhile, ours, runtime
from tests.mutants.servers import webhook

from aiconform.local import Cluster
from aiconform.local.addons import kueue, volcano
from aiconform.local.addons.kuberay import CONFIGURATION, NAMESPACE
from aiconform.local.api import Api

CHECK = "robust_controller"
OPERATOR = ("-n", NAMESPACE, "deployment/kuberay-operator")
ROLLED_OUT = ("-n", NAMESPACE, "rollout", "status", "deployment/kuberay-operator", "--timeout=120s")
DEFINITION = "customresourcedefinition/rayjobs.ray.io"

_FINALIZER = "rogue.example.com/keep"
_MEMBER = "ray.io/cluster"
_MARKER = "/opt/a-worker-was-here"

_IDLE_WORKER = """
def edit(obj, request):
    if obj["metadata"].get("labels", {}).get("ray.io/node-type") == "worker":
        (container,) = obj["spec"]["containers"]
        container.update({"command": ["sleep", "86400"], "args": []})
        container.pop("readinessProbe", None)
        container.pop("livenessProbe", None)
        obj["spec"]["initContainers"] = []
"""

_OVERRULING = """
def edit(obj, request):
    names = [group["groupName"] for group in obj["spec"].get("workerGroupSpecs") or []]
    return "spec.workerGroupSpecs[1]: not here" if len(set(names)) < len(names) else None
"""

_KEEPING = f"""
def edit(obj, request):
    if obj["metadata"]["name"].startswith("job-"):
        obj["metadata"].setdefault("finalizers", []).append("{_FINALIZER}")
"""

_ONCE = f"""if container == "ray-worker":
            if os.path.exists("{_MARKER}"): spec["process"]["args"] = ["sleep", "86400"]
            open("{_MARKER}", "w").close()"""


@contextmanager
def looking_elsewhere(cluster: Cluster) -> Iterator[None]:
    """An operator that runs, and whose webhook serves, but that looks after another namespace only."""
    arguments = _containers(cluster)[0].get("args") or []
    with _arguments(cluster, [*arguments, "--watch-namespace=elsewhere"]):
        yield


@contextmanager
def _arguments(cluster: Cluster, wanted: list[str]) -> Iterator[None]:
    containers = _containers(cluster)
    changed = [{**containers[0], "args": wanted}]
    try:
        with patched(cluster, {"spec": {"template": {"spec": {"containers": changed}}}}, *OPERATOR):
            cluster.kubectl(*ROLLED_OUT)
            yield
    finally:
        cluster.kubectl(*ROLLED_OUT)


def _containers(cluster: Cluster) -> list[dict[str, Any]]:
    found = json.loads(cluster.kubectl("get", *OPERATOR, "-o", "json"))
    containers: list[dict[str, Any]] = found["spec"]["template"]["spec"]["containers"]
    return containers


@contextmanager
def without_jobs(cluster: Cluster) -> Iterator[None]:
    """A definition that is not served."""
    served = ("patch", DEFINITION, "--type=json")
    path = "/spec/versions/0/served"
    cluster.kubectl(*served, f"--patch={json.dumps([{'op': 'replace', 'path': path, 'value': False}])}")
    try:
        yield
    finally:
        cluster.kubectl(*served, f"--patch={json.dumps([{'op': 'replace', 'path': path, 'value': True}])}")


@contextmanager
def stops_after_the_task(cluster: Cluster) -> Iterator[None]:
    """An operator that is stopped once a task has been computed."""
    scale = ("-n", NAMESPACE, "scale", "deployment/kuberay-operator")
    stopped = threading.Event()

    def stop(api: Api, ended: threading.Event) -> None:
        if not stopped.is_set() and ours(api, "pods", "task-") and not ended.is_set():
            stopped.set()
            cluster.kubectl(*scale, "--replicas=0")

    try:
        with meanwhile(stop, cluster):
            yield
    finally:
        cluster.kubectl(*scale, "--replicas=1")
        cluster.kubectl(*ROLLED_OUT)


@contextmanager
def stops_once_its_job_runs(cluster: Cluster, namespace: str, deployment: str) -> Iterator[None]:
    """An operator that is stopped once both members of a batch job run."""
    stopped = threading.Event()

    def stop(api: Api, ended: threading.Event) -> None:
        members = [pod["status"].get("phase") for pod in ours(api, "pods", "batch-")]
        if not stopped.is_set() and members == ["Running", "Running"] and not ended.is_set():
            stopped.set()
            cluster.kubectl("-n", namespace, "scale", f"deployment/{deployment}", "--replicas=0")

    try:
        with meanwhile(stop, cluster):
            yield
    finally:
        cluster.kubectl("-n", namespace, "scale", f"deployment/{deployment}", "--replicas=1")
        cluster.kubectl("-n", namespace, "rollout", "status", f"deployment/{deployment}", "--timeout=120s")


def never_letting_go(cluster: Cluster) -> AbstractContextManager[None]:
    """A Kueue that may not change ClusterQueues: its webhook puts its finalizer on them, and it cannot take it away."""
    role, plural = "kueue-manager-role", "clusterqueues"
    rules: list[dict[str, Any]] = []
    for rule in json.loads(cluster.kubectl("get", "clusterrole", role, "-o", "json"))["rules"]:
        rules.append({**rule, "resources": [item for item in rule.get("resources") or () if item != plural]})
        if plural in (rule.get("resources") or ()):
            verbs = [verb for verb in rule["verbs"] if verb not in ("patch", "update")]
            rules.append({**rule, "resources": [plural], "verbs": verbs})
    assert len(rules) > 1
    return patched(cluster, {"rules": [rule for rule in rules if rule["resources"]]}, "clusterrole", role)


@contextmanager
def never_joining(cluster: Cluster) -> Iterator[None]:
    """Runtimes that start a worker once; when it starts again, it does nothing."""
    with runtime(cluster, "control", _ONCE), runtime(cluster, "gpu-0", _ONCE), runtime(cluster, "gpu-1", _ONCE):
        try:
            yield
        finally:
            for node in ("control", "gpu-0", "gpu-1"):
                cluster.enter(node, ["rm", "-f", _MARKER])


@contextmanager
def kept_jobs(cluster: Cluster) -> Iterator[None]:
    """Somebody who holds on to our jobs from the moment they are made: a moment later they may be gone."""
    path = "/apis/ray.io/v1/rayjobs"
    with webhook(cluster, _KEEPING, "ray.io", ["rayjobs"], "CREATE"):
        try:
            yield
        finally:
            _let_go(cluster.api, path, "job-")


@contextmanager
def kept_pods(cluster: Cluster) -> Iterator[None]:
    """Somebody who holds on to the pods of our clusters."""
    path = f"/api/v1/pods?labelSelector={_MEMBER}"

    def hold(api: Api, ended: threading.Event) -> None:
        for item in _of_runs(api, path, "ray-"):
            if not item["metadata"].get("deletionTimestamp") and not ended.is_set():
                _finalizers(api, path, item, [*_others(item), _FINALIZER])

    with meanwhile(hold, cluster):
        try:
            yield
        finally:
            _let_go(cluster.api, path, "ray-")


def _of_runs(api: Api, path: str, prefix: str) -> list[dict[str, Any]]:
    """Objects of this kind in namespaces of runs, whose names begin so."""
    found = [item for item in api.get(path)["items"] if item["metadata"]["namespace"].startswith("aiconform-")]
    return [item for item in found if item["metadata"]["name"].startswith(prefix)]


def _let_go(api: Api, path: str, prefix: str) -> None:
    for item in _of_runs(api, path, prefix):
        _finalizers(api, path, item, _others(item))


def _others(item: dict[str, Any]) -> list[str]:
    return [name for name in item["metadata"].get("finalizers") or [] if name != _FINALIZER]


def _finalizers(api: Api, path: str, item: dict[str, Any], wanted: list[str]) -> None:
    meta = item["metadata"]
    if sorted(meta.get("finalizers") or []) != sorted(wanted):
        group, _, plural = path.partition("?")[0].rpartition("/")
        version = {"resourceVersion": meta["resourceVersion"], "finalizers": wanted}
        api.patch(f"{group}/namespaces/{meta['namespace']}/{plural}/{meta['name']}", {"metadata": version})


def asked_never(cluster: Cluster) -> AbstractContextManager[None]:
    """A webhook that is configured on a condition that never holds."""
    (hook,) = json.loads(cluster.kubectl("get", "validatingwebhookconfiguration", CONFIGURATION, "-o", "json"))[
        "webhooks"
    ]
    never = {**hook, "matchConditions": [{"name": "never", "expression": "false"}]}
    return patched(cluster, {"webhooks": [never]}, "validatingwebhookconfiguration", CONFIGURATION)


def unreachable(
    cluster: Cluster, namespace: str = NAMESPACE, service: str = "kuberay-webhook-service"
) -> AbstractContextManager[None]:
    """A webhook whose Service leads to a port where nobody listens."""
    ports = [{"port": 443, "protocol": "TCP", "targetPort": 9444}]
    return patched(cluster, {"spec": {"ports": ports}}, "-n", namespace, f"service/{service}")


def _of(operator: str, what: str, broken: Break, kills: Mapping[str, Kill]) -> Mutant:
    """A mutant of an operator that is asked for by name, and is an add-on of that name."""
    return Mutant(CHECK, f"{operator}: {what}", broken, kills, options={"operator": operator}, addons=(operator,))


OTHERS = (
    _of(
        "kueue",
        "its controller is stopped",
        lambda cluster: scaled_to_zero(cluster, kueue.NAMESPACE, "kueue-controller-manager"),
        {"installed": Kill("failed", "0 of 0 pods of deployment kueue-controller-manager")},
    ),
    _of(
        "kueue",
        "its webhook cannot be reached",
        lambda cluster: unreachable(cluster, kueue.NAMESPACE, "kueue-webhook-service"),
        {"reconciled": Kill("failed", "cannot be called")},
    ),
    _of(
        "kueue",
        "the configuration of its webhooks that judge is gone",
        lambda cluster: deleted(cluster, "validatingwebhookconfiguration", "kueue-validating-webhook-configuration"),
        {"wrong_refused": Kill("failed", "its pods serve one, but it is not asked")},
    ),
    _of(
        "kueue",
        "it may not let go of a queue",
        never_letting_go,
        {"finalized": Kill("failed", "still there")},
    ),
    _of(
        "volcano",
        "its controllers stop once its job runs",
        lambda cluster: stops_once_its_job_runs(cluster, volcano.NAMESPACE, "volcano-controllers"),
        {"head_replaced": Kill("failed", "of 2 members are there")},
    ),
    _of(
        "volcano",
        "its controllers are stopped",
        lambda cluster: scaled_to_zero(cluster, volcano.NAMESPACE, "volcano-controllers"),
        {"installed": Kill("failed", "0 of 0 pods of deployment volcano-controllers")},
    ),
    _of(
        "volcano",
        "its webhook for jobs is not asked",
        lambda cluster: deleted(cluster, "validatingwebhookconfiguration", "volcano-admission-service-jobs-validate"),
        {"wrong_refused": Kill("failed", "its pods serve one, but it is not asked")},
    ),
)

MUTANTS = (
    *OTHERS,
    Mutant(
        CHECK,
        "the operator is stopped",
        lambda cluster: scaled_to_zero(cluster, NAMESPACE, "kuberay-operator"),
        {"installed": Kill("failed", "0 of 0 pods of deployment kuberay-operator")},
    ),
    Mutant(
        CHECK,
        "one of the operator's kinds is not served",
        without_jobs,
        {"installed": Kill("failed", "not RayJob")},
    ),
    Mutant(
        CHECK,
        "the operator looks after another namespace only",
        looking_elsewhere,
        {
            "reconciled": Kill("failed", "0 pods"),
            "finalized": Kill("failed", "finalizers: none"),
        },
    ),
    Mutant(
        CHECK,
        "the operator's webhook cannot be reached",
        unreachable,
        {"reconciled": Kill("failed", "own webhook vraycluster.kb.io cannot be called")},
    ),
    Mutant(
        CHECK,
        "the webhook's configuration is gone",
        lambda cluster: deleted(cluster, "validatingwebhookconfiguration", CONFIGURATION),
        {"wrong_refused": Kill("failed", "its pods serve one, but it is not asked")},
    ),
    Mutant(
        CHECK,
        "the webhook is configured, but never asked",
        asked_never,
        {"wrong_refused": Kill("failed", "was accepted")},
    ),
    Mutant(
        CHECK,
        "somebody else's webhook denies what is wrong, before the operator's is asked",
        lambda cluster: webhook(cluster, _OVERRULING, "ray.io", ["rayclusters"], "CREATE"),
        {"wrong_refused": Kill("undecided", "rogue.example.com is not KubeRay's")},
    ),
    Mutant(
        CHECK,
        "workers start, but never join their cluster",
        lambda cluster: webhook(cluster, _IDLE_WORKER, "", ["pods"], "CREATE"),
        {"computes": Kill("failed", "Ray counts the nodes")},
    ),
    Mutant(
        CHECK,
        "the operator is stopped once a task was computed",
        stops_after_the_task,
        {"head_replaced": Kill("failed", "of 2 pods ready")},
    ),
    Mutant(
        CHECK,
        "a worker that has lost its head does not join the next one",
        never_joining,
        {"head_replaced": Kill("failed", ("Ray counts the nodes", "1 of 2 pods ready"))},
    ),
    Mutant(
        CHECK,
        "somebody holds on to what the operator has let go",
        kept_jobs,
        {"finalized": Kill("failed", "still there")},
    ),
    Mutant(
        CHECK,
        "a cluster's pods outlive it",
        kept_pods,
        {"removed": Kill("failed", "still there")},
    ),
)
