"""Karpenter with its KWOK provider, from its own chart; the nodes it asks for are real ones, see :mod:`local.pool`.

One node pool of machines with one simulated accelerator each. It starts with one node, which a pod of ours keeps:
a pool that is empty would show less. Its nodes are tainted, so that pods which others leave pending never make it grow.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import yaml  # type: ignore[import-untyped]

from aiconform.local.accelerators.node import node_labels
from aiconform.local.addons.addon import Addon, Manifest, Materials
from aiconform.local.addons.charts import Chart
from aiconform.local.addons.nvidia import AUTOSCALED, RESOURCE
from aiconform.local.api import Api
from aiconform.local.components import COMPONENTS
from aiconform.local.images.table import IMAGES
from aiconform.local.inspection import is_ready
from aiconform.local.pool import kwok_nodes
from aiconform.local.profiles import CONTROL

if TYPE_CHECKING:
    from aiconform.local.cluster import Cluster

MODULE = "sigs.k8s.io/karpenter"
NAMESPACE = "karpenter"
NODE_POOL = "accelerated"
POOL_LABEL = "karpenter.sh/nodepool"
MACHINE = "t4-1"
LIMIT = 3
"""Accelerators that the pool may have at most."""

COMPANION = "pool"
WARM = "warm"
"""The deployment that keeps the pool's first node."""

_ZONE = "local"
_TYPES = "instance-types"
_TYPES_PATH = "/etc/karpenter"
_DEFINITION = "kwok/apis/crds/karpenter.kwok.sh_kwoknodeclasses.yaml"


def chart() -> Chart:
    """Karpenter's chart: one replica on the control node, quick, with our instance types."""
    repository, _, tag = IMAGES["karpenter"].reference.rpartition(":")
    return Chart(
        release="karpenter",
        namespace=NAMESPACE,
        module=MODULE,
        path="kwok/charts",
        values={
            "controller": {
                "image": {"repository": repository, "tag": tag},
                "resources": {"requests": {"cpu": "20m", "memory": "96Mi"}, "limits": {"memory": "512Mi"}},
                "env": [
                    {"name": "DISABLE_LEADER_ELECTION", "value": "true"},
                    {"name": "INSTANCE_TYPES_FILE_PATH", "value": f"{_TYPES_PATH}/types.json"},
                ],
                "extraVolumeMounts": [{"name": _TYPES, "mountPath": _TYPES_PATH}],
            },
            "extraVolumes": [{"name": _TYPES, "configMap": {"name": _TYPES}}],
            "settings": {
                "batchMaxDuration": "1s",
                "batchIdleDuration": "100ms",
                "featureGates": {"staticCapacity": False},  # which the chart forgets
            },
            "nodeSelector": {"kubernetes.io/hostname": CONTROL},
        },
    )


def objects(materials: Materials) -> Sequence[Manifest]:
    """The chart's objects, the provider's own kind, a pool, and the pod that keeps its first node."""
    definition = yaml.safe_load((materials.module_dir(MODULE) / _DEFINITION).read_text())
    types: Manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": _TYPES, "namespace": NAMESPACE},
        "data": {"types.json": json.dumps([instance_type(name) for name in kwok_nodes.MACHINES], indent=1)},
    }
    node_class: Manifest = {
        "apiVersion": "karpenter.kwok.sh/v1alpha1",
        "kind": "KWOKNodeClass",
        "metadata": {"name": "default"},
        "spec": {},
    }
    return [definition, *materials.render(chart()), types, node_class, node_pool(), warm()]


def instance_type(name: str) -> dict[str, Any]:
    """An instance type as the provider reads it."""
    machine = kwok_nodes.MACHINES[name]
    where = {"karpenter.sh/capacity-type": "on-demand", "topology.kubernetes.io/zone": _ZONE}
    offering = {
        "Price": 1.0,
        "Available": True,
        "Requirements": [{"key": key, "operator": "In", "values": [value]} for key, value in where.items()],
    }
    return {
        "name": name,
        "offerings": [offering],
        "architecture": "amd64",
        "operatingSystems": ["linux"],
        "resources": {
            "cpu": str(machine.cpu),
            "memory": f"{machine.memory_gib}Gi",
            "ephemeral-storage": "20Gi",
            RESOURCE: str(machine.offered),
        },
    }


def node_pool(machine: str = MACHINE, limit: int = LIMIT) -> Manifest:
    """The pool; an empty node of it goes after a few seconds."""
    accelerators = kwok_nodes.MACHINES[MACHINE].accelerators
    labels = dict(node_labels(accelerators)) if accelerators else {}
    return {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": {"name": NODE_POOL},
        "spec": {
            "limits": {RESOURCE: str(limit)},
            "disruption": {
                "consolidationPolicy": "WhenEmpty",
                "consolidateAfter": "3s",
                "budgets": [{"nodes": "100%"}],
            },
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "nodeClassRef": {"group": "karpenter.kwok.sh", "kind": "KWOKNodeClass", "name": "default"},
                    "expireAfter": "Never",
                    "taints": [{"key": AUTOSCALED, "value": "true", "effect": "NoSchedule"}],
                    "requirements": [
                        {"key": kwok_nodes.TYPE_LABEL, "operator": "In", "values": [machine]},
                        {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["on-demand"]},
                    ],
                },
            },
        },
    }


def warm() -> Manifest:
    """Keeps one node of the pool; asks for no accelerator, so that one is free there."""
    labels = {"app.kubernetes.io/name": WARM}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": WARM, "namespace": NAMESPACE, "labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "nodeSelector": {POOL_LABEL: NODE_POOL},
                    "tolerations": [{"key": AUTOSCALED, "operator": "Exists"}],
                    "terminationGracePeriodSeconds": 0,
                    "automountServiceAccountToken": False,
                    "containers": [
                        {
                            "name": "pause",
                            "image": IMAGES["pause"].reference,
                            "imagePullPolicy": "IfNotPresent",
                            "resources": {"requests": {"cpu": "10m", "memory": "8Mi"}},
                        }
                    ],
                },
            },
        },
    }


def missing(api: Api) -> list[str]:
    """Its pod is ready, and a real node has come for the pod that keeps one, with its accelerator."""
    deployment = api.get(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/karpenter")
    if not deployment.get("status", {}).get("readyReplicas"):
        return ["its controller"]
    made = api.get(f"/api/v1/nodes?labelSelector={POOL_LABEL}%3D{NODE_POOL}")["items"]
    if any(is_ready(node) and node["status"].get("allocatable", {}).get(RESOURCE, "0") != "0" for node in made):
        return []
    return [f"the first node of its pool ({len(made)} made, none Ready with an accelerator)"]


def companion(cluster: Cluster) -> AbstractContextManager[object]:
    """Starts what turns its Node objects into nodes; it stays as long as the cluster."""
    from aiconform.local import nodes

    nodes.accompany(cluster, COMPANION, "aiconform.local.pool.kwok_nodes", cluster.name)
    return contextlib.nullcontext()


KARPENTER = Addon(
    "karpenter",
    f"Karpenter {COMPONENTS['karpenter'].version.removeprefix('v')}, KWOK provider",
    "nodes with accelerators that come and go",
    images=("karpenter",),
    objects=objects,
    missing=missing,
    namespaces=(NAMESPACE,),
    companion=companion,
    companion_log=COMPANION,
)
