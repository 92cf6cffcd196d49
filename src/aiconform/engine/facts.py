"""What discovery found, as plain values: a pure function of the API's answers.

Checks and needs look here, never at the cluster, for what is there and which nodes to use.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from aiconform.catalog.options import OPTIONS
from aiconform.engine import allocation as ways
from aiconform.engine import kinds, nodepools, nodeviews, offers
from aiconform.engine import slices as dra_slices
from aiconform.engine.allocation import Mode
from aiconform.engine.capabilities import Capability
from aiconform.engine.distributions import product
from aiconform.engine.nodepools import NodePool
from aiconform.engine.nodeviews import Obj
from aiconform.engine.offers import AcceleratorNode
from aiconform.engine.slices import DraDriver
from aiconform.errors import InternalError
from aiconform.evidence.documents import CapabilityFacts, ClusterFacts, ComponentFacts, NodeFacts

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
        "jobset",
        "trainer",  # Kubeflow's
        "cluster-autoscaler",
        "karpenter",
    }
)
"""Values of the usual app labels by which system components are asked for; nothing else is listed."""


@dataclass(frozen=True)
class Facts:
    """What discovery found.

    Attributes:
        accelerators: those that are asked for as extended resources.
        dra: drivers of the vendor tables whose devices can be claimed.
        gaps: what could not be read and why; a need that rests on it is undecided, never unmet.
        pools: groups of nodes with accelerators that an autoscaler minds.
        fenced: nodes with accelerators that are left alone because of their taints, with these.
        options: what the plan says was told of the cluster, by name.
        capabilities: what there is for the checks to use, and how that was known.
        claimable: accelerators that are asked for by claims.
        allocation: the way that was asked for, and in ``ways`` what was chosen, by kind.
        unknown: hardware that may be accelerators and is in no vendor table.
        parts: parts of accelerators (MIG) that nodes offer as resources of their own.
        refused: accelerators that a device plugin offers and may not be asked for, with why.
        unused: accelerators that were seen and are left alone, with why; those refused are among them.
        handlers: pairs of a RuntimeClass and its handler.
        remarks: what a reader should know of the cluster as the run began, of its preflight.
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
    options: Mapping[str, str] = field(default_factory=dict)
    capabilities: tuple[Capability, ...] = ()
    claimable: tuple[AcceleratorNode, ...] = ()
    allocation: Mode = "auto"
    ways: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    handlers: tuple[tuple[str, str], ...] = ()
    remarks: tuple[str, ...] = ()

    def option(self, name: str) -> str:
        """What was told of the cluster under this name (:mod:`aiconform.catalog.options`), or empty."""
        if name not in OPTIONS:
            raise InternalError(f"option {name!r} is not in the catalog")
        return self.options.get(name, "")

    @property
    def chosen(self) -> tuple[AcceleratorNode, ...]:
        """All accelerators that the run uses, however they are asked for."""
        return self.accelerators + self.claimable

    def cluster(self) -> ClusterFacts:
        """The form that goes into the bundle and on the page."""
        plugin = [f"{a.allocatable} {a.resource} on {a.node} ({_describe(a)})" for a in self.accelerators]
        dra = [f"{d.devices} via DRA {d.name} on {', '.join(d.nodes)}{_mark(d.simulated)}" for d in self.dra]
        return ClusterFacts(
            product=product(self.version, self.groups),
            version=self.version,
            platform=self.platform,
            kube_system_uid=self.system_uid,
            nodes=list(self.nodes),
            components=list(self.components),
            accelerators="; ".join(plugin + dra) or "none",
            capabilities=[
                CapabilityFacts(kind=one.kind, name=one.name, detail=one.detail, how=list(one.how), known=one.known)
                for one in self.capabilities
            ],
            asked_for=f"{', '.join(self.ways) or 'none that can be used'}; allocation {self.allocation}",
            left_alone=[*self.unused, *self.parts, *(f"{found}: in no vendor table" for found in self.unknown)],
            remarks=list(self.remarks),
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
    options: Mapping[str, str] | None = None,
) -> Facts:
    """Facts from the API's answers, and from what was told of the cluster."""
    told = dict(options or {})
    mode: Mode = ways.mode(told)
    there = {nodeviews.name(node): node for node in nodes}
    usable = [node for node in nodes if nodeviews.usable(node)]
    drivers = dra_slices.drivers(device_classes, slices, there)
    chosen = ways.choose(
        mode,
        [found for node in usable for found in offers.of(node)],
        dra_slices.accelerators(device_classes, slices, there),
        device_classes,
        unreadable=next(iter(hidden(gaps, kinds.DEVICE_CLASS.plural)), ""),
    )
    pools = nodepools.gather(nodes, node_pools, autoscaler_status, told.get("pool-label", ""), chosen.by_claim)
    because = {item.simulated for group in (chosen.by_resource, chosen.by_claim, drivers, pools) for item in group}
    mine: dict[str, list[AcceleratorNode]] = {}
    for found in chosen.by_resource + chosen.by_claim:
        mine.setdefault(found.node, []).append(found)
    closed = [(node, nodeviews.closed(node)) for node in nodes if any(offers.of(node)) and nodeviews.closed(node)]
    return Facts(
        version=str(version.get("gitVersion", "")),
        platform=str(version.get("platform", "")),
        system_uid=system["metadata"]["uid"],
        groups=frozenset(_group_versions(groups)),
        nodes=tuple(_node(node, mine.get(nodeviews.name(node), [])) for node in nodes),
        accelerators=chosen.by_resource,
        dra=tuple(drivers),
        runtime_classes=tuple(sorted(nodeviews.name(item) for item in runtime_classes)),
        components=tuple(_components(nodes, workloads)),
        simulated=tuple(sorted(because - {""})),
        gaps=gaps,
        pools=pools,
        options=told,
        fenced=tuple(f"{nodeviews.name(node)} ({why})" for node, why in closed if nodeviews.fenced(node)),
        claimable=chosen.by_claim,
        allocation=mode,
        ways=chosen.ways,
        unknown=(*(found for node in nodes for found in offers.unknown(node)), *dra_slices.unknown(slices)),
        parts=tuple(found for node in usable for found in offers.parts(node)),
        refused=chosen.refused,
        unused=(
            *(f"{found.words}: {why}" for node, why in closed for found in offers.of(node)),
            *chosen.unused,
        ),
        handlers=tuple(sorted((nodeviews.name(item), str(item.get("handler", ""))) for item in runtime_classes)),
    )


def hidden(gaps: Iterable[str], *names: str) -> list[str]:
    """The gaps under these names behind which something may be; where a kind is not served (404) there is nothing."""
    return [gap for gap in gaps for name in names if gap.startswith(f"{name}: ") and not gap.startswith(f"{name}: 404")]


def _group_versions(groups: Obj) -> Iterable[str]:
    for group in groups.get("groups") or []:
        for version in group.get("versions") or []:
            yield str(version.get("groupVersion", ""))


def _node(node: Obj, mine: list[AcceleratorNode]) -> NodeFacts:
    info = node.get("status", {}).get("nodeInfo") or {}
    return NodeFacts(
        name=nodeviews.name(node),
        ready=nodeviews.ready(node),
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
    for item in sorted(workloads, key=nodeviews.name):
        for container in item["spec"]["template"]["spec"].get("containers") or []:
            image = str(container.get("image", ""))
            name, version = _image(image)
            if (name, version) not in seen:
                seen.add((name, version))
                source = f"image of {item['kind']} {item['metadata'].get('namespace', '')}/{nodeviews.name(item)}"
                yield ComponentFacts(name=name, version=version, source=source)


def _image(reference: str) -> tuple[str, str]:
    path, _, digest = reference.partition("@")
    last = path.rsplit("/", 1)[-1]
    name, _, tag = last.partition(":")
    return name, tag or digest or "unknown"
