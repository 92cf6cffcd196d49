"""Prometheus as its operator's objects describe it: which one takes our monitors, and what a monitor must look like."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aiconform.checks._kit import selectors
from aiconform.checks._kit.operator import is_ready
from aiconform.checks._kit.prometheus import Monitoring, Way
from aiconform.engine import Choice, Context, Facts, kinds

Obj = dict[str, Any]

API = "monitoring.coreos.com/v1"
_NAME_LABEL = "operator.prometheus.io/name"
_WEB = 9090
"""The port that the operator has every Prometheus listen on."""
GOVERNING = "prometheus-operated"
"""The Service that the operator makes for all Prometheuses of a namespace."""


_SERVICE_MONITORS = "create delete list watch servicemonitors.monitoring.coreos.com"
_POD_MONITORS = "create delete list watch podmonitors.monitoring.coreos.com"


def _monitors(facts: Facts) -> tuple[str, ...]:
    asked = facts.option("scrape-by")
    if asked:
        return {"servicemonitor": (_SERVICE_MONITORS,), "podmonitor": (_POD_MONITORS,)}.get(asked, ())
    if facts.option("prometheus") or facts.option("prometheus-url"):
        return (_SERVICE_MONITORS,)
    return _SERVICE_MONITORS, f"?{_POD_MONITORS}"  # a Prometheus may take PodMonitors alone


MONITORS = Choice((_SERVICE_MONITORS, _POD_MONITORS), _monitors)
"""What a check must be allowed to make a workload of ours known by a monitor."""


async def candidates(ctx: Context) -> tuple[list[Monitoring], list[str]]:
    """Every Prometheus by each of its doors that takes our monitors, by name; and why others do not, in words."""
    namespace = await ctx.read_named(kinds.NAMESPACE, ctx.namespace)
    found: list[Monitoring] = []
    passed_over: list[str] = []
    for item in sorted(await ctx.list(kinds.PROMETHEUS), key=_full_name):
        taken, why = _takes(item, namespace, ctx.option("scrape-by"))
        if taken is None:
            passed_over.append(f"{_full_name(item)} {why}")
            continue
        way, labels = taken
        version = str(item["spec"].get("version", ""))
        found += [
            Monitoring(_full_name(item), door, api, labels, version, way) for door, api in await _doors(ctx, item)
        ]
    return found, passed_over


async def every(ctx: Context) -> list[Monitoring]:
    """Every Prometheus by each of its doors, whether it would take our monitors or not."""
    return [
        Monitoring(_full_name(found), door, api, {}, str(found["spec"].get("version", "")))
        for found in sorted(await ctx.list(kinds.PROMETHEUS), key=_full_name)
        for door, api in await _doors(ctx, found)
    ]


def monitor(monitoring: Monitoring, name: str, port: str, selector: Mapping[str, str]) -> Obj:
    """A ServiceMonitor or PodMonitor for its own namespace, labelled so that the Prometheus takes it.

    A Service and its pods carry the same labels, and call the port by the same name. The job is called like the
    Service, for which a PodMonitor has to be told the label of pods that has the same value.
    """
    endpoint = {"port": port, "path": "/metrics", "interval": "1s", "scrapeTimeout": "1s"}
    spec: Obj = {"selector": {"matchLabels": dict(selector)}}
    if monitoring.way == "ServiceMonitor":
        spec["endpoints"] = [endpoint]
    else:
        spec |= {"podMetricsEndpoints": [endpoint], "jobLabel": next(iter(selector))}
    return {
        "apiVersion": API,
        "kind": monitoring.way,
        "metadata": {"name": name, "labels": dict(monitoring.labels)},
        "spec": spec,
    }


def _full_name(found: Obj) -> str:
    return f"{found['metadata']['namespace']}/{found['metadata']['name']}"


def _takes(found: Obj, namespace: Obj, asked: str) -> tuple[tuple[Way, dict[str, str]] | None, str]:
    """By which monitors of this namespace it takes a workload, and their labels; None and why, where by none.

    Args:
        found: the Prometheus object.
        namespace: where the monitor would be.
        asked: which kind of monitor was asked for; ServiceMonitors are tried first if none was.
    """
    if int(found["spec"].get("shards") or 1) > 1:
        return None, "is sharded, and a query sees one shard"
    ways = [way for way in _SELECTORS if asked in ("", way.lower())]
    reasons = []
    for way in ways:
        labels, why = _labels(found, namespace, way)
        if labels is not None:
            return (way, labels), ""
        reasons.append(why)
    return None, " and ".join(reasons) or "is not looked at: annotations are asked for"


_SELECTORS: Mapping[Way, str] = {"ServiceMonitor": "serviceMonitor", "PodMonitor": "podMonitor"}


def _labels(found: Obj, namespace: Obj, way: Way) -> tuple[dict[str, str] | None, str]:
    spec = found["spec"]
    where = spec.get(f"{_SELECTORS[way]}NamespaceSelector")
    if where is None and found["metadata"]["namespace"] != namespace["metadata"]["name"]:
        return None, f"takes {way}s of its own namespace only"
    if where is not None and not selectors.matches(where, namespace["metadata"].get("labels") or {}):
        return None, f"does not take {way}s of our namespace: {where}"
    which = spec.get(f"{_SELECTORS[way]}Selector")
    labels = None if which is None else selectors.satisfying(which)
    return labels, "" if labels is not None else f"takes no {way} that we could make: {which}"


async def _doors(ctx: Context, found: Obj) -> list[tuple[str, str]]:
    """Services of this Prometheus with the path of its API, its own before the one that the operator makes.

    Of several replicas each collects for itself, and a Service asks now one and now another: then it is a pod.
    """
    meta, spec = found["metadata"], found["spec"]
    if int(spec.get("replicas") or 1) > 1:
        return await _replicas(ctx, found)
    services = await ctx.list(kinds.SERVICE, meta["namespace"])
    own = [item for item in services if _selects(item, meta["name"])]
    shared = [item for item in services if item["metadata"]["name"] == (spec.get("serviceName") or GOVERNING)]
    scheme = _scheme(spec)
    doors: dict[str, str] = {}
    for item in (*own, *shared):
        name = item["metadata"]["name"]
        port = _port(item["spec"].get("ports") or (), str(spec.get("portName") or "web"))
        proxy = kinds.SERVICE.path(meta["namespace"], f"{scheme}{name}:{port}", "proxy")
        doors.setdefault(f"service {name}", _api(spec, proxy))
    return list(doors.items())


async def _replicas(ctx: Context, found: Obj) -> list[tuple[str, str]]:
    """Its pods with the path of their API, by name: those that are ready."""
    meta, spec = found["metadata"], found["spec"]
    pods = await ctx.list(kinds.POD, meta["namespace"], selector=f"{_NAME_LABEL}={meta['name']}")
    return [
        (f"pod {name} of {spec['replicas']} replicas", _api(spec, proxy))
        for name in sorted(pod["metadata"]["name"] for pod in pods if is_ready(pod))
        for proxy in [kinds.POD.path(meta["namespace"], f"{_scheme(spec)}{name}:{_WEB}", "proxy")]
    ]


def _scheme(spec: Obj) -> str:
    return "https:" if (spec.get("web") or {}).get("tlsConfig") else ""


def _api(spec: Obj, proxy: str) -> str:
    prefix = str(spec.get("routePrefix") or "/").strip("/")
    return "/".join(part for part in (proxy, prefix, "api/v1") if part)


def _selects(service: Obj, name: str) -> bool:
    """Whether a Service is for the pods of this Prometheus alone, by the labels that the operator gives them."""
    selector = service["spec"].get("selector") or {}
    return name in (selector.get(_NAME_LABEL), selector.get("prometheus"))


def _port(ports: Iterable[Obj], wanted: str) -> str:
    for port in ports:
        if wanted in (port.get("name"), port.get("targetPort")) or port.get("targetPort") == 9090:
            return str(port["port"])
    return wanted
