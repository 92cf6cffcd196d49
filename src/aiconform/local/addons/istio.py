"""Istio as an implementation of the Gateway API with its inference extension: control plane and gateways, no mesh.

Its gateways run an Envoy from PyPI, which lacks the filters that Istio compiles into its own; so what would ask for
these (telemetry, exchange of metadata, choice of protocol by ALPN) is switched off. Gateways get an address of the
cluster.
"""

from __future__ import annotations

from collections.abc import Sequence

from aiconform.local.addons import gateway_api
from aiconform.local.addons.addon import Addon, Manifest, Materials
from aiconform.local.addons.charts import Chart
from aiconform.local.addons.manifests import parse
from aiconform.local.api import Api, ApiError
from aiconform.local.components import COMPONENTS
from aiconform.local.images.istio import MODULE, RELEASE
from aiconform.local.images.table import IMAGES

NAME = "istio"
NAMESPACE = "istio-system"
CONTROLLER = "istio.io/gateway-controller"
CLASS = "istio"
EXTENSION = "gateway-api-inference-extension"

_SMALL = {"requests": {"cpu": "20m", "memory": "128Mi"}}
_LIMITED = {**_SMALL, "limits": {"cpu": "2", "memory": "512Mi"}}

CHART = Chart(
    release="istiod",
    namespace=NAMESPACE,
    module=MODULE,
    path="manifests/charts/istio-control/istio-discovery",
    values={
        "image": IMAGES["istio-pilot"].reference,
        "autoscaleEnabled": False,
        "resources": _SMALL,
        "telemetry": {"enabled": False},
        "env": {
            "ENABLE_GATEWAY_API_INFERENCE_EXTENSION": "true",
            "PILOT_ENABLE_METADATA_EXCHANGE": "false",
            "PILOT_DISABLE_MX_ALPN": "true",
            "PILOT_ENABLE_ALPN_FILTER": "false",
        },
        "global": {"proxy": {"image": IMAGES["istio-proxy"].reference, "resources": _LIMITED}},
        "gatewayClasses": {CLASS: {"service": {"spec": {"type": "ClusterIP"}}}},
    },
)


def objects(materials: Materials) -> Sequence[Manifest]:
    """Definitions of the Gateway API, of its inference extension and of Istio, and Istio's control plane."""
    extension = materials.module_dir(COMPONENTS[EXTENSION].module)
    own = materials.module_dir(MODULE) / "manifests" / "charts" / "base" / "files" / "crd-all.gen.yaml"
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        *gateway_api.definitions(materials),
        *gateway_api.documents(extension / "config" / "crd" / "bases"),
        *parse(own.read_text()),
        *materials.render(CHART),
    ]


def missing(api: Api) -> list[str]:
    """A control plane that serves, and its class accepted."""
    try:
        deployment = api.get(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/istiod")
        ready = bool(deployment.get("status", {}).get("readyReplicas"))
        return [*([] if ready else ["its control plane"]), *gateway_api.class_missing(api, CLASS)]
    except ApiError as error:
        return [str(error)]


ISTIO = Addon(
    name=NAME,
    version=RELEASE,
    summary=f"Gateway API {COMPONENTS['gateway-api'].version}, its inference extension "
    f"{COMPONENTS[EXTENSION].version}, and Istio",
    images=("istio-pilot", "istio-proxy"),
    objects=objects,
    missing=missing,
    namespaces=(NAMESPACE,),
    optional=True,
)
