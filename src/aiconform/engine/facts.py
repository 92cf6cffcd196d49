"""What discovery found, as plain values: a pure function of the API's answers.

Checks and needs look here, never at the cluster, for what is there and which nodes to use.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aiconform.catalog import accelerators as vendors
from aiconform.catalog.accelerators import AcceleratorKind
from aiconform.engine import nodepools
from aiconform.engine.nodepools import NodePool
from aiconform.evidence.documents import ClusterFacts, ComponentFacts, NodeFacts

Obj = dict[str, Any]

COMPONENTS = frozenset(
    {
        "nvidia-device-plugin",
        "node-feature-discovery",
        "gpu-operator",
        "dcgm-exporter",
        "nvidia-dcgm-exporter",
        "gke-managed-dcgm-exporter",
        "accelerator-exporter",  # ours, on the local cluster
        "dra-example-driver",
        "nvidia-dra-driver-gpu",
        "gpu-feature-discovery",
        "kube-dns",
        "coredns",
        "metrics-server",
        "prometheus-operator",
        "prometheus-adapter",
        "envoy-gateway",
        "gateway-helm",  # Envoy Gateway, as its chart names it
        "volcano",
        "volcano-scheduler",
        "kueue",
        "kuberay",  # the operator, as its kustomization names it
        "kuberay-operator",
        "cluster-autoscaler",
        "karpenter",
    }
)
"""Values of the usual app labels by which system components are asked for; nothing else is listed."""


@dataclass(frozen=True)
class AcceleratorNode:
    """A Ready, schedulable node that offers accelerators through a device plugin.

    Attributes:
        resource: the extended resource, ``nvidia.com/gpu``.
        allocatable: how many of it pods can have.
        kind: what the vendor table knows of it; resources that it does not know are not listed.
        replicas: how many times each device is offered; 1 where devices are exclusive.
        strategy: the sharing strategy the node's labels name, or empty.
        virtual: why the devices are known to be virtual, or empty.
        simulated: why the devices are known to be simulated, or empty.
    """

    node: str
    resource: str
    allocatable: int
    kind: AcceleratorKind
    product: str
    physical: int
    replicas: int
    strategy: str
    virtual: str
    simulated: str
    labels: tuple[tuple[str, str], ...]

    @property
    def label(self) -> Mapping[str, str]:
        """The node's labels."""
        return dict(self.labels)

    @property
    def shared(self) -> bool:
        """Whether one device is offered several times."""
        return self.replicas > 1

    @property
    def lock(self) -> str:
        """The name that checks hold it by."""
        return f"{self.node}/{self.resource}"


@dataclass(frozen=True)
class DraDriver:
    """A DRA driver with devices on nodes that pods can use."""

    name: str
    device_class: str
    devices: int
    nodes: tuple[str, ...]
    simulated: str


@dataclass(frozen=True)
class Facts:
    """What discovery found.

    Attributes:
        gaps: what could not be read and why; a need that rests on it is undecided, never unmet.
        pools: groups of nodes with accelerators that an autoscaler minds.
        fenced: nodes with accelerators that are left alone because of their taints, with these.
        handlers: pairs of a RuntimeClass and its handler.
    """

    version: str
    platform: str
    system_uid: str
    groups: frozenset[str]
    nodes: tuple[NodeFacts, ...]
    accelerators: tuple[AcceleratorNode, ...]
    dra: tuple[DraDriver, ...]
    runtime_classes: tuple[str, ...]
    components: tuple[ComponentFacts, ...]
    simulated: tuple[str, ...]
    gaps: tuple[str, ...]
    pools: tuple[NodePool, ...] = ()
    fenced: tuple[str, ...] = ()
    handlers: tuple[tuple[str, str], ...] = ()

    def cluster(self) -> ClusterFacts:
        """The form that goes into the bundle and on the page."""
        plugin = [f"{a.allocatable} {a.resource} on {a.node} ({_describe(a)})" for a in self.accelerators]
        dra = [f"{d.devices} via DRA {d.name} on {', '.join(d.nodes)}{_mark(d.simulated)}" for d in self.dra]
        return ClusterFacts(
            product=_product(self.version),
            version=self.version,
            platform=self.platform,
            kube_system_uid=self.system_uid,
            nodes=list(self.nodes),
            components=list(self.components),
            accelerators="; ".join(plugin + dra) or "none",
        )


def gather(
    *,
    version: Obj,
    nodes: list[Obj],
    system: Obj,
    groups: Obj,
    device_classes: list[Obj],
    slices: list[Obj],
    runtime_classes: list[Obj],
    workloads: list[Obj],
    gaps: tuple[str, ...],
    node_pools: list[Obj],
    autoscaler_status: Obj | None,
) -> Facts:
    """Facts from the API's answers."""
    pools = nodepools.gather(nodes, node_pools, autoscaler_status)
    offered = tuple(found for node in nodes if _usable(node) for found in _accelerators(node))
    drivers = tuple(_dra(device_classes, slices, {_name(node): node for node in nodes}))
    because = {item.simulated for group in (offered, drivers, pools) for item in group}
    return Facts(
        version=str(version.get("gitVersion", "")),
        platform=str(version.get("platform", "")),
        system_uid=system["metadata"]["uid"],
        groups=frozenset(_group_versions(groups)),
        nodes=tuple(_node(node, offered) for node in nodes),
        accelerators=offered,
        dra=drivers,
        runtime_classes=tuple(sorted(_name(item) for item in runtime_classes)),
        components=tuple(_components(nodes, workloads)),
        simulated=tuple(sorted(because - {""})),
        gaps=gaps,
        pools=pools,
        handlers=tuple(sorted((_name(item), str(item.get("handler", ""))) for item in runtime_classes)),
        fenced=tuple(_behind(node) for node in nodes if _fenced(node) and any(_accelerators(node))),
    )


def _name(obj: Obj) -> str:
    return str(obj["metadata"]["name"])


def _labels(obj: Obj) -> dict[str, str]:
    return dict(obj["metadata"].get("labels") or {})


def _usable(node: Obj) -> bool:
    return _ready(node) and not node.get("spec", {}).get("unschedulable") and not _fenced(node)


def _fenced(node: Obj) -> list[str]:
    """Keys of taints that keep our pods off: they tolerate only those named like an accelerator's resource."""
    taints = node.get("spec", {}).get("taints") or []
    hard = [str(taint.get("key")) for taint in taints if taint.get("effect") in ("NoSchedule", "NoExecute")]
    return [key for key in hard if vendors.by_resource(key) is None]


def _behind(node: Obj) -> str:
    return f"{_name(node)} (taint {', '.join(_fenced(node))})"


def _ready(node: Obj) -> bool:
    conditions = node.get("status", {}).get("conditions") or []
    return any(found.get("type") == "Ready" and found.get("status") == "True" for found in conditions)


def _accelerators(node: Obj) -> Iterable[AcceleratorNode]:
    labels = _labels(node)
    for resource, amount in sorted((node.get("status", {}).get("allocatable") or {}).items()):
        kind = vendors.by_resource(resource)
        if kind is None or not str(amount).isdigit() or int(amount) == 0:
            continue
        product = labels.get(kind.product_label, "")
        physical = _count(labels.get(kind.count_label, ""), default=0)
        replicas = _count(labels.get(kind.replicas_label, ""), default=1)
        yield AcceleratorNode(
            node=_name(node),
            resource=resource,
            allocatable=int(amount),
            kind=kind,
            product=product,
            physical=physical,
            replicas=max(replicas, 1),
            strategy=labels.get(kind.sharing_strategy_label, ""),
            virtual=vendors.virtual(labels),
            simulated=vendors.simulated_node(labels),
            labels=tuple(sorted(labels.items())),
        )


def _count(text: str, *, default: int) -> int:
    return int(text) if text.isdigit() else default


def _dra(classes: list[Obj], slices: list[Obj], nodes: dict[str, Obj]) -> Iterable[DraDriver]:
    """Drivers whose newest pool generation is complete and has untainted devices on usable nodes."""
    drivers = sorted({str(item["spec"]["driver"]) for item in slices})
    for driver in drivers:
        mine = [item["spec"] for item in slices if item["spec"]["driver"] == driver]
        usable = [spec for pool in _newest_pools(mine) for spec in pool if _reachable(spec, nodes)]
        devices = [dev for spec in usable for dev in spec.get("devices") or [] if not dev.get("taints")]
        name = next((_name(item) for item in classes if _selects(item, driver)), "")
        if devices and name:
            where = tuple(sorted({str(spec.get("nodeName") or "several nodes") for spec in usable}))
            yield DraDriver(driver, name, len(devices), where, vendors.simulated_driver(driver))


def _newest_pools(specs: list[Obj]) -> Iterable[list[Obj]]:
    for name in sorted({spec["pool"]["name"] for spec in specs}):
        pool = [spec for spec in specs if spec["pool"]["name"] == name]
        newest = max(int(spec["pool"].get("generation", 0)) for spec in pool)
        current = [spec for spec in pool if int(spec["pool"].get("generation", 0)) == newest]
        if len(current) == int(current[0]["pool"].get("resourceSliceCount", 1)):
            yield current


def _reachable(spec: Obj, nodes: dict[str, Obj]) -> bool:
    if spec.get("nodeName"):
        return spec["nodeName"] in nodes and _usable(nodes[spec["nodeName"]])
    return any(_usable(node) for node in nodes.values())


def _selects(device_class: Obj, driver: str) -> bool:
    selectors = device_class.get("spec", {}).get("selectors") or []
    return any(f"'{driver}'" in text or f'"{driver}"' in text for text in (_cel(found) for found in selectors))


def _cel(selector: Obj) -> str:
    return str((selector.get("cel") or {}).get("expression", ""))


def _group_versions(groups: Obj) -> Iterable[str]:
    for group in groups.get("groups") or []:
        for version in group.get("versions") or []:
            yield str(version.get("groupVersion", ""))


def _node(node: Obj, offered: tuple[AcceleratorNode, ...]) -> NodeFacts:
    info = node.get("status", {}).get("nodeInfo") or {}
    mine = [found for found in offered if found.node == _name(node)]
    return NodeFacts(
        name=_name(node),
        ready=_ready(node),
        kubelet=str(info.get("kubeletVersion", "")),
        runtime=str(info.get("containerRuntimeVersion", "")),
        os=str(info.get("osImage", "")),
        kernel=str(info.get("kernelVersion", "")),
        accelerators="; ".join(f"{found.allocatable} {found.resource} ({_describe(found)})" for found in mine),
    )


def _describe(found: AcceleratorNode) -> str:
    parts = [found.product or "unknown product"]
    if found.shared:
        parts.append(f"each shared by {found.replicas}")
    if found.virtual:
        parts.append("virtual")
    if found.simulated:
        parts.append("simulated")
    return ", ".join(parts)


def _mark(simulated: str) -> str:
    return " (simulated)" if simulated else ""


def _components(nodes: list[Obj], workloads: list[Obj]) -> Iterable[ComponentFacts]:
    runtimes = sorted(
        {str((node.get("status", {}).get("nodeInfo") or {}).get("containerRuntimeVersion", "")) for node in nodes}
    )
    for runtime in runtimes:
        name, _, version = runtime.partition("://")
        if version:
            yield ComponentFacts(name=name, version=version, source="the nodes' status")
    seen: set[tuple[str, str]] = set()
    for item in sorted(workloads, key=_name):
        for container in item["spec"]["template"]["spec"].get("containers") or []:
            image = str(container.get("image", ""))
            name, version = _image(image)
            if (name, version) not in seen:
                seen.add((name, version))
                source = f"image of {item['kind']} {item['metadata'].get('namespace', '')}/{_name(item)}"
                yield ComponentFacts(name=name, version=version, source=source)


def _image(reference: str) -> tuple[str, str]:
    path, _, digest = reference.partition("@")
    last = path.rsplit("/", 1)[-1]
    name, _, tag = last.partition(":")
    return name, tag or digest or "unknown"


def _product(version: str) -> str:
    """The distribution's name as its version string gives it: ``v1.35.3+k0s.0`` is k0s."""
    _, _, build = version.partition("+")
    distribution = build.split(".")[0].split("-")[0] if build else ""
    return f"{distribution} {version}" if distribution else f"Kubernetes {version}"
