"""Waits until the nodes of a starting cluster are Ready, and completes their Node objects."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable

from aiconform.errors import LocalClusterError
from aiconform.local import inspection
from aiconform.local.api import Api, ApiError, JsonObject
from aiconform.local.cluster import Cluster
from aiconform.local.profiles import CONTROL
from aiconform.local.state import NodeState

PATIENCE_S = 40.0
"""After this a kubelet whose node is not Ready is started anew: one that registers too slowly gives up for good."""


def complete(api: Api, place: NodeState) -> None:
    """Tell a Node object which pod addresses its node uses; nobody else in this cluster hands them out.

    Raises:
        ApiError: there is no such Node object yet, or the API server does not answer.
    """
    roles = {"node-role.kubernetes.io/control-plane": ""} if place.name == CONTROL else {}  # not for kubelets to say
    spec = {"podCIDR": place.pod_cidr, "podCIDRs": [place.pod_cidr]}
    api.patch(f"/api/v1/nodes/{place.name}", {"metadata": {"labels": roles}, "spec": spec})


class Registration:
    """The nodes that are still to come. Asked again and again, from one thread.

    Args:
        cluster: the cluster.
        nodes: those to wait for; None: all of a starting cluster.
    """

    def __init__(self, cluster: Cluster, nodes: Iterable[NodeState] | None = None) -> None:
        self._cluster = cluster
        self._api = Api(cluster.kubeconfig)
        self._places = {node.name: node for node in (cluster.state.nodes if nodes is None else nodes)}
        self._missing = set(self._places)
        self._incomplete = set(self._missing)
        self._again = time.monotonic() + PATIENCE_S

    def finished(self) -> bool:
        """Look; true once every node is Ready and complete."""
        try:
            for node in self._api.get("/api/v1/nodes")["items"]:
                self._see(node)
        except ApiError:
            return False
        if self._missing and time.monotonic() > self._again:
            self._again = time.monotonic() + PATIENCE_S
            self._restart_kubelets()
        return not self._missing and not self._incomplete

    def waiting(self) -> str:
        """The nodes that are not Ready, for a person."""
        return ", ".join(sorted(self._missing))

    def _see(self, node: JsonObject) -> None:
        name = node["metadata"]["name"]
        if name in self._incomplete:
            complete(self._api, self._places[name])
            self._incomplete.discard(name)
        if inspection.is_ready(node):
            self._missing.discard(name)

    def _restart_kubelets(self) -> None:
        for name in self._missing:
            report = inspection.service_report(self._cluster.home.node(name)).get("kubelet", {})
            with contextlib.suppress(LocalClusterError):  # the node itself is being started again
                if report.get("pid"):
                    self._cluster.enter(name, ["sh", "-c", f"kill {report['pid']}"])
