"""An exporter of what accelerators are doing, on every node that has simulated ones.

Stands where DCGM Exporter stands on real nodes: same port, same fields, read through NVML. It holds no accelerator. As
DCGM Exporter does, it asks the runtime for all devices of its node, which the container toolkit grants to containers
with CAP_SYS_ADMIN in their bounding set; the process itself runs as nobody, without a capability.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from aiconform.catalog.accelerators import SIMULATED_LABEL
from aiconform.local.addons import nvidia, prometheus
from aiconform.local.addons.addon import Addon, Manifest, Materials
from aiconform.local.addons.exporter import image
from aiconform.local.api import Api, ApiError

NAME = "accelerator-exporter"
NAMESPACE = NAME
PORT = 9400

_LABELS = {"app.kubernetes.io/name": NAME, SIMULATED_LABEL: "true"}
_SELECTOR = {"app.kubernetes.io/name": NAME}
_METRICS = {"path": "/metrics", "port": "metrics"}


def objects(_materials: Materials) -> Sequence[Manifest]:
    """Namespace, DaemonSet, Service and ServiceMonitor."""
    namespace_labels = {**_LABELS, "pod-security.kubernetes.io/enforce": "privileged"}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": namespace_labels}},
        _daemon_set(),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": _meta(),
            "spec": {
                "selector": _SELECTOR,
                "clusterIP": "None",
                "ports": [{"name": "metrics", "port": PORT, "targetPort": "metrics"}],
            },
        },
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "ServiceMonitor",
            "metadata": _meta(),
            "spec": {
                "selector": {"matchLabels": _SELECTOR},
                "endpoints": [{"port": "metrics", "path": "/metrics", "interval": "1s", "honorLabels": True}],
            },
        },
    ]


def missing(api: Api) -> list[str]:
    """Prometheus must know every node's devices that the device plugin offers; nodes that come and go aside."""
    path = f"/api/v1/namespaces/{prometheus.NAMESPACE}/services/{prometheus.SERVICE}:web/proxy/api/v1/query"
    try:
        nodes = [node for node in api.get("/api/v1/nodes")["items"] if _offers(node)]
        answer = api.get(f"{path}?query={quote('count by (Hostname) (DCGM_FI_DEV_FB_USED)')}")
    except ApiError as error:
        return [f"metrics of accelerators ({error})"]
    seen = {found["metric"].get("Hostname") for found in answer.get("data", {}).get("result", ())}
    names = sorted(node["metadata"]["name"] for node in nodes)
    return [f"metrics of the accelerators on {name}" for name in names if name not in seen]


def _offers(node: Manifest) -> bool:
    allocatable = node.get("status", {}).get("allocatable", {}).get(nvidia.RESOURCE, "0")
    if any(taint["key"] == nvidia.AUTOSCALED for taint in node.get("spec", {}).get("taints", ())):
        return False
    return SIMULATED_LABEL in node["metadata"].get("labels", {}) and allocatable != "0"


def _meta() -> Manifest:
    return {"name": NAME, "namespace": NAMESPACE, "labels": _LABELS}


def _daemon_set() -> Manifest:
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": _meta(),
        "spec": {
            "selector": {"matchLabels": _SELECTOR},
            "template": {
                "metadata": {"labels": _LABELS},
                "spec": {
                    "nodeSelector": {SIMULATED_LABEL: "true"},
                    "tolerations": [
                        {"key": nvidia.RESOURCE, "operator": "Exists"},
                        {"key": nvidia.AUTOSCALED, "operator": "Exists"},
                    ],
                    "runtimeClassName": "nvidia",
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "terminationGracePeriodSeconds": 1,
                    "securityContext": {
                        "runAsNonRoot": True,
                        "runAsUser": 65534,
                        "runAsGroup": 65534,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [_container()],
                },
            },
        },
    }


def _container() -> Manifest:
    quick = {"httpGet": _METRICS, "periodSeconds": 1}
    return {
        "name": "exporter",
        "image": image.REFERENCE,
        "imagePullPolicy": "IfNotPresent",
        "env": [
            {"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"},
            {"name": "NVIDIA_DRIVER_CAPABILITIES", "value": "utility"},
            {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        ],
        "ports": [{"name": "metrics", "containerPort": PORT}],
        "startupProbe": {**quick, "failureThreshold": 120},
        "readinessProbe": {**quick, "periodSeconds": 5, "timeoutSeconds": 3},
        "resources": {"requests": {"cpu": "10m", "memory": "40Mi"}, "limits": {"memory": "128Mi"}},
        "securityContext": {
            "capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]},
            "readOnlyRootFilesystem": True,
        },
    }


ACCELERATOR_EXPORTER = Addon(
    NAME,
    f"aiconform's own {image.VERSION}, for simulated accelerators",
    "tells what accelerators are doing, under DCGM's field names",
    images=(NAME,),
    objects=objects,
    missing=missing,
    requires=(prometheus.PROMETHEUS.name,),
    namespaces=(NAMESPACE,),
)
