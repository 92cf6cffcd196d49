"""Envoy Gateway with the Gateway API's definitions: Gateway API's own manifests, Envoy Gateway's own chart.

Gateways of class :data:`CLASS` get a cluster address: a local cluster has no load balancer.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiconform.local.addons import gateway_api
from aiconform.local.addons.addon import Addon, Manifest, Materials
from aiconform.local.addons.charts import Chart
from aiconform.local.addons.manifests import parse
from aiconform.local.api import Api
from aiconform.local.components import COMPONENTS
from aiconform.local.images.table import IMAGES

NAME = "envoy-gateway"
NAMESPACE = "envoy-gateway-system"
CONTROLLER = "gateway.envoyproxy.io/gatewayclass-controller"
CLASS = "eg"
PROXY = "local"
"""Name of the EnvoyProxy that says how Gateways of the class are deployed."""

_MODULE = "github.com/envoyproxy/gateway"
_CHART = "charts/gateway-helm"


def _objects(materials: Materials) -> list[Manifest]:
    """Everything; the certificates are made by the chart's own Job when it runs."""
    directory = materials.module_dir(_MODULE) / _CHART
    rendered = materials.render(_chart(directory))
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        *gateway_api.definitions(materials),
        *gateway_api.documents(directory / "crds" / "generated"),
        *(_prompt(item) for item in rendered),
        _proxy(),
        _class(),
    ]


def _chart(directory: Path) -> Chart:
    """The chart without the definitions that come with it: those of the Gateway API are older and experimental.

    The module ships the chart's values as the template that a release is made from.
    """
    template = string.Template((directory / "values.tmpl.yaml").read_text())
    filled = template.substitute(GatewayImage=IMAGES[NAME].reference, GatewayImagePullPolicy="IfNotPresent")
    kubernetes = {"leaderElection": {"disable": True}, "proxyTopologyInjector": {"disabled": True}}
    ours = {
        "topologyInjector": {"enabled": False},  # one zone
        "deployment": {"envoyGateway": {"resources": {"requests": {"cpu": "20m", "memory": "128Mi"}}}},
        # the chart writes the injector's switch to a place where Envoy Gateway does not look
        "config": {"envoyGateway": {"provider": {"kubernetes": kubernetes}}},
    }
    values = _merged(parse(filled)[0], ours)
    return Chart("eg", NAMESPACE, _MODULE, _CHART, values, crds=False, hooks=True)


def _merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    both = {
        key: _merged(base[key], value) if isinstance(value, Mapping) and isinstance(base.get(key), Mapping) else value
        for key, value in change.items()
    }
    return {**base, **both}


def _prompt(item: Manifest) -> Manifest:
    """The Deployment told ready after a second where the chart waits for five and more."""
    if item["kind"] != "Deployment":
        return item
    template = item["spec"]["template"]
    containers = [
        {**found, "readinessProbe": {**found["readinessProbe"], "initialDelaySeconds": 1, "periodSeconds": 1}}
        for found in template["spec"]["containers"]
    ]
    pod = {**template, "spec": {**template["spec"], "containers": containers}}
    return {**item, "spec": {**item["spec"], "template": pod}}


def _proxy() -> Manifest:
    quick = {"periodSeconds": 1}
    probed = [{"name": name, "startupProbe": quick, "readinessProbe": quick} for name in ("envoy", "shutdown-manager")]
    deployment = {
        "container": {
            "image": IMAGES["envoy"].reference,
            "resources": {"requests": {"cpu": "20m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}},
        },
        "patch": {"type": "StrategicMerge", "value": {"spec": {"template": {"spec": {"containers": probed}}}}},
    }
    kubernetes = {"envoyDeployment": deployment, "envoyService": {"type": "ClusterIP"}}
    return {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "EnvoyProxy",
        "metadata": {"name": PROXY, "namespace": NAMESPACE},
        "spec": {
            "provider": {"type": "Kubernetes", "kubernetes": kubernetes},
            "shutdown": {"drainTimeout": "1s", "minDrainDuration": "0s"},
            "telemetry": {"accessLog": {"disable": True}},
        },
    }


def _class() -> Manifest:
    parameters = {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "namespace": NAMESPACE, "name": PROXY}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GatewayClass",
        "metadata": {"name": CLASS},
        "spec": {"controllerName": CONTROLLER, "parametersRef": parameters},
    }


def _missing(api: Api) -> list[str]:
    """The class is accepted by a controller that serves: proxies reach it through its Service only once it is ready."""
    deployment = api.get(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{NAME}")
    found = []
    if not deployment.get("status", {}).get("readyReplicas"):
        found.append("its controller")
    found += gateway_api.class_missing(api, CLASS)
    return found


ENVOY_GATEWAY = Addon(
    name=NAME,
    version=COMPONENTS[NAME].version,
    summary=f"Gateway API {COMPONENTS['gateway-api'].version} and Envoy Gateway",
    images=("envoy-gateway", "envoy"),
    objects=_objects,
    missing=_missing,
    namespaces=(NAMESPACE,),
)
