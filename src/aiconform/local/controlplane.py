"""The control plane's programs and their flags: etcd, API server, controller manager, scheduler, the loopback relay.

Flags follow what kubeadm sets for the same version; what differs says why.
"""

from __future__ import annotations

import sys
from pathlib import Path

from aiconform.local import kubeconfig
from aiconform.local.node.launch import API_READY, INSIDE, File, Service
from aiconform.local.pki import Authority, Pair, signing_key
from aiconform.local.state import NodeState

CLUSTER_CIDR = "10.244.0.0/16"
SERVICE_CIDR = "10.96.0.0/16"
SERVICE_API = "10.96.0.1"
SERVICE_DNS = "10.96.0.10"
DNS_DOMAIN = "cluster.local"
PORT = 6443
PKI = f"{INSIDE}/pki-control"
CONF = f"{INSIDE}/conf"

AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
"""


def api_url(address: str) -> str:
    """URL of the API server at an address."""
    return f"https://{address}:{PORT}"


class ClusterKeys:
    """The authorities of one cluster, while certificates are made.

    Args:
        control: the control node.
        authority: of the cluster, if it has one already.
    """

    def __init__(self, control: NodeState, authority: Authority | None = None) -> None:
        self.cluster = authority or Authority("kubernetes-ca")
        self._control = control

    def kubeconfig(
        self, user: str, organizations: tuple[str, ...] = (), server: str = "", context: str = "aiconform"
    ) -> str:
        """A kubeconfig for a user of the cluster."""
        identity = self.cluster.issue(user, organizations)
        url = server or api_url(self._control.address)
        return kubeconfig.render(context, url, self.cluster.pair.certificate, identity)

    def write_control_plane(self, directory: Path) -> None:
        """Make every certificate and key of the control plane in ``directory``."""
        etcd, front_proxy = Authority("etcd-ca"), Authority("front-proxy-ca")
        names = [
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            f"kubernetes.default.svc.{DNS_DOMAIN}",
            "localhost",
            "127.0.0.1",
            SERVICE_API,
            self._control.address,
        ]
        pairs = {
            "ca": self.cluster.pair,
            "apiserver": self.cluster.issue("kube-apiserver", names=names),
            "apiserver-kubelet-client": self.cluster.issue("kube-apiserver-kubelet-client"),
            "etcd": etcd.issue("etcd", names=["localhost", "127.0.0.1"]),
            "apiserver-etcd-client": etcd.issue("kube-apiserver"),
            "front-proxy-client": front_proxy.issue("front-proxy-client"),
            "etcd-ca": Pair(etcd.pair.certificate, b""),
            "front-proxy-ca": Pair(front_proxy.pair.certificate, b""),
        }
        for name, pair in pairs.items():
            pair.write(directory, name)
        private, public = signing_key()
        Pair(public, private).write(directory, "service-accounts")


def files(keys: ClusterKeys) -> tuple[File, ...]:
    """Configuration of the control plane's programs."""
    return (
        File(f"{CONF}/audit-policy.yaml", AUDIT_POLICY),
        File(f"{CONF}/controller-manager.kubeconfig", keys.kubeconfig("system:kube-controller-manager"), mode=0o600),
        File(f"{CONF}/scheduler.kubeconfig", keys.kubeconfig("system:kube-scheduler"), mode=0o600),
    )


def services(control: NodeState, listener: int) -> tuple[Service, ...]:
    """What the control node runs beside what every node runs.

    Args:
        control: the control node.
        listener: descriptor of the machine's loopback socket that the relay serves.
    """
    return (
        _etcd(),
        _api_server(control),
        Service("wait-api", (sys.executable, "-m", "aiconform.local.node.wait_api"), once=True),
        _controller_manager(),
        _scheduler(),
        Service(
            "relay", (sys.executable, "-m", "aiconform.local.node.relay"), environment={"LISTEN_FD": str(listener)}
        ),
    )


def _etcd() -> Service:
    return Service(
        "etcd",
        (
            "etcd",
            "--name=control",
            "--data-dir=/var/lib/etcd",
            "--unsafe-no-fsync",  # the data does not outlive the cluster
            "--listen-client-urls=https://127.0.0.1:2379",
            "--advertise-client-urls=https://127.0.0.1:2379",
            "--listen-peer-urls=http://127.0.0.1:2380",
            "--initial-advertise-peer-urls=http://127.0.0.1:2380",
            "--initial-cluster=control=http://127.0.0.1:2380",
            "--heartbeat-interval=500",  # a busy machine must not look like a lost leader
            "--election-timeout=5000",
            "--client-cert-auth",
            f"--trusted-ca-file={PKI}/etcd-ca.crt",
            f"--cert-file={PKI}/etcd.crt",
            f"--key-file={PKI}/etcd.key",
            "--log-level=warn",
        ),
    )


def _api_server(control: NodeState) -> Service:
    return Service(
        "kube-apiserver",
        (
            "kube-apiserver",
            f"--advertise-address={control.address}",
            f"--secure-port={PORT}",
            "--allow-privileged=true",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            f"--client-ca-file={PKI}/ca.crt",
            f"--tls-cert-file={PKI}/apiserver.crt",
            f"--tls-private-key-file={PKI}/apiserver.key",
            "--etcd-servers=https://127.0.0.1:2379",
            f"--etcd-cafile={PKI}/etcd-ca.crt",
            f"--etcd-certfile={PKI}/apiserver-etcd-client.crt",
            f"--etcd-keyfile={PKI}/apiserver-etcd-client.key",
            f"--kubelet-certificate-authority={PKI}/ca.crt",
            f"--kubelet-client-certificate={PKI}/apiserver-kubelet-client.crt",
            f"--kubelet-client-key={PKI}/apiserver-kubelet-client.key",
            "--kubelet-preferred-address-types=InternalIP",  # node names are in no DNS
            f"--service-cluster-ip-range={SERVICE_CIDR}",
            f"--service-account-issuer=https://kubernetes.default.svc.{DNS_DOMAIN}",
            f"--service-account-key-file={PKI}/service-accounts.crt",
            f"--service-account-signing-key-file={PKI}/service-accounts.key",
            f"--proxy-client-cert-file={PKI}/front-proxy-client.crt",
            f"--proxy-client-key-file={PKI}/front-proxy-client.key",
            f"--requestheader-client-ca-file={PKI}/front-proxy-ca.crt",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--audit-policy-file={CONF}/audit-policy.yaml",
            f"--audit-log-path={INSIDE}/logs/audit.log",
            "--audit-log-maxsize=64",
            "--audit-log-maxbackup=3",
        ),
    )


def _controller_manager() -> Service:
    config = f"{CONF}/controller-manager.kubeconfig"
    return Service(
        "kube-controller-manager",
        (
            "kube-controller-manager",
            f"--kubeconfig={config}",
            f"--authentication-kubeconfig={config}",
            f"--authorization-kubeconfig={config}",
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
            "--use-service-account-credentials=true",
            "--controllers=*,bootstrapsigner,tokencleaner",
            "--horizontal-pod-autoscaler-sync-period=5s",  # upstream's 15 s are waited for too often in a check
            "--allocate-node-cidrs=false",  # every node's pod network follows from its number
            f"--cluster-cidr={CLUSTER_CIDR}",
            f"--service-cluster-ip-range={SERVICE_CIDR}",
            f"--root-ca-file={PKI}/ca.crt",
            f"--client-ca-file={PKI}/ca.crt",
            f"--cluster-signing-cert-file={PKI}/ca.crt",
            f"--cluster-signing-key-file={PKI}/ca.key",
            f"--service-account-private-key-file={PKI}/service-accounts.key",
            f"--requestheader-client-ca-file={PKI}/front-proxy-ca.crt",
        ),
        after=(API_READY,),
    )


def _scheduler() -> Service:
    config = f"{CONF}/scheduler.kubeconfig"
    return Service(
        "kube-scheduler",
        (
            "kube-scheduler",
            f"--kubeconfig={config}",
            f"--authentication-kubeconfig={config}",
            f"--authorization-kubeconfig={config}",
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
        ),
        after=(API_READY,),
    )
