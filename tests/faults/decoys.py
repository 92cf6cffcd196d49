"""Objects of other people, of every kind that an API server takes without anything behind it; some look like a run's.

A run must leave each exactly as it is. All are at rest: no controller has anything to do for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from aiconform.local.api import ApiError

Obj = dict[str, Any]
NAMESPACE = "bystanders"
_NEVER = {"matchLabels": {"matches": "nothing"}}
_POD = {
    "metadata": {"labels": _NEVER["matchLabels"]},
    "spec": {"containers": [{"name": "main", "image": "none.invalid/none:1"}], "restartPolicy": "Always"},
}
_NOWHERE = {**_POD, "spec": {**_POD["spec"], "nodeSelector": _NEVER["matchLabels"]}}
_JOB_POD = {**_POD, "spec": {**_POD["spec"], "restartPolicy": "Never"}}
_NOTHING = {"apiGroups": ["none.invalid"], "resources": ["nothing"]}
_RULES = [{**_NOTHING, "verbs": ["get"]}]
_ROLE = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "nobody"}
_HOOK = {
    "name": "none.example.invalid",
    "rules": [{**_NOTHING, "apiVersions": ["v1"], "operations": ["CREATE"]}],
    "clientConfig": {"url": "https://127.0.0.1:1/"},
    "admissionReviewVersions": ["v1"],
    "sideEffects": "None",
}  # fmt: skip
_REQUEST = {"devices": {"requests": [{"name": "one", "exactly": {"deviceClassName": "nothing.invalid"}}]}}
_CRD_VERSION = {
    "name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}},
}  # fmt: skip

NAMESPACED: dict[str, tuple[str, Obj]] = {
    "ConfigMap": ("api/v1/{}/configmaps", {"data": {"a": "b"}}),
    "Secret": ("api/v1/{}/secrets", {"stringData": {"a": "b"}}),
    "ServiceAccount": ("api/v1/{}/serviceaccounts", {}),
    "Service": ("api/v1/{}/services", {"spec": {"clusterIP": "None", "ports": [{"port": 80}]}}),
    "Pod": ("api/v1/{}/pods", {"spec": {**_POD["spec"], "schedulerName": "nobody"}}),
    "PodTemplate": ("api/v1/{}/podtemplates", {"template": _POD}),
    "LimitRange": ("api/v1/{}/limitranges", {"spec": {"limits": []}}),
    "ResourceQuota": ("api/v1/{}/resourcequotas", {"spec": {"hard": {}}}),
    "PersistentVolumeClaim": (
        "api/v1/{}/persistentvolumeclaims",
        {
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": "",
                "resources": {"requests": {"storage": "1Mi"}},
                "selector": _NEVER,
            }
        },
    ),
    "ReplicationController": ("api/v1/{}/replicationcontrollers", {"spec": {"replicas": 0, "template": _POD}}),
    "Deployment": ("apis/apps/v1/{}/deployments", {"spec": {"replicas": 0, "selector": _NEVER, "template": _POD}}),
    "ReplicaSet": ("apis/apps/v1/{}/replicasets", {"spec": {"replicas": 0, "selector": _NEVER, "template": _POD}}),
    "StatefulSet": (
        "apis/apps/v1/{}/statefulsets",
        {"spec": {"replicas": 0, "selector": _NEVER, "template": _POD, "serviceName": "none"}},
    ),
    "DaemonSet": ("apis/apps/v1/{}/daemonsets", {"spec": {"selector": _NEVER, "template": _NOWHERE}}),
    "ControllerRevision": ("apis/apps/v1/{}/controllerrevisions", {"revision": 1, "data": {}}),
    "Job": ("apis/batch/v1/{}/jobs", {"spec": {"suspend": True, "template": _JOB_POD}}),
    "CronJob": (
        "apis/batch/v1/{}/cronjobs",
        {"spec": {"suspend": True, "schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": _JOB_POD}}}},
    ),
    "Role": ("apis/rbac.authorization.k8s.io/v1/{}/roles", {"rules": _RULES}),
    "RoleBinding": ("apis/rbac.authorization.k8s.io/v1/{}/rolebindings", {"roleRef": _ROLE, "subjects": []}),
    "NetworkPolicy": ("apis/networking.k8s.io/v1/{}/networkpolicies", {"spec": {"podSelector": _NEVER}}),
    "Ingress": (
        "apis/networking.k8s.io/v1/{}/ingresses",
        {"spec": {"defaultBackend": {"service": {"name": "none", "port": {"number": 80}}}}},
    ),
    "PodDisruptionBudget": ("apis/policy/v1/{}/poddisruptionbudgets", {"spec": {"selector": _NEVER}}),
    "ResourceClaim": ("apis/resource.k8s.io/v1/{}/resourceclaims", {"spec": _REQUEST}),
    "ResourceClaimTemplate": ("apis/resource.k8s.io/v1/{}/resourceclaimtemplates", {"spec": {"spec": _REQUEST}}),
}
"""By kind: the collection, and what the manifest has beside its metadata."""

CLUSTER: dict[str, tuple[str, Obj]] = {
    "Namespace": ("api/v1/namespaces", {}),
    "PersistentVolume": (
        "api/v1/persistentvolumes",
        {
            "spec": {
                "capacity": {"storage": "1Mi"},
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": "nobody",
                "csi": {"driver": "none.invalid", "volumeHandle": "none"},
            }
        },
    ),
    "Node": ("api/v1/nodes", {"spec": {"unschedulable": True}}),
    "ClusterRole": ("apis/rbac.authorization.k8s.io/v1/clusterroles", {"rules": _RULES}),
    "ClusterRoleBinding": (
        "apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
        {"roleRef": _ROLE, "subjects": []},
    ),
    "PriorityClass": ("apis/scheduling.k8s.io/v1/priorityclasses", {"value": -1000}),
    "RuntimeClass": ("apis/node.k8s.io/v1/runtimeclasses", {"handler": "none"}),
    "StorageClass": ("apis/storage.k8s.io/v1/storageclasses", {"provisioner": "none.invalid/none"}),
    "CSIDriver": ("apis/storage.k8s.io/v1/csidrivers", {"spec": {"attachRequired": False}}),
    "VolumeAttachment": (
        "apis/storage.k8s.io/v1/volumeattachments",
        {"spec": {"attacher": "none.invalid", "nodeName": "none", "source": {"persistentVolumeName": "none"}}},
    ),
    "IngressClass": ("apis/networking.k8s.io/v1/ingressclasses", {"spec": {"controller": "none.invalid/none"}}),
    "DeviceClass": ("apis/resource.k8s.io/v1/deviceclasses", {"spec": {}}),
    "ValidatingWebhookConfiguration": (
        "apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
        {"webhooks": [_HOOK]},
    ),
    "MutatingWebhookConfiguration": (
        "apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
        {"webhooks": [_HOOK]},
    ),
    "ValidatingAdmissionPolicyBinding": (
        "apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings",
        {"spec": {"policyName": "nothing.example.invalid", "validationActions": ["Audit"]}},
    ),
    "CustomResourceDefinition": (
        "apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        {"spec": {"group": "example.invalid", "scope": "Namespaced", "versions": [_CRD_VERSION]}},
    ),
}
"""By kind: the collection, and what the manifest has beside its metadata."""


class Writes(Protocol):
    """What writes to the cluster."""

    def create(self, path: str, thing: Obj) -> Obj: ...


def manifests(copies: int, others: Iterable[str], mine: Iterable[str]) -> Iterator[tuple[str, Obj]]:
    """Paths and manifests of the bystanders.

    Args:
        copies: how many of each kind.
        others: ids of runs of other people: a namespace each, and objects in it, as their runs would have them.
        mine: ids of runs to come: objects that bear their label, but are not theirs.
    """
    yield "api/v1/namespaces", _object("Namespace", "api/v1/namespaces", {}, {"name": NAMESPACE})
    for number in range(copies):
        for kind, (path, rest) in CLUSTER.items():
            yield path, _cluster_object(kind, path, rest, f"bystander-{number}")
        for kind, (path, rest) in NAMESPACED.items():
            yield _placed(path, NAMESPACE), _object(kind, path, rest, {"name": f"bystander-{number}"})
    for run in others:
        yield from _like_a_run(run)
    for run in mine:
        path, rest = NAMESPACED["ConfigMap"]
        meta = {"name": f"labelled-{run}", "labels": _labels(run)}
        yield _placed(path, NAMESPACE), _object("ConfigMap", path, rest, meta)
        path, rest = CLUSTER["DeviceClass"]
        yield path, _object("DeviceClass", path, rest, {"name": f"labelled-{run}", "labels": _labels(run)})


def _like_a_run(run: str) -> Iterator[tuple[str, Obj]]:
    namespace = f"aiconform-{run}"
    path, rest = CLUSTER["Namespace"]
    yield path, _object("Namespace", path, rest, {"name": namespace, "labels": _labels(run)})
    for kind in ("ConfigMap", "Pod", "ResourceClaim", "ResourceClaimTemplate", "Job", "Deployment"):
        path, rest = NAMESPACED[kind]
        meta = {"name": f"probe-{run[:10]}", "labels": _labels(run)}
        yield _placed(path, namespace), _object(kind, path, rest, meta)
    path, rest = CLUSTER["DeviceClass"]
    yield path, _object("DeviceClass", path, rest, {"name": f"probe-{run[:10]}", "labels": _labels(run)})


def _labels(run: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/managed-by": "aiconform",
        "aiconform.dev/run": run,
        "aiconform.dev/check": "dra_support",
    }


def _cluster_object(kind: str, path: str, rest: Obj, name: str) -> Obj:
    if kind == "CustomResourceDefinition":
        plural = f"thing{name.rpartition('-')[2]}s"
        names = {"plural": plural, "singular": plural[:-1], "kind": plural.capitalize()}
        rest = {"spec": {**rest["spec"], "names": names}}
        name = f"{plural}.example.invalid"
    return _object(kind, path, rest, {"name": name})


def _object(kind: str, path: str, rest: Obj, meta: Obj) -> Obj:
    parts = path.removeprefix("apis/").removeprefix("api/").split("/{}")[0].split("/")
    version = "/".join(parts if "{}" in path else parts[:-1])
    return {"apiVersion": version, "kind": kind, "metadata": meta, **rest}


def _placed(path: str, namespace: str) -> str:
    return path.format(f"namespaces/{namespace}")


def plant(api: Writes, things: Iterable[tuple[str, Obj]]) -> int:
    """Create all; how many there are.

    Raises:
        ApiError: one was refused.
    """
    count = 0
    for path, thing in things:
        try:
            api.create(f"/{path}", thing)
        except ApiError as problem:
            if problem.status != 409:
                raise
        count += 1
    return count
