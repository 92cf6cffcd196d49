"""A cloud for Cluster Autoscaler: ``python -m aiconform.local.pool.cloud CLUSTER PROGRAM``, run beside the cluster.

Serves the autoscaler's provider ``externalgrpc`` with one group of nodes and runs the autoscaler, whose program the
user gives, against it. The nodes are real ones. Needs the package ``grpcio``.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from aiconform.errors import AiconformError, LocalClusterError
from aiconform.local import companions, nodes
from aiconform.local.accelerators.node import node_labels
from aiconform.local.addons.nvidia import AUTOSCALED, RESOURCE
from aiconform.local.api import Api
from aiconform.local.cluster import Cluster, find
from aiconform.local.node import kernel
from aiconform.local.pool import wire
from aiconform.local.pool.kwok_nodes import MACHINES, say
from aiconform.local.pool.wire import Message
from aiconform.local.profiles import NodeSpec

GROUP: Final = "accelerated"
POOL: Final = "grpc"
LABEL: Final = "aiconform.dev/pool"
GPU_LABEL: Final = "nvidia.com/gpu.present"
"""Set by the kubelet from its first registration: a node with it and without a device is still on its way."""
MACHINE: Final = MACHINES["t4-1"]
MINIMUM, MAXIMUM = 1, 3
RUNNING, CREATING, DELETING = 1, 2, 3

FLAGS: Final = (
    "--cloud-provider=externalgrpc",
    "--leader-elect=false",
    "--scan-interval=1s",
    "--scale-down-unneeded-time=8s",
    "--scale-down-delay-after-add=3s",
    "--scale-down-delay-after-delete=0s",
    "--scale-down-delay-after-failure=5s",
    "--unremovable-node-recheck-timeout=2s",
    "--node-delete-delay-after-taint=0s",
    "--max-node-provision-time=90s",
    "--max-graceful-termination-sec=5",
    "--skip-nodes-with-system-pods=false",
    "--kube-client-qps=50",
    "--kube-client-burst=100",
    "--bypassed-scheduler-names=nobody",  # else pods with accelerators are looked at when they are 30 s old
)


class Cloud:
    """One group of nodes, as Cluster Autoscaler asks for it.

    Args:
        cluster: the cluster.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._api = Api(cluster.kubeconfig)
        self._change = threading.RLock()
        self._deleting: set[str] = set()
        state = cluster.home.read()
        self._names = [node.name for node in state.nodes if node.pool == POOL] if state else []
        self._running = set(self._names)
        self._numbers = len([name for name in state.retired if name.startswith(GROUP)]) if state else 0
        self._numbers += len(self._names)
        self._template = b""
        self.methods: Mapping[str, Callable[[Message], bytes]] = {
            "NodeGroups": lambda _: wire.encode({1: self._group()}),
            "NodeGroupForNode": self._of_node,
            "GPULabel": lambda _: wire.encode({1: GPU_LABEL}),
            "GetAvailableGPUTypes": lambda _: wire.encode({1: wire.encode({1: "true", 2: b""})}),
            "Refresh": lambda _: b"",
            "Cleanup": lambda _: b"",
            "NodeGroupTargetSize": lambda _: wire.encode({1: len(self._names)}),
            "NodeGroupIncreaseSize": lambda asked: self.grow(asked.number(1)),
            "NodeGroupDecreaseTargetSize": lambda _: b"",
            "NodeGroupDeleteNodes": self._delete,
            "NodeGroupNodes": self._nodes,
            "NodeGroupTemplateNodeInfo": lambda _: wire.encode({2: self._node_bytes()}),
        }

    def grow(self, by: int) -> bytes:
        """Begin to start that many nodes."""
        with self._change:
            for _ in range(by):
                self._numbers += 1
                name = f"{GROUP}-{self._numbers}"
                self._names.append(name)
                threading.Thread(target=self._start, args=(name,), daemon=True).start()
        return b""

    def _start(self, name: str) -> None:
        labels = {LABEL: GROUP}
        spec = NodeSpec(
            name, labels, MACHINE.accelerators, MACHINE.memory_gib * 1024**3, _id(name), POOL, (AUTOSCALED,)
        )
        try:
            nodes.add(self._cluster, spec)
            say(f"node {name} is Ready with its accelerator")
        except AiconformError as problem:
            say(problem.render())
            with self._change:
                self._names.remove(name)
            return
        self._running.add(name)

    def _delete(self, asked: Message) -> bytes:
        for node in asked.messages(1):
            name = node.text(1).removeprefix(_id(""))
            with self._change:
                if name not in self._names:
                    continue
                self._names.remove(name)
            nodes.remove(self._cluster, name)
            say(f"node {name} was removed")
        return b""

    def _nodes(self, _asked: Message) -> bytes:
        states = [(name, RUNNING if name in self._running else CREATING) for name in self._names]
        instances = [wire.encode({1: _id(name), 2: wire.encode({1: state})}) for name, state in states]
        return wire.encode({1: instances})

    def _of_node(self, asked: Message) -> bytes:
        """By provider id alone: what is not registered yet comes without labels."""
        mine = Message(asked.raw(1)).text(1).startswith(_id(""))
        return wire.encode({1: self._group() if mine else wire.encode({1: ""})})

    def _group(self) -> bytes:
        return wire.encode({1: GROUP, 2: MINIMUM, 3: MAXIMUM})

    def _node_bytes(self) -> bytes:
        """A node of the group as Kubernetes encodes it: what is in the envelope that the API server answers with."""
        if not self._template:
            answer = self._api.encoded("/api/v1/nodes", template())
            self._template = Message(answer.removeprefix(b"k8s\0")).raw(2)
        return self._template


def _id(name: str) -> str:
    return f"aiconform-pool://{name}"


def template() -> Mapping[str, Any]:
    """A node of the group that does not exist."""
    name = f"{GROUP}-template"
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", LABEL: GROUP}
    labels |= node_labels(MACHINE.accelerators) if MACHINE.accelerators else {}
    offered = {"cpu": "2", "memory": f"{MACHINE.memory_gib}Gi", "pods": "110", RESOURCE: str(MACHINE.offered)}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "providerID": _id(name),
            "taints": [{"key": AUTOSCALED, "value": "true", "effect": "NoSchedule"}],
        },
        "status": {
            "capacity": offered,
            "allocatable": offered,
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
        },
    }


def library() -> Any:
    """The package ``grpc``.

    Raises:
        LocalClusterError: it is not installed.
    """
    try:
        return importlib.import_module("grpc")
    except ImportError as error:
        raise LocalClusterError(
            "Cluster Autoscaler needs the Python package grpcio", hint="pip install 'aiconform[autoscaler]'"
        ) from error


def serve(methods: Mapping[str, Callable[[Message], bytes]]) -> tuple[Any, int]:
    """Serve on a free port of the machine's loopback; the server and its port."""
    grpc = library()

    class Handler(grpc.GenericRpcHandler):  # type: ignore[misc, name-defined]
        def service(self, details: Any) -> Any:
            method = methods.get(details.method.rpartition("/")[2])
            if method is None:
                return None  # answered "unimplemented", which the autoscaler takes well
            return grpc.unary_unary_rpc_method_handler(lambda request, _context: method(Message(request)))

    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((Handler(),))
    port: int = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


def main() -> int:
    """Serve, and run the autoscaler as long as it goes on."""
    companions.end_with_supervisor()
    kernel.name_process("aiconform-cloud")
    cluster = find(sys.argv[1])
    cloud = Cloud(cluster)
    _server, port = serve(cloud.methods)
    state = cluster.home.read()
    there = [node for node in state.nodes if node.pool == POOL] if state else []
    cloud.grow(max(MINIMUM - len(there), 0))
    config = cluster.home.directory / "autoscaler.yaml"
    config.write_text(f"address: 127.0.0.1:{port}\ngrpc_timeout: 30s\n")
    program = [str(Path(sys.argv[2]).resolve()), f"--kubeconfig={cluster.kubeconfig}", f"--cloud-config={config}"]
    command = ["setpriv", "--pdeathsig=KILL", *program, "--address=127.0.0.1:0", *FLAGS]
    say(f"starting {program[0]}")
    done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL)
    time.sleep(1)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
