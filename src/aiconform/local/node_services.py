"""What every node runs: containerd, kubelet, kube-proxy, and the pod network's configuration."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from aiconform.local.controlplane import CLUSTER_CIDR, CONF, DNS_DOMAIN, SERVICE_DNS, ClusterKeys
from aiconform.local.node import kernel
from aiconform.local.node.launch import API_READY, INSIDE, File, Service
from aiconform.local.state import NodeState

SOCKET = "/run/containerd/containerd.sock"
PKI = f"{INSIDE}/pki"
PAUSE = "registry.k8s.io/pause:3.10.1"
RUNSC_CONFIG = f"{CONF}/runsc.toml"
"""How gVisor's shim starts sandboxes; the add-on ``gvisor`` writes it."""
CAP_SYS_RESOURCE = 24

_CONTAINERD = """\
version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.erofs", "io.containerd.snapshotter.v1.blockfile", \
"io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", \
"io.containerd.nri.v1.nri", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]

[grpc]
  address = "{socket}"

[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "{pause}"

[plugins."io.containerd.cri.v1.runtime"]
  enable_cdi = true
  cdi_spec_dirs = ["/etc/cdi", "/var/run/cdi"]
  restrict_oom_score_adj = {restrict_oom}
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["{bin}"]
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.cri.v1.runtime".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
        BinaryName = "{bin}/runc"
        SystemdCgroup = false
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.nvidia]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.nvidia.options]
        BinaryName = "{bin}/nvidia-container-runtime"
        SystemdCgroup = false
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runsc]
      runtime_type = "io.containerd.runsc.v1"
      [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runsc.options]
        TypeUrl = "io.containerd.runsc.v1.options"
        ConfigPath = "{runsc}"
"""


def containerd_config() -> str:
    """Configuration of containerd: CDI on, the runtime handlers ``runc``, ``nvidia`` and ``runsc``.

    The programs of the last come with the add-on ``gvisor``; without them only a pod that asks for it does not start.
    """
    # Without the capability runc cannot lower a container's oom_score_adj below its own, and fails on it.
    restrict = "false" if kernel.has_capability(CAP_SYS_RESOURCE) else "true"
    return _CONTAINERD.format(
        socket=SOCKET, pause=PAUSE, bin=f"{INSIDE}/bin", restrict_oom=restrict, runsc=RUNSC_CONFIG
    )


def cni_config(node: NodeState) -> str:
    """The pod network: routed, addresses from the node's range, none rewritten between nodes.

    Not a bridge: what goes over one is seen by kube-proxy's rules only where the machine has the kernel module
    ``br_netfilter`` loaded; without it a Service does not work between pods of the same node.
    """
    return json.dumps(
        {
            "cniVersion": "1.0.0",
            "name": "pods",
            "plugins": [
                {
                    "type": "ptp",
                    "ipMasq": False,
                    "ipam": {
                        "type": "host-local",
                        "ranges": [[{"subnet": node.pod_cidr}]],
                        "routes": [{"dst": "0.0.0.0/0"}],
                    },
                },
                {"type": "portmap", "capabilities": {"portMappings": True}, "backend": "nftables"},
            ],
        },
        indent=1,
    )


def kubelet_config(provider_id: str) -> str:
    """Configuration of the kubelet.

    Disk pressure is switched off: the disk is the machine's, and its owner decides how full it may be.
    """
    return json.dumps(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True, "cacheTTL": "10s"},
                "x509": {"clientCAFile": f"{PKI}/ca.crt"},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": f"{PKI}/kubelet.crt",
            "tlsPrivateKeyFile": f"{PKI}/kubelet.key",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": "/",
            "failCgroupV1": False,
            "failSwapOn": False,
            "clusterDNS": [SERVICE_DNS],
            "clusterDomain": DNS_DOMAIN,
            "resolvConf": "/etc/resolv.conf",
            "containerRuntimeEndpoint": f"unix://{SOCKET}",
            "providerID": provider_id,
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "0%", "imagefs.available": "0%"},
            "imageGCHighThresholdPercent": 100,
            "makeIPTablesUtilChains": False,
            "nodeStatusUpdateFrequency": "2s",
            "syncFrequency": "2s",  # mounted Secrets are read anew then: a new ServiceMonitor waits for that
            "serializeImagePulls": False,
            "enableServer": True,
        },
        indent=1,
    )


def proxy_config(node: NodeState) -> str:
    """Configuration of kube-proxy. Connection tracking limits belong to the machine and stay as they are."""
    return json.dumps(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "clusterCIDR": CLUSTER_CIDR,
            "detectLocalMode": "ClusterCIDR",
            "hostnameOverride": node.name,
            "clientConnection": {"kubeconfig": f"{CONF}/kube-proxy.kubeconfig"},
            "conntrack": {
                "maxPerCore": 0,
                "min": 0,
                "tcpEstablishedTimeout": "0s",
                "tcpCloseWaitTimeout": "0s",
            },
        },
        indent=1,
    )


def write_keys(keys: ClusterKeys, node: NodeState, directory: Path) -> None:
    """Make the node's own certificate; the kubelet uses it as client and as server."""
    keys.cluster.issue(f"system:node:{node.name}", ["system:nodes"], [node.name, node.address]).write(
        directory, "kubelet"
    )
    (directory / "ca.crt").write_bytes(keys.cluster.pair.certificate)


def files(keys: ClusterKeys, node: NodeState, machine_id: str, provider_id: str) -> tuple[File, ...]:
    """Configuration files of a node; by ``provider_id`` an autoscaler knows it."""
    identity = f"system:node:{node.name}"
    return (
        File("/etc/machine-id", machine_id + "\n"),
        File("/etc/hostname", node.name + "\n"),
        File("/etc/hosts", f"127.0.0.1 localhost\n{node.address} {node.name}\n"),
        File("/etc/resolv.conf", "# no way out of the local cluster\n"),
        File("/etc/cni/net.d/10-pods.conflist", cni_config(node)),
        File(f"{CONF}/containerd.toml", containerd_config()),
        File(f"{CONF}/kubelet.json", kubelet_config(provider_id)),
        File(f"{CONF}/kubelet.kubeconfig", keys.kubeconfig(identity, ("system:nodes",)), mode=0o600),
        File(f"{CONF}/kube-proxy.json", proxy_config(node)),
        File(f"{CONF}/kube-proxy.kubeconfig", keys.kubeconfig("system:kube-proxy"), mode=0o600),
    )


def without_kubelet(services: Iterable[Service]) -> tuple[Service, ...]:
    """What a node runs where a distribution brings the kubelet."""
    return tuple(service for service in services if service.name != "kubelet")


def services(node: NodeState, labels: Iterable[str], taints: Iterable[str] = ()) -> tuple[Service, ...]:
    """What a node runs.

    Args:
        node: the node.
        labels: ``key=value`` of the Node object from its first registration.
        taints: keys of its taints.
    """
    fences = ",".join(f"{key}=true:NoSchedule" for key in taints)
    kubelet = Service(
        "kubelet",
        (
            "kubelet",
            f"--config={CONF}/kubelet.json",
            f"--kubeconfig={CONF}/kubelet.kubeconfig",
            f"--hostname-override={node.name}",
            f"--node-ip={node.address}",
            f"--node-labels={','.join(labels)}",
            *([f"--register-with-taints={fences}"] if fences else []),
        ),
        after=(SOCKET, API_READY),
    )
    return (
        Service("containerd", ("containerd", "--config", f"{CONF}/containerd.toml", "--log-level", "warn")),
        kubelet,
        Service("kube-proxy", ("kube-proxy", f"--config={CONF}/kube-proxy.json"), after=(API_READY,)),
    )
