"""Groups of nodes that an autoscaler makes larger and smaller: a pure function of what the API answers.

Karpenter's NodePools say what they may hold. Cluster Autoscaler tells of its groups in a ConfigMap; which nodes are of
a group is told by the labels that platforms put on them. Where a platform hides all that, a person may tell a label.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml  # type: ignore[import-untyped]

from aiconform.catalog import accelerators as vendors

Obj = dict[str, Any]

KARPENTER: Final = "Karpenter"
CLUSTER_AUTOSCALER: Final = "Cluster Autoscaler"
UNNAMED: Final = "the autoscaler"
"""Whoever minds a pool that a person told of by a label: platforms may hide what tells it."""
KARPENTER_API: Final = "karpenter.sh/v1"
STATUS: Final = ("kube-system", "cluster-autoscaler-status")
"""Namespace and name of the ConfigMap in which Cluster Autoscaler tells of its groups."""

_KARPENTER_LABEL: Final = "karpenter.sh/nodepool"
_GROUP_LABELS: Final = (
    "eks.amazonaws.com/nodegroup",
    "cloud.google.com/gke-nodepool",
    "kubernetes.azure.com/agentpool",
    "kops.k8s.io/instancegroup",
    "node.cluster.x-k8s.io/nodepool",
    "oke.oraclecloud.com/pool.name",
    "aiconform.dev/pool",
)
"""Labels whose value is part of the name of the group that a node is of."""


@dataclass(frozen=True)
class NodePool:
    """A group of nodes with accelerators that an autoscaler minds.

    Attributes:
        autoscaler: whose it is, by its product name.
        name: of the pool.
        label: label of its nodes, key and value, by which pods ask for them.
        nodes: names of those it has now.
        resource: extended resource of its accelerators.
        per_node: accelerators that each node offers; 0 if not known, or not the same on all.
        minimum, maximum: nodes it may have; None: no maximum is known.
        taints: keys that pods must tolerate.
        stuck: why it cannot grow and shrink again now; empty if it can.
        simulated: why its accelerators are known to be simulated, or empty.
    """

    autoscaler: str
    name: str
    label: tuple[str, str]
    nodes: tuple[str, ...]
    resource: str
    per_node: int
    minimum: int
    maximum: int | None
    taints: tuple[str, ...]
    stuck: str
    simulated: str

    @property
    def bounds(self) -> str:
        """How many nodes it may have, in words."""
        if self.autoscaler == UNNAMED:
            return "not known"
        return f"{self.minimum} to {'any number' if self.maximum is None else self.maximum} nodes"


def gather(nodes: list[Obj], karpenter: list[Obj], status: Obj | None, told: str = "") -> tuple[NodePool, ...]:
    """The pools with accelerators, those that can grow first.

    Args:
        nodes: Node objects.
        karpenter: NodePool objects.
        status: the ConfigMap of Cluster Autoscaler, if there is one.
        told: label of the nodes of the one pool to look at, ``KEY=VALUE``, if one was told.
    """
    found = [*_karpenter(nodes, karpenter), *_groups(nodes, status)]
    if told:
        label = _label(told)
        return tuple(pool for pool in found if pool.label == label) or (_told_of(nodes, label),)
    return tuple(sorted(found, key=lambda pool: (bool(pool.stuck), not pool.nodes, pool.name)))


def _karpenter(nodes: list[Obj], pools: list[Obj]) -> Iterable[NodePool]:
    for pool in pools:
        name, spec = str(pool["metadata"]["name"]), pool.get("spec") or {}
        label = (_KARPENTER_LABEL, name)
        mine = [node for node in nodes if _carries(node, label)]
        limits = spec.get("limits") or {}
        resource, per_node = _offered(mine)
        resource = resource or next((key for key in sorted(limits) if vendors.by_resource(key)), "")
        if not resource:
            continue
        template = (spec.get("template") or {}).get("spec") or {}
        static = spec.get("replicas")
        maximum = int(static) if static is not None else _maximum(limits, resource, per_node)
        yield NodePool(
            KARPENTER,
            name,
            label,
            tuple(_name(node) for node in mine),
            resource,
            per_node,
            minimum=int(static or 0),
            maximum=maximum,
            taints=tuple(sorted({str(taint["key"]) for taint in template.get("taints") or []})),
            stuck="its number of nodes is fixed" if static is not None else _stuck(mine, per_node, 0, maximum),
            simulated=_simulated(mine),
        )


def _label(told: str) -> tuple[str, str]:
    key, _, value = told.partition("=")
    return key, value


def _told_of(nodes: list[Obj], label: tuple[str, str]) -> NodePool:
    """A pool of which only the label of its nodes is known: neither its bounds nor its autoscaler."""
    mine = [node for node in nodes if _carries(node, label)]
    resource, per_node = _offered(mine)
    stuck = _stuck(mine, per_node, 0, None)
    if not resource:
        offered = "no node of it offers an accelerator that is known" if mine else "no node carries that label now"
        stuck = f"{offered}, so it is not known what a new one would offer"
    return NodePool(
        UNNAMED,
        label[1],
        label,
        tuple(_name(node) for node in mine),
        resource,
        per_node,
        minimum=0,
        maximum=None,
        taints=_keys(mine),
        stuck=stuck,
        simulated=_simulated(mine),
    )


def _keys(mine: list[Obj]) -> tuple[str, ...]:
    return tuple(sorted({str(taint["key"]) for node in mine for taint in _taints(node)}))


def _maximum(limits: Mapping[str, Any], resource: str, per_node: int) -> int | None:
    """Nodes that limits on accelerators or on nodes leave room for; other limits are not reckoned."""
    found = [int(limits["nodes"])] if str(limits.get("nodes", "")).isdigit() else []
    if str(limits.get(resource, "")).isdigit():
        found.append(int(limits[resource]) // max(per_node, 1))
    return min(found, default=None)


def _groups(nodes: list[Obj], status: Obj | None) -> Iterable[NodePool]:
    labelled = _labelled(nodes)
    groups = [(group, _label_of(str(group.get("name", "")), labelled)) for group in _told(status)]
    for label, mine in sorted(labelled.items()):
        resource, per_node = _offered(mine)
        fitting = [group for group, whose in groups if whose == label]
        if not resource or not fitting:
            continue
        health = [group.get("health") or {} for group in fitting]
        minimum = sum(int(item.get("minSize", 0)) for item in health)
        maximum = sum(int(item.get("maxSize", 0)) for item in health)
        yield NodePool(
            CLUSTER_AUTOSCALER,
            label[1],
            label,
            tuple(_name(node) for node in mine),
            resource,
            per_node,
            minimum=minimum,
            maximum=maximum,
            taints=_keys(mine),
            stuck=_stuck(mine, per_node, minimum, maximum),
            simulated=_simulated(mine),
        )


def _label_of(group: str, labels: Iterable[tuple[str, str]]) -> tuple[str, str] | None:
    """The label whose value is a part of a group's name between its separators; the longest, if several are."""
    parts = [label for label in labels if re.search(rf"(?<![a-z0-9]){re.escape(label[1])}(?![a-z0-9])", group, re.I)]
    return max(parts, key=lambda label: (len(label[1]), label), default=None)


def _told(status: Obj | None) -> list[Obj]:
    try:
        told = yaml.safe_load(str(((status or {}).get("data") or {}).get("status", "")))
    except yaml.YAMLError:
        return []
    groups = told.get("nodeGroups") if isinstance(told, dict) else None
    return [group for group in groups if isinstance(group, dict)] if isinstance(groups, list) else []


def _labelled(nodes: list[Obj]) -> dict[tuple[str, str], list[Obj]]:
    found: dict[tuple[str, str], list[Obj]] = {}
    for node in nodes:
        labels = node["metadata"].get("labels") or {}
        for key in _GROUP_LABELS:
            if labels.get(key):
                found.setdefault((key, str(labels[key])), []).append(node)
                break
    return found


def _stuck(mine: list[Obj], per_node: int, minimum: int, maximum: int | None) -> str:
    if maximum is not None and minimum >= maximum:
        return f"its minimum and its maximum are both {maximum}"
    if maximum is not None and len(mine) >= maximum:
        return f"it has {len(mine)} nodes, and {maximum} is its maximum"
    if mine and not per_node:
        return "its nodes do not all offer the same number of accelerators"
    return ""


def _offered(mine: list[Obj]) -> tuple[str, int]:
    """The accelerator resource of these nodes, and how many each has; 0 where they differ."""
    offers = [node.get("status", {}).get("allocatable") or {} for node in mine]
    resource = next((key for offer in offers for key in sorted(offer) if vendors.by_resource(key)), "")
    amounts = {str(offer.get(resource, "0")) for offer in offers}
    amount = amounts.pop() if len(amounts) == 1 else "0"
    return resource, int(amount) if amount.isdigit() else 0


def _simulated(mine: list[Obj]) -> str:
    found = (vendors.simulated_node(node["metadata"].get("labels") or {}) for node in mine)
    return next(filter(None, found), "")


def _taints(node: Obj) -> list[Obj]:
    hard = ("NoSchedule", "NoExecute")
    taints = (node.get("spec") or {}).get("taints") or []
    return [taint for taint in taints if taint.get("effect") in hard and not _passing(taint)]


def _passing(taint: Obj) -> bool:
    """Set by Kubernetes and by autoscalers while a node comes or goes."""
    key = str(taint.get("key", ""))
    return key.startswith(("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/")) or "ClusterAutoscaler" in key


def _carries(node: Obj, label: tuple[str, str]) -> bool:
    return bool((node["metadata"].get("labels") or {}).get(label[0]) == label[1])


def _name(node: Obj) -> str:
    return str(node["metadata"]["name"])
