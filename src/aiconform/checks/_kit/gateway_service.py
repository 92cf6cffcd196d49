"""The Service before a Gateway's proxies, by the marks that implementations put on what they make for a Gateway."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from aiconform.engine import Context, Handle, RefusedError, kinds

Obj = dict[str, Any]

_NAME = "gateway.networking.k8s.io/gateway-name"
"""The Gateway API's own label (GEP-1762), in the Gateway's namespace: Istio, Cilium, kgateway, NGINX and others."""
_ENVOY = ("gateway.envoyproxy.io/owning-gateway-namespace", "gateway.envoyproxy.io/owning-gateway-name")
"""Envoy Gateway's, which keeps its proxies in a namespace of its own."""


@dataclass(frozen=True)
class Found:
    """A Service: ``namespace/name``, and its address in the cluster."""

    name: str
    address: str


async def find(ctx: Context, gateway: Handle) -> Found | None:
    """The Service of a Gateway of ours; None if none with a known mark is found, or may be looked for."""
    try:
        mine = await ctx.list(kinds.SERVICE, gateway.namespace)
        marked = [item for item in mine if _labels(item).get(_NAME) == gateway.name or _owned(item, gateway)]
        elsewhere = dict(zip(_ENVOY, (gateway.namespace, gateway.name), strict=True))
        return _first(marked) or _first(await ctx.list(kinds.SERVICE, labels=elsewhere))
    except RefusedError:
        return None


def _first(services: Iterable[Obj]) -> Found | None:
    for item in services:
        meta, address = item["metadata"], str(item["spec"].get("clusterIP") or "")
        if address not in ("", "None"):
            return Found(f"{meta['namespace']}/{meta['name']}", address)
    return None


def _labels(item: Obj) -> dict[str, str]:
    return item["metadata"].get("labels") or {}


def _owned(item: Obj, gateway: Handle) -> bool:
    return any(owner.get("uid") == gateway.uid for owner in item["metadata"].get("ownerReferences") or ())
