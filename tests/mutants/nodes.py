"""Ways to break a node of a running local cluster from inside."""

from __future__ import annotations

import json
import os
import shlex
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

from aiconform.errors import AiconformError
from aiconform.local import Cluster
from aiconform.local.api import Api, ApiError

_RUNC = "/run/aiconform/bin/runc"
_WRAPPER = "/opt/broken-runtime"

_SCRIPT = """#!{python} -I
import json, os, sys

def device(path):
    number = os.stat(path).st_rdev
    return {{"path": path, "type": "c", "major": os.major(number), "minor": os.minor(number), "fileMode": 0o666}}

def give(spec, path):
    found = device(path)
    spec["linux"].setdefault("devices", []).append(found)
    allow(spec, found["major"], found["minor"])

def allow(spec, major, minor=None):
    rule = {{"allow": True, "type": "c", "major": major, "access": "rwm"}}
    rules = spec["linux"].setdefault("resources", {{}}).setdefault("devices", [])
    rules.append(rule if minor is None else {{**rule, "minor": minor}})

arguments = sys.argv[1:]
if "create" in arguments:
    path = arguments[arguments.index("--bundle") + 1] + "/config.json"
    with open(path) as file:
        spec = json.load(file)
    notes = spec.get("annotations", {{}})
    container = notes.get("io.kubernetes.cri.container-name", "")
    pod = notes.get("io.kubernetes.cri.sandbox-name", "")
    ours = notes.get("io.kubernetes.cri.sandbox-namespace", "").startswith("aiconform-")
    if ours and container:
{code}
    with open(path, "w") as file:
        json.dump(spec, file)
os.execv({runc!r}, [{runc!r}, *arguments])
"""


@contextmanager
def runtime(cluster: Cluster, node: str, *code: str) -> Iterator[None]:
    """A container runtime that changes what it starts in namespaces of ours, and the right one again.

    Args:
        cluster: which.
        node: whose runtime.
        code: Python lines that change ``spec`` (an OCI runtime configuration), knowing ``pod`` and ``container``;
            ``give(spec, path)`` adds a device of the node, ``allow(spec, major)`` lets the container open one it makes.
    """
    real = cluster.enter(node, ["readlink", _RUNC]).stdout.strip()
    lines = "\n".join(f"        {line}" for line in code)
    script = _SCRIPT.format(python=os.path.realpath(sys.executable), code=lines, runc=real)
    cluster.enter(node, ["sh", "-c", f"cat > {_WRAPPER} && chmod 755 {_WRAPPER}"], input=script)
    _link(cluster, node, _WRAPPER)
    try:
        yield
    finally:
        _link(cluster, node, real)


def _link(cluster: Cluster, node: str, target: str) -> None:
    done = cluster.enter(node, ["ln", "-sfn", target, _RUNC])
    if done.returncode != 0:
        raise AiconformError(f"cannot change the runtime of {node}: {done.stderr}")


@contextmanager
def meanwhile(work: Callable[[Api, threading.Event], None], cluster: Cluster) -> Iterator[None]:
    """Something that goes on in the background until the end; it is told to stop by the event."""
    ended = threading.Event()
    api = Api(cluster.kubeconfig)

    def go_on() -> None:
        while not ended.is_set():
            with suppress(ApiError):
                work(api, ended)
            ended.wait(0.1)

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(timeout=10)


def ours(api: Api, plural: str, prefix: str, group: str = "/api/v1") -> list[dict[str, Any]]:
    """Objects of runs whose names begin so: labelled, or in the namespace of one, as the pods of a Deployment are."""
    items = api.get(f"{group}/{plural}")["items"]
    return [item for item in items if item["metadata"]["name"].startswith(prefix) and _of_a_run(item["metadata"])]


def _of_a_run(meta: dict[str, Any]) -> bool:
    return "aiconform.dev/run" in meta.get("labels", {}) or meta.get("namespace", "").startswith("aiconform-")


def refused(pod: dict[str, Any]) -> bool:
    """Whether the scheduler has said that a pod does not fit."""
    conditions = pod.get("status", {}).get("conditions") or []
    return any(c["type"] == "PodScheduled" and c.get("reason") == "Unschedulable" for c in conditions)


def binds_anyway(cluster: Cluster, prefix: str, node: str) -> AbstractContextManager[None]:
    """Somebody who binds pods to a node although the scheduler has refused them."""

    def bind(api: Api, ended: threading.Event) -> None:
        for pod in ours(api, "pods", prefix):
            if refused(pod) and not pod["spec"].get("nodeName") and not ended.is_set():
                meta = pod["metadata"]
                target = {"apiVersion": "v1", "kind": "Node", "name": node}
                path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/binding"
                binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": meta["name"]}, "target": target}
                with suppress(AiconformError):
                    cluster.kubectl("create", "--raw", path, "--filename=-", stdin=json.dumps(binding))

    return meanwhile(bind, cluster)


@contextmanager
def stops_once(cluster: Cluster, program: str, prefix: str) -> Iterator[None]:
    """A program of the control plane that stops once a pod of ours whose name begins so was refused."""
    stopped = threading.Event()

    def stop(api: Api, ended: threading.Event) -> None:
        if not stopped.is_set() and any(refused(pod) for pod in ours(api, "pods", prefix)) and not ended.is_set():
            stopped.set()
            _signal(cluster, program, "STOP")

    try:
        with meanwhile(stop, cluster):
            yield
    finally:
        _signal(cluster, program, "CONT")


def _signal(cluster: Cluster, program: str, name: str) -> None:
    # by name, but within the process namespace of our own node
    found = f"read -r n < $p/comm && [ $n = {shlex.quote(program[:15])} ] && kill -{name} ${{p#/proc/}}"
    cluster.enter("control", ["sh", "-c", f"for p in /proc/[0-9]*; do {found}; done"])
