"""Broken sandboxes: a name with nothing behind it, and sandboxes that show what is the node's."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from tests.mutants.breaking import applied, deleted
from tests.mutants.contract import Kill, Mutant
from tests.mutants.nodes import meanwhile, ours

from aiconform.errors import AiconformError
from aiconform.local import Cluster
from aiconform.local.addons.gvisor import HANDLER, NAME, SHIM, runtime_class
from aiconform.local.api import Api

BIN = "/run/aiconform/bin"
WRAPPER = "/opt/broken-sandbox"

_SCRIPT = """#!{python} -I
import json, os, sys

def show(source, destination):
    mount = {{"destination": destination, "type": "bind", "source": source, "options": ["rbind", "ro"]}}
    spec.setdefault("mounts", []).append(mount)

arguments = sys.argv[1:]
if "create" in arguments:
    path = arguments[arguments.index("--bundle") + 1] + "/config.json"
    with open(path) as file:
        spec = json.load(file)
    notes = spec.get("annotations", {{}})
    pod = notes.get("io.kubernetes.cri.container-type") == "sandbox"
    if notes.get("io.kubernetes.cri.sandbox-namespace", "").startswith("aiconform-"):
{code}
    with open(path, "w") as file:
        json.dump(spec, file)
os.execv({real!r}, [{real!r}, *{more!r}, *arguments])
"""


def _nodes(cluster: Cluster) -> list[str]:
    return [node.name for node in cluster.state.nodes]


def _do(cluster: Cluster, node: str, script: str, text: str = "") -> str:
    done = cluster.enter(node, ["sh", "-ec", script], input=text)
    if done.returncode != 0:
        raise AiconformError(f"cannot change the sandbox of {node}: {done.stderr}")
    return done.stdout.strip()


@contextmanager
def sandbox(cluster: Cluster, *code: str, more: tuple[str, ...] = ()) -> Iterator[None]:
    """A runsc that changes what it starts in namespaces of ours, on every node, and the right one again.

    Args:
        cluster: which.
        code: Python lines that change ``spec`` (an OCI runtime configuration), knowing ``pod`` (whether it is the
            sandbox itself); ``show(source, destination)`` shows it a file or directory of the node.
        more: options before runsc's own.
    """
    lines = "\n".join(f"        {line}" for line in code or ("pass",))
    with ExitStack() as repaired:
        for node in _nodes(cluster):
            real = _do(cluster, node, f"readlink {BIN}/{HANDLER}")
            script = _SCRIPT.format(python=os.path.realpath(sys.executable), code=lines, real=real, more=more)
            _do(cluster, node, f"cat > {WRAPPER} && chmod 755 {WRAPPER} && ln -sfn {WRAPPER} {BIN}/{HANDLER}", script)
            repaired.callback(_do, cluster, node, f"ln -sfn {real} {BIN}/{HANDLER}")
        yield


@contextmanager
def in_name_only(cluster: Cluster) -> Iterator[None]:
    """A RuntimeClass called after a sandbox, whose handler is the one of every other pod."""
    with deleted(cluster, f"runtimeclass/{NAME}"), applied(cluster, dict(runtime_class("runc"))):
        yield


@contextmanager
def without_shim(cluster: Cluster) -> Iterator[None]:
    """Nodes that cannot start a sandbox."""
    with ExitStack() as repaired:
        _hide(cluster, repaired)
        yield


def _hide(cluster: Cluster, repaired: ExitStack) -> None:
    for node in _nodes(cluster):
        _do(cluster, node, f"mv {BIN}/{SHIM} {BIN}/hidden")
        repaired.callback(_do, cluster, node, f"mv {BIN}/hidden {BIN}/{SHIM}")


@contextmanager
def breaks_once(cluster: Cluster) -> Iterator[None]:
    """Nodes that start one sandbox, and no more."""
    with ExitStack() as repaired:
        hidden = threading.Event()

        def hide(api: Api, ended: threading.Event) -> None:
            running = [pod for pod in ours(api, "pods", "plain-") if pod.get("status", {}).get("phase") == "Running"]
            if running and not hidden.is_set() and not ended.is_set():
                hidden.set()
                _hide(cluster, repaired)

        with meanwhile(hide, cluster):
            yield


def _networkless(cluster: Cluster) -> AbstractContextManager[None]:
    """Sandboxes on the node's own network."""
    code = (
        "for one in spec['linux']['namespaces']:",
        "    if one['type'] == 'network': one['path'] = '/proc/1/ns/net'",
    )
    return sandbox(cluster, *code, more=("--network=host",))


_AS_KUBELET = (
    "if not pod: spec['process']['args'][2] = 'printf \"#!/bin/sh\\nsleep 800\\n\" > /tmp/kubelet; '"
    " + 'chmod 755 /tmp/kubelet; /tmp/kubelet & sleep 1; ' + spec['process']['args'][2]"
)

MUTANTS = (
    Mutant(
        "workload_sandboxing",
        "the RuntimeClass gvisor has the handler runc",
        in_name_only,
        {"kernel": Kill("failed", "is on another kernel than the node's")},
    ),
    Mutant(
        "workload_sandboxing",
        "no node can start a sandbox",
        without_shim,
        {"kernel": Kill("failed", "is Pending")},
    ),
    Mutant(
        "workload_sandboxing",
        "a process called like a daemon of the node is in the sandbox",
        lambda cluster: sandbox(cluster, _AS_KUBELET),
        {"processes": Kill("failed", "kubelet")},
    ),
    Mutant(
        "workload_sandboxing",
        "a file of the node is read at /dev/mem",
        lambda cluster: sandbox(cluster, "show('/etc/hostname', '/dev/mem')"),
        {"memory": Kill("failed", "read from: /dev/mem")},
    ),
    Mutant(
        "workload_sandboxing",
        "the kubelet's directory is shown to the sandbox",
        lambda cluster: sandbox(cluster, "show('/var/lib/kubelet', '/var/lib/kubelet')"),
        {"files": Kill("failed", "/var/lib/kubelet")},
    ),
    Mutant(
        "workload_sandboxing",
        "the sandbox is on the node's own network",
        _networkless,
        {"network": Kill("failed", ("nodes0", "veth"))},
    ),
    Mutant(
        "workload_sandboxing",
        "a node starts one sandbox and no more",
        breaks_once,
        {"again": Kill("failed", ("is Pending", "is still there"))},
    ),
)
