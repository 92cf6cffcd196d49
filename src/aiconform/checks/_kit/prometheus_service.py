"""A Prometheus, or what answers like one, as a Service in the cluster leads to it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aiconform.checks._kit import prometheus_operator
from aiconform.checks._kit.operator import is_ready
from aiconform.checks._kit.prometheus import Monitoring, Way
from aiconform.engine import Context, RefusedError, kinds

Obj = dict[str, Any]

_SELECTORS = (
    "app.kubernetes.io/name in (prometheus,thanos-query,vmselect,vmsingle,victoria-metrics-single)",
    "app in (prometheus,kube-prometheus-stack-prometheus,vmselect,vmsingle)",
)
"""Labels of their charts and operators: Prometheus, Thanos and VictoriaMetrics, which answer the same queries."""
_PREFIXES = {"vmselect": "select/0/prometheus"}
_PORTS = (9090, 9091, 10902, 8428, 8429, 8481, 80)
_PORT_NAMES = frozenset({"web", "http-web", "http", "http-query"})


def way(ctx: Context) -> Way:
    """How a workload is made known where no Prometheus object says it: as asked for, or else what is served."""
    asked = ctx.option("scrape-by")
    ways: dict[str, Way] = {
        "servicemonitor": "ServiceMonitor",
        "podmonitor": "PodMonitor",
        "annotations": "annotations",
    }
    if asked:
        return ways[asked]
    return "ServiceMonitor" if prometheus_operator.API in ctx.facts.groups else "annotations"


async def told(ctx: Context, text: str) -> Monitoring:
    """The one that was told: ``NAMESPACE/NAME[:PORT][/PREFIX]``; without a port the one that the Service says."""
    namespace, _, rest = text.partition("/")
    name, _, prefix = rest.partition("/")
    name, _, port = name.partition(":")
    port = port or await _said(ctx, namespace, name)
    proxy = kinds.SERVICE.path(namespace, f"{name}:{port}" if port else name, "proxy")
    return Monitoring(f"{namespace}/{name}", f"service {name}, as told", _api(proxy, prefix), {}, "", way(ctx))


async def _said(ctx: Context, namespace: str, name: str) -> str:
    """The number of a Service's port; empty where it has none that is known, or may not be read.

    The API server's proxy finds a port that is not told only where it has no name.
    """
    try:
        services = await ctx.list(kinds.SERVICE, namespace, fields=f"metadata.name={name}")
    except RefusedError:
        return ""
    ports = [one for item in services for one in item["spec"].get("ports") or ()]
    port = ports[0] if len(ports) == 1 else _port(ports)
    return str(port["port"]) if port else ""


async def found(ctx: Context) -> list[Monitoring]:
    """Those whose Services carry labels that are known, by name."""
    services: dict[str, Obj] = {}
    for selector in _SELECTORS:
        for item in await ctx.list(kinds.SERVICE, selector=selector):
            services[f"{item['metadata']['namespace']}/{item['metadata']['name']}"] = item
    return [
        Monitoring(name, door, api, {}, "", way(ctx))
        for name, item in sorted(services.items())
        for door, api in await _doors(ctx, item)
    ]


async def _doors(ctx: Context, service: Obj) -> list[tuple[str, str]]:
    """The Service, or where it leads to several pods, the first of them: each collects, or forgets, for itself."""
    meta, port = service["metadata"], _port(service["spec"].get("ports") or ())
    if port is None:
        return []
    prefix = _PREFIXES.get(_product(service), "")
    selector = ",".join(f"{key}={value}" for key, value in sorted((service["spec"].get("selector") or {}).items()))
    pods = [pod for pod in await ctx.list(kinds.POD, meta["namespace"], selector=selector) if is_ready(pod)]
    if selector and len(pods) > 1:
        first = min(pods, key=lambda pod: str(pod["metadata"]["name"]))
        if number := _number(port, first):
            name = first["metadata"]["name"]
            proxy = kinds.POD.path(meta["namespace"], f"{name}:{number}", "proxy")
            return [(f"pod {name}, one of {len(pods)} behind service {meta['name']}", _api(proxy, prefix))]
    proxy = kinds.SERVICE.path(meta["namespace"], f"{meta['name']}:{port['port']}", "proxy")
    return [(f"service {meta['name']}", _api(proxy, prefix))]


def _port(ports: Iterable[Obj]) -> Obj | None:
    """The port of the HTTP API: by name, or by the number that the product uses."""
    listed = list(ports)
    named = [port for port in listed if port.get("name") in _PORT_NAMES]
    numbered = [port for wanted in _PORTS for port in listed if wanted in (port.get("port"), port.get("targetPort"))]
    return next(iter([*named, *numbered]), None)


def _number(port: Obj, pod: Obj) -> int | None:
    """The number of the container's port that a Service's port leads to."""
    target = port.get("targetPort") or port["port"]
    if isinstance(target, int):
        return target
    ports = [one for container in pod["spec"]["containers"] for one in container.get("ports") or ()]
    return next((int(one["containerPort"]) for one in ports if one.get("name") == target), None)


def _product(service: Obj) -> str:
    labels = service["metadata"].get("labels") or {}
    return str(labels.get("app.kubernetes.io/name") or labels.get("app") or "")


def _api(proxy: str, prefix: str) -> str:
    return "/".join(part for part in (proxy, prefix.strip("/"), "api/v1") if part)
