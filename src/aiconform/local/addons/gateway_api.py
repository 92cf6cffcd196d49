"""The definitions of the Gateway API, the same for every implementation, from its own module."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from aiconform.local.addons.addon import Manifest, Materials
from aiconform.local.addons.manifests import parse
from aiconform.local.api import Api

_DEFINITIONS = ("sigs.k8s.io/gateway-api", "config/crd/standard")


def definitions(materials: Materials) -> Iterable[Manifest]:
    """Those of the standard channel."""
    module, path = _DEFINITIONS
    return documents(materials.module_dir(module) / path)


def documents(directory: Path) -> Iterable[Manifest]:
    """The objects in a directory of manifests."""
    for file in sorted(directory.glob("*.yaml")):
        if file.name != "kustomization.yaml":
            yield from parse(file.read_text())


def class_missing(api: Api, name: str) -> list[str]:
    """That a GatewayClass is not accepted, with its controller's words; empty when it is."""
    accepted = api.get(f"/apis/gateway.networking.k8s.io/v1/gatewayclasses/{name}").get("status", {})
    said = [item for item in accepted.get("conditions", []) if item["type"] == "Accepted"]
    if said and said[0]["status"] == "True":
        return []
    words = f": {said[0]['reason']}: {said[0]['message']}" if said else ""
    return [f"GatewayClass {name} accepted{words}"]
