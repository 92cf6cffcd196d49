"""Broken autoscaling: nobody minds the pool, nodes lack what they were bought for, or come and go as they like."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

from tests.mutants.breaking import patched, scaled_to_zero
from tests.mutants.contract import Kill, Mutant
from tests.mutants.nodes import meanwhile, ours

from aiconform.errors import AiconformError
from aiconform.local import Cluster
from aiconform.local.addons import karpenter, nvidia
from aiconform.local.api import Api

CHECK = "cluster_autoscaling"
FOREIGN = "not-of-the-run"
CALM_S = 120


def _nodes(cluster: Cluster) -> list[str]:
    """Names of the pool's nodes."""
    label = f"{karpenter.POOL_LABEL}={karpenter.NODE_POOL}"
    return cluster.kubectl("get", "nodes", "--selector", label, "--output=jsonpath={.items[*].metadata.name}").split()


@contextmanager
def _calm(broken: AbstractContextManager[object], cluster: Cluster) -> Iterator[None]:
    """The break, on a pool of one node; at the end the pool is as it was."""
    _settle(cluster)
    with broken:
        yield
    _settle(cluster)


def _settle(cluster: Cluster) -> None:
    deadline = time.monotonic() + CALM_S
    while len(_nodes(cluster)) != 1 or karpenter.missing(cluster.api):
        if time.monotonic() > deadline:
            raise AiconformError(f"the pool does not come to rest: {_nodes(cluster)}")
        time.sleep(1)


def _foreign(cluster: Cluster) -> None:
    """Somebody else's pod that takes an accelerator of the pool."""
    spec = {
        "nodeSelector": {karpenter.POOL_LABEL: karpenter.NODE_POOL},
        "tolerations": [{"key": nvidia.AUTOSCALED, "operator": "Exists"}],
        "terminationGracePeriodSeconds": 0,
        "containers": [
            {
                "name": "pause",
                "image": karpenter.IMAGES["pause"].reference,
                "resources": {"limits": {nvidia.RESOURCE: "1"}},
            }
        ],
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": FOREIGN, "namespace": "default"}, "spec": spec}
    cluster.kubectl("apply", "--filename=-", stdin=json.dumps(pod))


@contextmanager
def _grows_when(cluster: Cluster, prefix: str) -> Iterator[None]:
    """The pool grows for somebody else's sake once a pod of ours is there whose name begins so."""
    done = threading.Event()

    def grow(api: Api, ended: threading.Event) -> None:
        if not done.is_set() and ours(api, "pods", prefix) and not ended.is_set():
            pods = ours(api, "pods", prefix)
            if prefix != "keeper" or all(pod["status"].get("phase") == "Running" for pod in pods):
                done.set()
                _foreign(cluster)

    try:
        with meanwhile(grow, cluster):
            yield
    finally:
        cluster.kubectl("delete", "pod", FOREIGN, "--namespace=default", "--ignore-not-found", "--wait=true")


def _replaces(cluster: Cluster) -> AbstractContextManager[None]:
    """An autoscaler that takes away the node that was there when a pod asks for one more."""
    done = threading.Event()
    [first] = _nodes(cluster) if len(_nodes(cluster)) == 1 else ["none"]

    def replace(api: Api, ended: threading.Event) -> None:
        if not done.is_set() and ours(api, "pods", "one-more") and not ended.is_set():
            done.set()
            with suppress(AiconformError):
                cluster.kubectl("delete", "node", first, "--wait=false")

    return meanwhile(replace, cluster)


def _without_accelerator(cluster: Cluster) -> AbstractContextManager[None]:
    """New nodes of the pool get no device plugin; those that run keep theirs."""
    tolerations = [{"key": "CriticalAddonsOnly", "operator": "Exists"}]
    change = {
        "spec": {
            "updateStrategy": {"type": "OnDelete", "rollingUpdate": None},
            "template": {"spec": {"tolerations": tolerations}},
        }
    }
    return patched(cluster, change, "--namespace", nvidia.NAMESPACE, "daemonset/nvidia-device-plugin")


def _never_shrinks(cluster: Cluster) -> AbstractContextManager[None]:
    change = {"spec": {"disruption": {"consolidateAfter": "Never"}}}
    return patched(cluster, change, f"nodepool/{karpenter.NODE_POOL}")


def _fixed(cluster: Cluster) -> AbstractContextManager[None]:
    """A pool that may have the one node it has, and no more."""
    change = {"spec": {"limits": {nvidia.RESOURCE: "1"}}}
    return patched(cluster, change, f"nodepool/{karpenter.NODE_POOL}")


MUTANTS = (
    Mutant(
        CHECK,
        "the pool may not grow",
        lambda cluster: _calm(_fixed(cluster), cluster),
        withheld="it has 1 nodes, and 1 is its maximum",
    ),
    Mutant(
        CHECK,
        "the pool grows for somebody else while nothing of ours asks for it",
        lambda cluster: _calm(_grows_when(cluster, "keeper"), cluster),
        {"in_use": Kill("failed", "came:")},
    ),
    Mutant(
        CHECK,
        "the autoscaler is stopped",
        lambda cluster: _calm(scaled_to_zero(cluster, karpenter.NAMESPACE, "karpenter"), cluster),
        {"grows": Kill("failed", "no new node")},
    ),
    Mutant(
        CHECK,
        "the pool's new nodes never get their accelerator",
        lambda cluster: _calm(_without_accelerator(cluster), cluster),
        {"grows": Kill("failed", "without accelerators")},
    ),
    Mutant(
        CHECK,
        "the autoscaler replaces the node that was there",
        lambda cluster: _calm(_replaces(cluster), cluster),
        {"grows": Kill("failed", "lost")},
    ),
    Mutant(
        CHECK,
        "the autoscaler never takes a node away",
        lambda cluster: _calm(_never_shrinks(cluster), cluster),
        {"shrinks": Kill("failed", "is still there")},
    ),
    Mutant(
        CHECK,
        "the pool grows although no node of it could take the pod",
        lambda cluster: _calm(_grows_when(cluster, "impossible"), cluster),
        {"not_for_what_it_lacks": Kill("failed", "came:")},
    ),
)
