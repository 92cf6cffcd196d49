"""``aiconform doctor`` on a large cluster: 5,000 nodes and 50,000 pods as objects on a real API server.

Usage: large.py [--nodes N] [--pods N]

A local cluster of a control plane alone is filled with objects, which are put where the API server keeps them: it reads
and serves them as its own, and to create as many by requests takes many minutes. Its controller manager is stopped
meanwhile, for it would take nodes without a kubelet for lost ones. The targets are those of promise S7.
"""

from __future__ import annotations

import argparse
import base64
import functools
import json
import os
import resource
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from bench import MIB, Figure, Memory, most_of, say

from aiconform import local
from aiconform.local import Cluster

Obj = dict[str, Any]

NAME = "large"
EVERY_TENTH = 10
"""Of so many nodes one has accelerators."""
PER_NODE = 8
ETCD = "https://127.0.0.1:2379"
CREATED = "2026-01-01T00:00:00Z"


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
    return _stored("Node", {"name": name, "labels": labels}, {}, status)


def pod(number: int, nodes: int) -> Obj:
    """A pod on one of the nodes, of the size that such pods have; many hold an accelerator."""
    resources: Obj = {"requests": {"cpu": "100m", "memory": "128Mi"}}
    on = number % nodes
    if on % EVERY_TENTH == 0 and number // nodes < PER_NODE // 2:
        resources["limits"] = {"nvidia.com/gpu": "1"}
    container = {
        "name": "main",
        "image": f"registry.example.com/team/image@sha256:{number:064d}",
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent",
        "env": [{"name": f"SETTING_{one}", "value": "x" * 40} for one in range(20)],
        "resources": resources,
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}},
    }
    meta = {"name": f"pod-{number}", "namespace": "default", "labels": {"app": f"app-{number % 500}"}}
    meta["annotations"] = {f"example.com/note-{one}": "x" * 80 for one in range(8)}  # type: ignore[assignment]
    spec = {"nodeName": f"node-{on}", "containers": [container], "restartPolicy": "Always", "dnsPolicy": "ClusterFirst"}
    conditions = [
        {"type": kind, "status": "True"} for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    ]
    return _stored("Pod", meta, spec, {"phase": "Running", "conditions": conditions, "podIP": "198.51.100.7"})


def _stored(kind: str, meta: Obj, spec: Obj, status: Obj) -> Obj:
    """An object as the API server would have stored it."""
    known = {"uid": str(uuid.uuid4()), "creationTimestamp": CREATED}
    return {"apiVersion": "v1", "kind": kind, "metadata": {**meta, **known}, "spec": spec, "status": status}


def fill(cluster: Cluster, objects: Iterable[tuple[str, Obj]], *, at_once: int) -> None:
    """Put objects into the cluster's etcd, by a child within the control node's network."""
    pid = cluster.node_pid(cluster.state.nodes[0].name)
    command = ["nsenter", f"--target={pid}", "--net", sys.executable, __file__, "--etcd", str(cluster.home.pki)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as child, child.stdin as pipe:
        batch: list[Obj] = []
        for key, obj in objects:
            batch.append({"requestPut": {"key": _base64(key), "value": _base64(json.dumps(obj))}})
            if len(batch) == at_once:
                pipe.write(json.dumps({"success": batch}) + "\n")
                batch = []
        pipe.write(json.dumps({"success": batch}) + "\n")
    if child.returncode != 0:
        raise RuntimeError("the objects could not be put into etcd")


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def put(pki: Path) -> int:
    """Send what comes on standard input, a transaction a line, to the etcd of this network namespace."""
    import httpx2

    trust = ssl.create_default_context(cafile=pki / "etcd-ca.crt")
    trust.load_cert_chain(pki / "apiserver-etcd-client.crt", pki / "apiserver-etcd-client.key")
    with httpx2.Client(base_url=ETCD, verify=trust, trust_env=False, timeout=60) as client:
        for line in sys.stdin:
            answer = client.post("/v3/kv/txn", content=line)
            if answer.status_code != 200:
                say(f"etcd: {answer.status_code} {answer.text[:300]}")
                return 1
    return 0


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


def diagnosed(cluster: Cluster) -> tuple[Obj, float, float, float]:
    """Run the doctor: what it found, seconds, seconds of a processor, and most MiB of memory it held."""
    before = _processor_s()
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
        return json.load(out), took, _processor_s() - before, memory.most / MIB


def _processor_s() -> float:
    """Seconds of a processor that ended children used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


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
    options.add_argument("--etcd", type=Path, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.etcd:
        return put(chosen.etcd)
    cluster = local.up(f"{NAME}-{os.getpid()}", "plain", owner_pid=os.getpid())
    try:
        with without_controllers(cluster):
            begun = time.monotonic()
            fill(cluster, ((f"/registry/minions/node-{n}", node(n)) for n in range(chosen.nodes)), at_once=50)
            pods = ((f"/registry/pods/default/pod-{n}", pod(n, chosen.nodes)) for n in range(chosen.pods))
            fill(cluster, pods, at_once=120)
            say(f"filled in {time.monotonic() - begun:.0f} s")
            found, took, processor, mib = diagnosed(cluster)
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
    machine = f"machine load {os.getloadavg()[0]:.1f} on {len(os.sched_getaffinity(0))} cores"
    busy = f"{processor:.1f} s of a processor; {machine}"
    seen = f"{found['nodes']} nodes, {chosen.pods} pods; {free}; {requests} requests; {busy}"
    sys.stdout.write("\n".join([seen, head, *(figure.line() for figure in figures)]) + "\n")
    return 0 if all(figure.value <= figure.target for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
