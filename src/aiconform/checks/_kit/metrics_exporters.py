"""Exporters of accelerator metrics: which one serves a node, and what its page says of each device."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from aiconform.catalog.exporters import Exporter
from aiconform.checks._kit import devices
from aiconform.engine import AcceleratorNode, Context, kinds

Obj = dict[str, Any]

OPENMETRICS = "application/openmetrics-text"
ACCEPT = f"{OPENMETRICS};version=1.0.0,text/plain;version=0.0.4;q=0.5"
Parser = Callable[[str], Iterable[Metric]]
_APP_LABELS = ("app.kubernetes.io/name", "app", "k8s-app")


@dataclass(frozen=True)
class Door:
    """Where a node's exporter is asked.

    Attributes:
        node: whose devices it tells of.
        pod: ``namespace/name``.
        path: of its page, through the API server's proxy.
        own: words that name the exporter itself, so can be no device's identity.
        labels: of its pod.
    """

    node: AcceleratorNode
    pod: str
    path: str
    own: frozenset[str]
    labels: Mapping[str, str]

    @property
    def exporter(self) -> Exporter:
        """What its vendor calls things."""
        return known(self.node)

    @property
    def namespace(self) -> str:
        """Of its pod."""
        return self.pod.partition("/")[0]


@dataclass(frozen=True)
class Device:
    """What a page says of one device: labels, and values by the metric's name."""

    identity: str
    labels: Mapping[str, str]
    values: Mapping[str, float]


@dataclass(frozen=True)
class Page:
    """A page of metrics: its format, and devices by identity; ``nameless`` counts series without one."""

    format: str
    devices: Mapping[str, Device]
    nameless: int


def known(node: AcceleratorNode) -> Exporter:
    """The exporter of a node's vendor; :func:`find` has made sure that there is one."""
    if node.kind.exporter is None:
        raise ValueError(f"no exporter is known of {node.kind.words} devices")
    return node.kind.exporter


BY_HAND = "utilisation and memory of each device, as an endpoint tells them, without a load, under one and after it"


async def find(ctx: Context) -> tuple[Door, ...]:
    """The exporter of every node with accelerators.

    Raises:
        StopProbe: a node has none (failed), or none is known on the whole cluster (undecided).
    """
    for node in ctx.facts.chosen:
        devices.must_know(ctx, node.kind, "exporter", by_hand=BY_HAND)
        if not known(node).identity:
            names = ", ".join(metric.name for metric in known(node).needed)
            cause = f"which label of {names} names a device is not documented; show by hand: {BY_HAND}"
            raise ctx.undecided(f"the exporter of {node.kind.words} names each device", "its label is not known", cause)
    apps = sorted({app for node in ctx.facts.chosen for app in known(node).apps})
    pods: dict[str, Obj] = {}
    for label in _APP_LABELS:
        for found in await ctx.list(kinds.POD, selector=f"{label} in ({','.join(apps)})"):
            pods[found["metadata"]["uid"]] = found
    expected = "every node with accelerators has a ready exporter"
    if not pods:
        cause = f"no pod is labelled {' or '.join(_APP_LABELS)} as {', '.join(apps)}: the exporter is not known"
        raise ctx.undecided(expected, "no exporter that is known", cause)
    doors = {node.node: _door(node, pods.values()) for node in ctx.facts.chosen}
    observed = ", ".join(f"{name}: {door.pod if door else 'none'}" for name, door in sorted(doors.items()))
    ctx.expect(expected, observed, ok=all(doors.values()))
    return tuple(door for _, door in sorted(doors.items()) if door)


def _door(node: AcceleratorNode, pods: Iterable[Obj]) -> Door | None:
    mine = [pod for pod in pods if pod["spec"].get("nodeName") == node.node and _ready(pod)]
    for pod in sorted(mine, key=lambda pod: (pod["metadata"]["namespace"], pod["metadata"]["name"])):
        meta = pod["metadata"]
        target = f"{meta['name']}:{_port(pod, known(node))}"
        path = kinds.POD.path(meta["namespace"], target, "proxy/metrics")
        own = {meta["name"], meta["namespace"], meta["uid"], node.node, str(pod["status"].get("podIP"))}
        return Door(node, f"{meta['namespace']}/{meta['name']}", path, frozenset(own), meta.get("labels") or {})
    return None


def _ready(pod: Obj) -> bool:
    conditions = pod.get("status", {}).get("conditions") or []
    return any(found.get("type") == "Ready" and found.get("status") == "True" for found in conditions)


def _port(pod: Obj, exporter: Exporter) -> int:
    ports = [port for container in pod["spec"]["containers"] for port in container.get("ports") or []]
    named = [port["containerPort"] for port in ports if port.get("name") in ("metrics", "http-metrics")]
    known = [port["containerPort"] for port in ports if port["containerPort"] == exporter.port]
    return int((named or known or [exporter.port])[0])


async def read(ctx: Context, door: Door) -> Page:
    """An exporter's page as it is now.

    Raises:
        StopProbe: it is not in the format that it says it is in (failed).
        UndecidableError: no page came.
    """
    text, content_type = await ctx.page(door.path, accept=ACCEPT)
    try:
        return parse(text, content_type, door.exporter)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as problem:
        ctx.expect(f"the page of {door.pod} is valid", f"{type(problem).__name__}: {problem}", ok=False)
        raise


def parse(text: str, content_type: str, exporter: Exporter) -> Page:
    """A page in OpenMetrics if it says so, else in the older text format of Prometheus.

    Raises:
        ValueError: or another error of Prometheus' own parser, if it is not in that format, or has a series twice.
    """
    openmetrics = content_type.partition(";")[0].strip().lower() == OPENMETRICS
    parser: Parser = parse_openmetrics if openmetrics else parse_text
    wanted = {metric.name for metric in exporter.needed}
    wanted |= {metric.name for metric in exporter.optional.values()}
    labels: dict[str, Mapping[str, str]] = {}
    values: dict[str, dict[str, float]] = {}
    nameless = 0
    seen: set[tuple[str, frozenset[tuple[str, str]]]] = set()
    for sample in (sample for family in parser(text) for sample in family.samples):
        if sample.name not in wanted:
            continue
        series = (sample.name, frozenset(sample.labels.items()))
        if series in seen:
            raise ValueError(f"{sample.name} is there twice with the same labels")
        seen.add(series)
        identity = sample.labels.get(exporter.identity, "")
        nameless += not identity
        labels.setdefault(identity, sample.labels)
        values.setdefault(identity, {}).setdefault(sample.name, sample.value)
    devices = {name: Device(name, labels[name], found) for name, found in values.items() if name}
    return Page("OpenMetrics" if openmetrics else "Prometheus text", devices, nameless)
