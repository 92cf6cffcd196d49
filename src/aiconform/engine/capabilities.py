"""Capabilities: what a cluster has for the checks to use, each with how it was known. Pure functions of answers.

Found is not proved: a capability says what a check would try, and only its verdict says whether that works.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from aiconform.catalog import sandboxes
from aiconform.engine.products import GANG, OPERATOR, PRODUCTS, Product

if TYPE_CHECKING:
    from aiconform.engine.facts import Facts

Obj = dict[str, Any]

ACCELERATORS: Final = "accelerators"
GATEWAY: Final = "gateway"
METRICS: Final = "metrics"
AUTOSCALER: Final = "autoscaler"
STACK: Final = "vendor's stack"
SANDBOX: Final = "sandbox"
KINDS: Final = (ACCELERATORS, STACK, GANG, GATEWAY, METRICS, AUTOSCALER, OPERATOR, SANDBOX)
"""Kinds of capabilities, in the order shown."""

_METRICS_APIS: Final = {
    "metrics.k8s.io": "resource metrics API",
    "custom.metrics.k8s.io": "custom metrics API",
    "external.metrics.k8s.io": "external metrics API",
}
_APP_LABELS: Final = ("app.kubernetes.io/name", "k8s-app", "app")
_SCRAPE: Final = "prometheus.io/scrape"
_MANY: Final = 4


@dataclass(frozen=True)
class Capability:
    """Something a cluster has.

    Attributes:
        kind: one of :data:`KINDS`.
        name: of the product or of the thing.
        detail: what is there, in a few words.
        how: by what it was known, one a line.
        known: whether it could be looked for; if not, ``how`` says why, and nothing is told of its being there.
    """

    kind: str
    name: str
    detail: str
    how: tuple[str, ...]
    known: bool = True


@dataclass(frozen=True)
class Answers:
    """What the API answered beside what :mod:`~aiconform.engine.facts` is made of; None: it could not be asked.

    Attributes:
        workloads: DaemonSets and Deployments of system components.
        runtime_classes: RuntimeClasses.
        autoscaler_status: the ConfigMap of Cluster Autoscaler, if there is one.
        gateway_classes, prometheuses, services, cluster_policies: objects of these kinds.
        monitoring_kinds: kinds that monitoring.coreos.com/v1 serves.
        refused: by plural, why it could not be asked.
    """

    workloads: Sequence[Obj] = ()
    runtime_classes: Sequence[Obj] = ()
    autoscaler_status: Obj | None = None
    gateway_classes: Sequence[Obj] | None = ()
    prometheuses: Sequence[Obj] | None = ()
    services: Sequence[Obj] | None = ()
    cluster_policies: Sequence[Obj] | None = ()
    monitoring_kinds: frozenset[str] = frozenset()
    refused: tuple[tuple[str, str], ...] = field(default=())

    def why_not(self, plural: str) -> str:
        """Why these could not be asked for."""
        return dict(self.refused).get(plural, "not asked")


def find(facts: Facts, answers: Answers) -> tuple[Capability, ...]:
    """Every capability, in the order of :data:`KINDS`."""
    found = [
        *_accelerators(facts),
        *_stack(answers),
        *_products(facts, answers),
        *_gateways(answers),
        *_metrics(facts, answers),
        *_autoscalers(facts, answers),
        *_sandboxes(answers),
    ]
    return tuple(sorted(found, key=lambda one: KINDS.index(one.kind)))


def merged(first: Iterable[Capability], later: Iterable[Capability]) -> tuple[Capability, ...]:
    """Those of the beginning with those that were found later; of two with one name, the later."""
    every = {(one.kind, one.name): one for one in (*first, *later)}
    return tuple(sorted(every.values(), key=lambda one: KINDS.index(one.kind)))


def _accelerators(facts: Facts) -> Iterator[Capability]:
    for resource in sorted({found.resource for found in facts.accelerators}):
        mine = [found for found in facts.accelerators if found.resource == resource]
        marks = sorted({mark for found in mine for mark in _marks(found.shared, found.virtual, found.simulated)})
        number = sum(found.allocatable for found in mine)
        detail = f"{number} by device plugin on {_several([found.node for found in mine], 'nodes')}"
        how = (f"allocatable of nodes that are ready and free of other taints: {_listed(f.node for f in mine)}",)
        yield Capability(ACCELERATORS, resource, "; ".join((detail, *marks)), how)
    for driver in facts.dra:
        detail = f"{driver.devices} by DRA on {_several(driver.nodes, 'nodes')}"
        detail += "; simulated" if driver.simulated else ""
        yield Capability(
            ACCELERATORS,
            driver.name,
            detail,
            (
                f"DeviceClass {driver.device_class}",
                "ResourceSlices: newest generation of a complete pool, devices without taints, on ready nodes",
            ),
        )


def _marks(*marked: object) -> Iterator[str]:
    words = ("some shared", "some virtual", "some simulated")
    return (word for word, mark in zip(words, marked, strict=True) if mark)


def _stack(answers: Answers) -> Iterator[Capability]:
    if answers.cluster_policies is None:
        yield _unknown(STACK, "GPU Operator", answers.why_not("clusterpolicies"))
    for policy in answers.cluster_policies or ():
        state = (policy.get("status") or {}).get("state") or "state not told"
        yield Capability(STACK, "GPU Operator", str(state), (f"ClusterPolicy {_name(policy)} (nvidia.com/v1)",))


def _products(facts: Facts, answers: Answers) -> Iterator[Capability]:
    for product in PRODUCTS:
        served = sorted(version for version in facts.groups if version.partition("/")[0] in product.groups)
        if not served:
            continue
        how = (f"API {', '.join(served)}", *_running(product, answers.workloads))
        for kind in product.does:
            takes = f"takes {product.kind}"
            if kind == OPERATOR and product.refuses:
                takes += f"; its webhook refuses {product.refuses}"
            yield Capability(kind, product.name, takes, how)


def _running(product: Product, workloads: Iterable[Obj]) -> Iterator[str]:
    for item in workloads:
        labels = item["metadata"].get("labels") or {}
        if product.apps & {str(labels.get(label)) for label in _APP_LABELS}:
            images = [str(one.get("image", "")) for one in item["spec"]["template"]["spec"].get("containers") or ()]
            yield f"{item['kind']} {_full(item)}: {', '.join(image.rsplit('/', 1)[-1] for image in images)}"


def _gateways(answers: Answers) -> Iterator[Capability]:
    if answers.gateway_classes is None:
        yield _unknown(GATEWAY, "GatewayClasses", answers.why_not("gatewayclasses"))
    for item in answers.gateway_classes or ():
        said = {one.get("type"): one.get("status") for one in (item.get("status") or {}).get("conditions") or ()}
        accepted = {"True": "accepted", "False": "not accepted"}.get(str(said.get("Accepted")), "acceptance not told")
        controller = str((item.get("spec") or {}).get("controllerName", "unknown"))
        yield Capability(GATEWAY, _name(item), f"{accepted}, by {controller}", (f"GatewayClass {_name(item)}",))


def _metrics(facts: Facts, answers: Answers) -> Iterator[Capability]:
    if answers.prometheuses is None:
        yield _unknown(METRICS, "Prometheus Operator", answers.why_not("prometheuses"))
    kinds = sorted(answers.monitoring_kinds & {"ServiceMonitor", "PodMonitor", "ScrapeConfig", "PrometheusAgent"})
    for item in answers.prometheuses or ():
        version = str((item.get("spec") or {}).get("version") or "version not told")
        detail = f"Prometheus {version}; found workloads by {', '.join(kinds) or 'no kind that is served'}"
        yield Capability(METRICS, _full(item), detail, (f"Prometheus {_full(item)} (monitoring.coreos.com/v1)",))
    if answers.services is None:
        yield _unknown(METRICS, "Prometheus by Service", answers.why_not("services"))
    for item in answers.services or ():
        noted = (item["metadata"].get("annotations") or {}).get(_SCRAPE) == "true"
        detail = "a Service for it" + (f"; annotated {_SCRAPE}" if noted else "")
        label = next(label for label in _APP_LABELS if (item["metadata"].get("labels") or {}).get(label))
        known_by = f"Service {_full(item)}, labelled {label}={item['metadata']['labels'][label]}"
        yield Capability(METRICS, f"service {_full(item)}", detail, (known_by,))
    for group, what in _METRICS_APIS.items():
        served = sorted(version for version in facts.groups if version.partition("/")[0] == group)
        if served:
            yield Capability(METRICS, what, "served", (f"API {', '.join(served)}",))


def _autoscalers(facts: Facts, answers: Answers) -> Iterator[Capability]:
    karpenter = sorted(version for version in facts.groups if version.partition("/")[0] == "karpenter.sh")
    if karpenter:
        yield Capability(AUTOSCALER, "Karpenter", "makes nodes for NodePools", (f"API {', '.join(karpenter)}",))
    if answers.autoscaler_status is not None:
        told = f"ConfigMap {_full(answers.autoscaler_status)}"
        yield Capability(AUTOSCALER, "Cluster Autoscaler", "tells of its groups of nodes", (told,))
    for pool in facts.pools:
        detail = f"{pool.bounds}, {len(pool.nodes)} now, {pool.resource}"
        detail += f"; {pool.stuck}" if pool.stuck else ""
        how = (f"{pool.autoscaler}", f"label {pool.label[0]}={pool.label[1]}")
        yield Capability(AUTOSCALER, f"pool {pool.name}", detail, how)


def _sandboxes(answers: Answers) -> Iterator[Capability]:
    for item in answers.runtime_classes:
        name, handler = _name(item), str(item.get("handler", ""))
        if mechanism := sandboxes.mechanism(name, handler):
            yield Capability(SANDBOX, name, mechanism, (f"RuntimeClass {name} with handler {handler}",))


def _unknown(kind: str, name: str, why: str) -> Capability:
    return Capability(kind, name, "not known", (why,), known=False)


def _several(names: Sequence[str], what: str) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} {what}"


def _listed(names: Iterable[str]) -> str:
    every = sorted(names)
    rest = f" and {len(every) - _MANY} more" if len(every) > _MANY else ""
    return ", ".join(every[:_MANY]) + rest


def _name(obj: Obj) -> str:
    return str(obj["metadata"]["name"])


def _full(obj: Obj) -> str:
    return f"{obj['metadata'].get('namespace', '')}/{_name(obj)}".lstrip("/")
