"""``aiconform doctor`` on a large cluster: 5,000 nodes and 50,000 pods as objects on a real API server.

Usage: large.py [--nodes N] [--pods N]

A local cluster of a control plane alone is filled with objects. Its controller manager is stopped meanwhile, for it
would take nodes without a kubelet for lost ones. Figures stand beside the targets of reliability.md (S7).
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
from bench import MIB, Figure, Memory, most_of, say

from aiconform import local
from aiconform.cluster.connection import connect
from aiconform.cluster.http import ClusterHttp, RawRequest
from aiconform.local import Cluster

Obj = dict[str, Any]

NAME = "large"
EVERY_TENTH = 10
"""Of so many nodes one has accelerators."""
PER_NODE = 8
AT_ONCE = 24


def node(number: int) -> Obj:
    """A node as a cloud's kubelet registers it, of the size that such nodes have."""
    name = f"node-{number}"
    accelerated = number % EVERY_TENTH == 0
    allocatable = {"cpu": "96", "memory": "512Gi", "pods": "110", "ephemeral-storage": "900Gi"}
    if accelerated:
        allocatable["nvidia.com/gpu"] = str(PER_NODE)
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux"}
    labels |= {f"feature.example.com/cpu-{flag}": "true" for flag in range(40)}
    labels |= (
        {"nvidia.com/gpu.product": "Example", "aiconform.dev/simulated-accelerator": "true"} if accelerated else {}
    )
    images = [
        {"names": [f"registry.example.com/team/image-{one}@sha256:{one:064d}"], "sizeBytes": one} for one in range(50)
    ]
    conditions = [
        {"type": kind, "status": str(kind == "Ready"), "reason": "KubeletSaysSo", "message": "as it should be"}
        for kind in ("MemoryPressure", "DiskPressure", "PIDPressure", "Ready")
    ]
    info = dict.fromkeys(("architecture", "bootID", "kernelVersion", "machineID", "operatingSystem", "systemUUID"), "x")
    info |= {"osImage": "Example 1", "kubeletVersion": "v1.35.3", "containerRuntimeVersion": "containerd://2.2.1"}
    info |= {"kubeProxyVersion": ""}
    status = {
        "allocatable": allocatable,
        "capacity": allocatable,
        "conditions": conditions,
        "images": images,
        "nodeInfo": info,
    }
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "status": status}


def pod(number: int, nodes: int) -> Obj:
    """A pod on one of the nodes, of the size that such pods have; many hold an accelerator."""
    resources: Obj = {"requests": {"cpu": "100m", "memory": "128Mi"}}
    on = number % nodes
    if on % EVERY_TENTH == 0 and number // nodes < PER_NODE // 2:
        resources["limits"] = {"nvidia.com/gpu": "1"}
    container = {
        "name": "main",
        "image": f"registry.example.com/team/image@sha256:{number:064d}",
        "env": [{"name": f"SETTING_{one}", "value": "x" * 40} for one in range(20)],
        "resources": resources,
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}},
    }
    meta = {"name": f"pod-{number}", "namespace": "default", "labels": {"app": f"app-{number % 500}"}}
    meta["annotations"] = {f"example.com/note-{one}": "x" * 80 for one in range(8)}  # type: ignore[assignment]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": meta,
        "spec": {"nodeName": f"node-{on}", "containers": [container]},
    }


async def fill(cluster: Cluster, path: str, objects: Iterable[Obj]) -> None:
    """Create objects, many at once."""
    waiting = iter(objects)
    done = 0

    async def work(http: ClusterHttp) -> None:
        nonlocal done
        for obj in waiting:
            body, headers = json.dumps(obj).encode(), {"Content-Type": "application/json"}
            answer = await http.send(RawRequest("POST", path, (), headers, body))
            if answer.status not in (201, 409):
                raise RuntimeError(f"{path}: {answer.status} {answer.error} {answer.body[:300]!r}")
            done += 1
            if done % 5000 == 0:
                say(f"  {done} at {path}")

    async with ClusterHttp(connect(cluster.kubeconfig)) as http, anyio.create_task_group() as group:
        for _ in range(AT_ONCE):
            group.start_soon(work, http)


@contextmanager
def without_controllers(cluster: Cluster) -> Iterator[None]:
    """Stop the controller manager, and let it go on at the end."""
    pids = [pid for pid in cluster.home.cgroup.processes() if _program(pid) == "kube-controller-manager"]
    if not pids:
        raise RuntimeError("the cluster's controller manager was not found")
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def _program(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/exe").readlink().name
    except OSError:
        return ""


def diagnosed(cluster: Cluster) -> tuple[Obj, float, float]:
    """Run the doctor: what it found, seconds, and most MiB of memory it held."""
    command = [sys.executable, "-m", "aiconform", "doctor", "--format", "json", "--kubeconfig", str(cluster.kubeconfig)]
    begun = time.monotonic()
    with (
        tempfile.TemporaryFile() as out,
        subprocess.Popen(command, stdout=out) as process,
        Memory(functools.partial(most_of, process.pid), every_s=0.02) as memory,
    ):
        process.wait()
        took = time.monotonic() - begun
        out.seek(0)
        return json.load(out), took, memory.most / MIB


def pace(cluster: Cluster) -> tuple[int, int, int]:
    """By the audit log: requests of the doctor, most in any second, most at the same time."""
    spans = []
    log = cluster.audit_log
    for path in sorted(log.parent.glob(f"{log.stem}*{log.suffix}")):
        with path.open(encoding="utf-8") as lines:
            events = (json.loads(line) for line in lines if ".doctor." in line)
            spans += [
                (_seconds(event["requestReceivedTimestamp"]), _seconds(event["stageTimestamp"]))
                for event in events
                if event["stage"] == "ResponseComplete"
            ]
    spans.sort()
    starts = [start for start, _ in spans]
    second = max(sum(start <= other < start + 1 for other in starts) for start in starts)
    at_once = max(sum(begun <= start < ended for begun, ended in spans) for start in starts)
    return len(spans), second, at_once


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def main() -> int:
    """Fill, measure, print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--nodes", type=int, default=5000)
    options.add_argument("--pods", type=int, default=50000)
    chosen = options.parse_args()
    cluster = local.up(f"{NAME}-{os.getpid()}", "plain", owner_pid=os.getpid())
    try:
        with without_controllers(cluster):
            begun = time.monotonic()
            anyio.run(fill, cluster, "/api/v1/nodes", (node(number) for number in range(chosen.nodes)))
            pods = (pod(number, chosen.nodes) for number in range(chosen.pods))
            anyio.run(fill, cluster, "/api/v1/namespaces/default/pods", pods)
            say(f"filled in {time.monotonic() - begun:.0f} s")
            found, took, mib = diagnosed(cluster)
            requests, second, at_once = pace(cluster)
    finally:
        local.down(cluster.name)
    gpus = next(one for one in found["devices"] if one["name"] == "nvidia.com/gpu")
    figures = [
        Figure("doctor", took, 30, "s"),
        Figure("its memory", mib, 200, "MiB"),
        Figure("most requests in a second", second, 10, ""),
        Figure("most requests at the same time", at_once, 4, ""),
    ]
    head = f"{'figure':<52} {'value':>8} {'target':>8} {'':<4} {'ratio':>6}"
    free = f"{gpus['free']} of {gpus['total']} accelerators free"
    seen = f"{found['nodes']} nodes, {chosen.pods} pods; {free}; {requests} requests"
    sys.stdout.write("\n".join([seen, head, *(figure.line() for figure in figures)]) + "\n")
    return 0 if all(figure.value <= figure.target for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
