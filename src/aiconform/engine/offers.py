"""What nodes offer through device plugins: accelerators that the vendor tables know, parts of them, and the unknown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aiconform.catalog import accelerators as vendors
from aiconform.catalog.accelerators import AcceleratorKind
from aiconform.engine import nodeviews
from aiconform.engine.nodeviews import Obj


@dataclass(frozen=True)
class AcceleratorNode:
    """A Ready, schedulable node that offers accelerators.

    Attributes:
        resource: the extended resource, ``nvidia.com/gpu``; the driver's name where they are claimed by DRA.
        allocatable: how many of it pods can have.
        kind: what the vendor table knows of it; resources that it does not know are not listed.
        physical: how many devices there are: what labels count, or else what is offered by the replicas.
        replicas: how many times each device is offered; 1 where devices are exclusive, or nothing tells.
        sharing_told: whether something tells if devices are shared.
        strategy: the sharing strategy the node's labels name, or empty.
        virtual: why the devices are known to be virtual, or empty.
        simulated: why the devices are known to be simulated, or empty.
        device_class: the DeviceClass by which they are claimed; empty where a device plugin offers them.
        devices: those that are claimed, as pool/name.
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
    device_class: str = ""
    sharing_told: bool = True
    devices: tuple[str, ...] = ()

    @property
    def label(self) -> Mapping[str, str]:
        """The node's labels."""
        return dict(self.labels)

    @property
    def shared(self) -> bool:
        """Whether one device is offered several times."""
        return self.replicas > 1

    @property
    def claimed(self) -> bool:
        """Whether pods ask for them by a claim, and not by an extended resource."""
        return bool(self.device_class)

    @property
    def lock(self) -> str:
        """The name that checks hold it by; claims can be given any device of a driver."""
        return self.resource if self.claimed else f"{self.node}/{self.resource}"

    @property
    def words(self) -> str:
        """How many of what, where."""
        return f"{self.allocatable} {self.resource}{' by DRA' if self.claimed else ''} on {self.node}"


def of(node: Obj) -> Iterable[AcceleratorNode]:
    """The accelerators that a node's device plugins offer and the vendor tables know."""
    labels = nodeviews.labels(node)
    for resource, amount in _extended(node):
        kind = vendors.by_resource(resource)
        if kind is None:
            continue
        counted = _count(labels.get(kind.count_label or "", ""))
        told = _replicas(kind, labels, amount, counted)
        yield AcceleratorNode(
            node=nodeviews.name(node),
            resource=resource,
            allocatable=amount,
            kind=kind,
            product=labels.get(kind.product_label or "", ""),
            physical=counted or amount // max(told, 1),
            replicas=max(told, 1),
            sharing_told=told > 0,
            strategy=next((labels[key] for key in kind.sharing_strategy_labels if key in labels), ""),
            virtual=vendors.virtual(labels),
            simulated=vendors.simulated_node(labels),
            labels=tuple(sorted(labels.items())),
        )


def parts(node: Obj) -> Iterable[str]:
    """Parts of accelerators that a node offers as resources of their own, such as MIG devices."""
    for resource, amount in _extended(node):
        if (kind := vendors.by_part(resource)) is not None:
            yield f"{amount} {resource} on {nodeviews.name(node)} (parts of {kind.words} devices)"


def unknown(node: Obj) -> Iterable[str]:
    """Extended resources that may be accelerators: they are in no table, and not known to be anything else."""
    for resource, amount in _extended(node):
        known = vendors.by_resource(resource) or vendors.by_part(resource)
        if known is None and not vendors.no_accelerator(resource):
            yield f"{amount} {resource} on {nodeviews.name(node)}"


def _extended(node: Obj) -> Iterable[tuple[str, int]]:
    for resource in sorted(node.get("status", {}).get("allocatable") or {}):
        amount = nodeviews.offered(node, resource)
        if "/" in resource and amount:
            yield resource, amount


def _replicas(kind: AcceleratorKind, labels: Mapping[str, str], amount: int, counted: int) -> int:
    """How many times each device is offered; 0 where no label tells."""
    for label in kind.replicas_labels:
        if told := _count(labels.get(label, "")):
            return told
    return max(amount // counted, 1) if counted else 0


def _count(text: str) -> int:
    return int(text) if text.isdigit() else 0
