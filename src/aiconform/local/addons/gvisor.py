"""gVisor: upstream's runsc and its containerd shim on every node, and a RuntimeClass for pods that ask for them.

Its programs are no pods: they are put where every node of the cluster sees them, before the RuntimeClass is made. Nodes
that come later have none; the RuntimeClass keeps to those that do, by a label.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from aiconform.errors import LocalClusterError
from aiconform.local.addons.addon import Addon, Manifest, Materials
from aiconform.local.api import Api, ApiError
from aiconform.local.cluster import Cluster
from aiconform.local.components import COMPONENTS
from aiconform.local.node import kernel
from aiconform.local.node.launch import INSIDE
from aiconform.local.node_services import CAP_SYS_RESOURCE, RUNSC_CONFIG
from aiconform.local.programs import build
from aiconform.progress import Silent

NAME = "gvisor"
HANDLER = "runsc"
LABEL = "aiconform.dev/gvisor"
SHIM = "containerd-shim-runsc-v1"
PROGRAMS = (HANDLER, SHIM)
_CLASS = f"/apis/node.k8s.io/v1/runtimeclasses/{NAME}"
_SHARED = f"{INSIDE}/shared/{NAME}"

_CONFIG = f"""\
binary_name = "{INSIDE}/bin/{HANDLER}"
[runsc_config]
  platform = "systrap"
"""
"""Systrap needs no virtual machines, which a machine that is one itself seldom gives."""

_USER_NAMESPACE = f"{INSIDE}/conf/uid_map"
_INDULGENT = f"""\
#!/bin/sh
for word in "$@"; do
  if [ "$word" = start ]; then mount --bind {_USER_NAMESPACE} "/proc/$$/uid_map"; fi
done
exec {_SHARED}/{SHIM} "$@"
"""
"""Starts the shim where we lack the capability to protect it from the kernel's killer of processes.

It gives up then, unless it believes that it is in a user namespace, where nobody has that capability; so its first
process, which alone asks, is shown the map of one. The kernel takes the mount away when that process ends.
"""


def objects(_materials: Materials) -> Sequence[Manifest]:
    """The RuntimeClass."""
    return [runtime_class()]


def runtime_class(handler: str = HANDLER) -> Manifest:
    """The RuntimeClass ``gvisor``; mutants give it another handler."""
    return {
        "apiVersion": "node.k8s.io/v1",
        "kind": "RuntimeClass",
        "metadata": {"name": NAME},
        "handler": handler,
        "scheduling": {"nodeSelector": {LABEL: "true"}},
    }


def missing(api: Api) -> list[str]:
    """The RuntimeClass, and nodes with the programs."""
    try:
        api.get(_CLASS)
        able = api.get(f"/api/v1/nodes?labelSelector={LABEL}%3Dtrue")["items"]
    except ApiError as error:
        return [str(error)]
    return [] if able else ["nodes with its programs"]


@contextlib.contextmanager
def _on_every_node(cluster: Cluster) -> Iterator[None]:
    """Puts the programs on the nodes that there are."""
    state = cluster.home.read() or cluster.state
    _share(build.ensure(PROGRAMS, Silent()), cluster.home.directory / "shared" / NAME)
    for node in state.nodes:
        _install(cluster, node.name)
    names = [f"nodes/{node.name}" for node in state.nodes]
    cluster.kubectl("label", "--overwrite", *names, f"{LABEL}=true")
    yield


def _share(programs: build.Binaries, directory: Path) -> None:
    """Once for all nodes, which may not see the directory that they were built in."""
    directory.mkdir(exist_ok=True)
    for name in PROGRAMS:
        target = directory / name
        target.unlink(missing_ok=True)
        try:
            os.link(programs[name], target)
        except OSError:
            shutil.copy2(programs[name], target)


def _install(cluster: Cluster, node: str) -> None:
    """Links where containerd and its shim look, and the shim's configuration."""
    links = "; ".join(f"ln -sfn {_SHARED}/{name} {INSIDE}/bin/{name}" for name in PROGRAMS)
    _in(cluster, node, f"{links}; cat > {RUNSC_CONFIG}", _CONFIG)
    if not kernel.has_capability(CAP_SYS_RESOURCE):
        _in(cluster, node, f"cat > {_USER_NAMESPACE}", "0 0 4294967294\n")
        shim = f"{INSIDE}/bin/{SHIM}"
        _in(cluster, node, f"rm {shim}; cat > {shim}; chmod 755 {shim}", _INDULGENT)


def _in(cluster: Cluster, node: str, script: str, text: str) -> None:
    done = cluster.enter(node, ["sh", "-ec", script], input=text)
    if done.returncode != 0:
        raise LocalClusterError(f"cannot put gVisor on node {node}", details=done.stderr.splitlines()[-5:])


GVISOR = Addon(
    NAME,
    f"gVisor {COMPONENTS[NAME].variables['gvisor.dev/gvisor/runsc/version.version']}",
    "sandboxed pods",
    images=(),
    objects=objects,
    missing=missing,
    programs=PROGRAMS,
    companion=_on_every_node,
)
