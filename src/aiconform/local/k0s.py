"""Nodes that run a given k0s binary: its control plane and its kubelets, on our network, runtime and accelerators.

What k0s would pull from a registry is left out or brought by us: pod network (``provider: custom``), kube-proxy,
cluster DNS, metrics. Its workers use our containerd, which has the images and the accelerators' runtime, by
``--cri-socket``. Our certificate authority is in its place before it starts, so it takes that one.

Written against the documentation of k0s v1.35: https://docs.k0sproject.io/v1.35.3+k0s.0/configuration/
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from aiconform.errors import UsageError
from aiconform.local import controlplane, node_services
from aiconform.local.controlplane import CLUSTER_CIDR, CONF, DNS_DOMAIN, PORT, SERVICE_CIDR
from aiconform.local.node.launch import API_READY, INSIDE, File, Service

if TYPE_CHECKING:
    from aiconform.local.controlplane import ClusterKeys
    from aiconform.local.state import NodeState

PROGRAM = "k0s"
DATA = "/var/lib/k0s"
TOKEN = f"{INSIDE}/shared/k0s-token"
"""What a worker joins with; made by the control node, seen by all."""

PROFILE = "aiconform"
UNUSED = ("autopilot", "coredns", "konnectivity-server", "kube-proxy", "metrics-server", "update-prober")
"""Parts of k0s that are left out: they would pull images or look for updates; ours stand in where one is needed."""

_WORKER = "k0s-worker"
_VERSION = re.compile(r"v\d+\.\d+\.\d+\S*\+k0s\S*")
_LINKS: Mapping[str, str] = {f"{INSIDE}/bin/modprobe": "/bin/true"}
"""k0s loads kernel modules that it misses; the kernel is the machine's, so here it loads none."""


def version(program: Path) -> str:
    """The version of a k0s binary.

    Raises:
        UsageError: there is none, it cannot be run, or it is something else.
    """
    hint = "give a k0s binary: --k0s PATH"
    if not program.is_file():
        raise UsageError(f"{program}: there is no such file", hint=hint)
    if not os.access(program, os.X_OK):
        raise UsageError(f"{program} is not executable", hint=f"chmod +x {program}")
    try:
        done = subprocess.run([str(program), "version"], capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise UsageError(f"{program} cannot be run: {problem}", hint=hint) from problem
    found = _VERSION.search(done.stdout)
    if done.returncode != 0 or found is None:
        raise UsageError(f"{program} is no k0s: `version` answered {done.stdout.strip()[:80] or 'nothing'}", hint=hint)
    return found.group()


def links() -> Mapping[str, str]:
    """Symbolic links of every node, path to target."""
    return _LINKS


def control_services(services: Iterable[Service], listener: int) -> tuple[Service, ...]:
    """What the control node runs: the controller in place of the worker, which it runs itself.

    Args:
        services: of the node, the worker among them.
        listener: descriptor of the machine's loopback socket that the relay serves.
    """
    found = {service.name: service for service in services}
    worker = found.pop(_WORKER)
    own = ("--enable-worker", "--no-taints", f"--disable-components={','.join(UNUSED)}")
    controller = (PROGRAM, "controller", f"--config={CONF}/k0s.json", *own, *worker.argv[3:])
    python = (sys.executable, "-m")
    return (
        *found.values(),
        Service("k0s-controller", controller, after=(node_services.SOCKET,)),
        Service("wait-api", (*python, "aiconform.local.node.wait_api"), once=True),
        Service("k0s-token", (*python, "aiconform.local.k0s_token"), after=(API_READY,), once=True),
        Service("relay", (*python, "aiconform.local.node.relay"), environment={"LISTEN_FD": str(listener)}),
    )


def worker_services(place: NodeState, labels: list[str], provider_id: str) -> tuple[Service, ...]:
    """What any other node runs instead of upstream's kubelet."""
    worker = (PROGRAM, "worker", f"--token-file={TOKEN}", *_common(place, labels, provider_id))
    return (Service(_WORKER, worker, after=(node_services.SOCKET, TOKEN)),)


def _common(place: NodeState, labels: list[str], provider_id: str) -> tuple[str, ...]:
    kubelet = f"--node-ip={place.address} --provider-id={provider_id}"
    return (
        f"--data-dir={DATA}",
        "--kubelet-root-dir=/var/lib/kubelet",  # device plugins have that path compiled in
        f"--cri-socket=remote:unix://{node_services.SOCKET}",
        f"--profile={PROFILE}",
        f"--kubelet-extra-args={kubelet}",
        *((f"--labels={','.join(labels)}",) if labels else ()),
        "--ignore-pre-flight-checks",
    )


def control_files(keys: ClusterKeys, control: NodeState) -> tuple[File, ...]:
    """Configuration of the control node, and the authority that k0s is to take."""
    pair = keys.cluster.pair
    return (
        File(f"{CONF}/audit-policy.yaml", controlplane.AUDIT_POLICY),
        File(f"{CONF}/k0s.json", json.dumps(config(control), indent=1), mode=0o600),
        File(f"{DATA}/pki/ca.crt", pair.certificate.decode()),
        File(f"{DATA}/pki/ca.key", pair.key.decode(), mode=0o600),
    )


def config(control: NodeState) -> dict[str, object]:
    """The ClusterConfig, which k0s also reads as JSON."""
    return {
        "apiVersion": "k0s.k0sproject.io/v1beta1",
        "kind": "ClusterConfig",
        "metadata": {"name": "k0s"},
        "spec": {
            "api": {
                "address": control.address,
                "port": PORT,
                "sans": [control.address, "127.0.0.1", "localhost"],
                "extraArgs": {
                    "audit-policy-file": f"{CONF}/audit-policy.yaml",
                    "audit-log-path": f"{INSIDE}/logs/audit.log",
                    "audit-log-maxsize": "64",
                    "audit-log-maxbackup": "3",
                    "kubelet-preferred-address-types": "InternalIP",
                },
            },
            "controllerManager": {
                "extraArgs": {"allocate-node-cidrs": "false", "horizontal-pod-autoscaler-sync-period": "5s"}
            },
            "storage": {
                "type": "etcd",
                "etcd": {"peerAddress": control.address, "extraArgs": {"unsafe-no-fsync": "true"}},
            },
            "network": {
                "provider": "custom",
                "podCIDR": CLUSTER_CIDR,
                "serviceCIDR": SERVICE_CIDR,
                "clusterDomain": DNS_DOMAIN,
                "kubeProxy": {"disabled": True},
            },
            "telemetry": {"enabled": False},
            "workerProfiles": [{"name": PROFILE, "values": _kubelet()}],
        },
    }


def _kubelet() -> dict[str, object]:
    """What our nodes need of a kubelet, without what k0s decides by itself."""
    wanted = json.loads(node_services.kubelet_config(""))
    mine = ("cgroupDriver", "cgroupRoot", "failCgroupV1", "evictionHard", "imageGCHighThresholdPercent")
    more = ("makeIPTablesUtilChains", "nodeStatusUpdateFrequency", "syncFrequency", "serializeImagePulls")
    return {name: wanted[name] for name in (*mine, *more)}
