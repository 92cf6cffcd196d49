"""metrics-server, from its own chart: CPU and memory of nodes and pods.

It verifies the kubelets' certificates, which the cluster's authority signs with the nodes' addresses, and the API
server verifies its own.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from aiconform.local.addons import serving
from aiconform.local.addons.addon import Addon, Manifest, Materials
from aiconform.local.addons.charts import Chart
from aiconform.local.api import Api, ApiError
from aiconform.local.profiles import CONTROL

NAMESPACE = "kube-system"
_NAME = "metrics-server"
_CERTIFICATE = f"{_NAME}-tls"
_METRICS = "/apis/metrics.k8s.io/v1beta1"

CHART = Chart(
    release=_NAME,
    namespace=NAMESPACE,
    module="sigs.k8s.io/metrics-server",
    path="charts/metrics-server",
    values={
        "image": {"tag": "v0.9.0"},  # the chart of a release still names the one before
        "defaultArgs": [
            "--cert-dir=/tmp",
            "--kubelet-preferred-address-types=InternalIP",
            "--kubelet-use-node-status-port",
            "--kubelet-certificate-authority=/var/run/secrets/kubernetes.io/serviceaccount/ca.crt",
            "--metric-resolution=10s",  # the least that it takes, and then no request may last as long
            "--kubelet-request-timeout=5s",
        ],
        "tls": {"type": "existingSecret", "existingSecret": {"name": _CERTIFICATE, "lookup": False}},
        "apiService": {"insecureSkipTLSVerify": False},
        # liveness keeps its period: at one second it would end a server that is just starting
        "readinessProbe": {"initialDelaySeconds": 0, "periodSeconds": 1, "failureThreshold": 60},
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
        "nodeSelector": {"kubernetes.io/hostname": CONTROL},
    },
)


def objects(materials: Materials) -> Sequence[Manifest]:
    """The chart's objects, with a certificate for its APIService."""
    own = serving.certificate(_NAME, NAMESPACE, secret=_CERTIFICATE)
    return [own.secret, *(_trusting(thing, own.ca_bundle) for thing in materials.render(CHART))]


def _trusting(thing: Manifest, ca_bundle: str) -> Manifest:
    if thing["kind"] != "APIService":
        return thing
    changed = copy.deepcopy(dict(thing))
    changed["spec"]["caBundle"] = ca_bundle
    return changed


def missing(api: Api) -> list[str]:
    """Metrics of every node, and of a pod of its own namespace."""
    try:
        nodes = len(api.get("/api/v1/nodes")["items"])
        measured = len(api.get(f"{_METRICS}/nodes")["items"])
        pods = api.get(f"{_METRICS}/namespaces/{NAMESPACE}/pods")["items"]
    except ApiError as error:
        return [f"resource metrics ({error})"]
    still = [] if measured >= nodes else [f"metrics of nodes ({measured} of {nodes})"]
    return still if pods else [*still, f"metrics of the pods in {NAMESPACE}"]


METRICS_SERVER = Addon(
    _NAME,
    "metrics-server 0.9.0",
    "CPU and memory of nodes and pods",
    images=(_NAME,),
    objects=objects,
    missing=missing,
    namespaces=(NAMESPACE,),
)
