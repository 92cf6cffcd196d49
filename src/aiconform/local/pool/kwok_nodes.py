"""Turns an autoscaler's Node objects into nodes: ``python -m aiconform.local.pool.kwok_nodes CLUSTER``.

Runs beside the cluster as long as it does.

Karpenter's KWOK provider makes Node objects that nobody runs. For each of them this starts a real node of that name:
its kubelet adopts the object, and only what it reports makes the node Ready. When the object is gone, so is the node.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aiconform.errors import AiconformError
from aiconform.local import companions, nodes
from aiconform.local.addons.nvidia import RESOURCE
from aiconform.local.api import Api, ApiError, JsonObject
from aiconform.local.cluster import Cluster, find
from aiconform.local.node import kernel
from aiconform.local.profiles import Accelerators, NodeSpec
from aiconform.local.registration import complete

PROVIDER = "kwok://"
"""Begins the provider id of the Node objects that are ours to run."""

POOL = "kwok"
TYPE_LABEL = "node.kubernetes.io/instance-type"
AGAIN_S = 0.5


@dataclass(frozen=True)
class Machine:
    """What a node of an instance type is.

    Attributes:
        cpu: as the autoscaler is told; the kubelet reports the machine's own.
        memory_gib: of the node.
        accelerators: as they really are.
        promised: accelerators as the autoscaler is told; None: as they are.
    """

    cpu: int
    memory_gib: int
    accelerators: Accelerators | None
    promised: int | None = None

    @property
    def offered(self) -> int:
        """Accelerators that the autoscaler counts on."""
        found = self.accelerators.count if self.accelerators else 0
        return found if self.promised is None else self.promised


MACHINES: Mapping[str, Machine] = {
    "t4-1": Machine(2, 4, Accelerators("Tesla T4", count=1)),
    "t4-missing": Machine(2, 4, None, promised=1),
}
"""Instance types by name; ``t4-missing`` never advertises the accelerator it is bought for, for tests."""


class Pool:
    """Keeps the nodes of one cluster what the autoscaler's Node objects say.

    Args:
        cluster: the cluster.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._api = Api(cluster.kubeconfig)

    def run(self) -> None:
        """Follow the Node objects until the process ends."""
        while True:
            try:
                self._follow()
            except (ApiError, AiconformError) as problem:
                say(str(problem))
                time.sleep(AGAIN_S)

    def _follow(self) -> None:
        seen = self._api.get("/api/v1/nodes")
        known = {node["metadata"]["name"]: node for node in seen["items"]}
        self.reconcile(known.values())
        for event in self._api.changes("/api/v1/nodes", seen["metadata"]["resourceVersion"]):
            node = event["object"]
            if event["type"] == "ERROR":
                return
            name = node["metadata"]["name"]
            if event["type"] == "DELETED":
                known.pop(name, None)
            else:
                known[name] = node
            self.reconcile(known.values())

    def reconcile(self, objects: Iterable[JsonObject]) -> None:
        """Start what is missing, end what nobody wants any more."""
        wanted = {node["metadata"]["name"]: node for node in objects if ours(node)}
        state = self._cluster.home.read()
        if state is None:
            return
        running = {node.name for node in state.nodes if node.pool == POOL}
        for name in sorted(running - set(wanted)):
            nodes.retire(self._cluster.home, name)
            nodes.forget_pods(self._api, name)
            say(f"ended node {name}: its object is gone")
        for name, node in wanted.items():
            if name not in running and name not in state.retired and "deletionTimestamp" not in node["metadata"]:
                self._start(node)

    def _start(self, node: JsonObject) -> None:
        begun = time.monotonic()
        nothing = {RESOURCE: "0"}  # the autoscaler's promise; the kubelet would keep it until a device plugin comes
        status = {"status": {"capacity": nothing, "allocatable": nothing}}
        self._api.patch(f"/api/v1/nodes/{node['metadata']['name']}/status", status)
        place = nodes.begin(self._cluster, spec_of(node))
        complete(self._api, place)
        say(f"started node {place.name} for its object, in {time.monotonic() - begun:.1f} s")


def ours(node: JsonObject) -> bool:
    """Whether a Node object is one that nobody else runs."""
    return str(node.get("spec", {}).get("providerID", "")).startswith(PROVIDER)


def spec_of(node: JsonObject) -> NodeSpec:
    """The node that a Node object describes."""
    metadata = node["metadata"]
    machine = MACHINES[metadata["labels"][TYPE_LABEL]]
    return NodeSpec(
        metadata["name"],
        accelerators=machine.accelerators,
        memory_bytes=machine.memory_gib * 1024**3,
        provider_id=node["spec"]["providerID"],
        pool=POOL,
    )


def say(text: str) -> None:
    """A line for the companion's log."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    print(f"{stamp} {text}", flush=True)  # noqa: T201


def main() -> None:
    """Follow the objects of the cluster named on the command line."""
    companions.end_with_supervisor()
    kernel.name_process("aiconform-pool")
    Pool(find(sys.argv[1])).run()


if __name__ == "__main__":
    main()
