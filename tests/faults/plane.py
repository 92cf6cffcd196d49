"""The smallest real control plane: etcd, API server, controller manager and scheduler as plain processes, no node.

It needs no root and no container runtime and is there within seconds; it ends with this process. The programs and
their flags are those of the local cluster (:mod:`aiconform.local.controlplane`), at other places and ports.
"""

from __future__ import annotations

import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.faults.proxy import Upstream

from aiconform.local import controlplane
from aiconform.local.api import Api, ApiError
from aiconform.local.controlplane import ClusterKeys
from aiconform.local.node.launch import INSIDE
from aiconform.local.pki import Authority
from aiconform.local.programs import build
from aiconform.local.state import NodeState
from aiconform.progress import Silent

PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
ADMIN = "faults-admin"
RUNNER = "faults-runner"
"""The user that runs arrive as: what the audit log says of it is what runs did."""
LIMIT_S = 90.0
_POLICY = f"""\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  users: [{RUNNER}]
- level: None
"""
_QUICKER = {
    # many runs end at once: what deletes namespaces must not be what is waited for
    "kube-controller-manager": (
        "--secure-port=0",
        "--kube-api-qps=1000",
        "--kube-api-burst=2000",
        "--concurrent-namespace-syncs=20",
        "--controllers=-node-lifecycle-controller",  # it would taint bystanding nodes
    ),
    "kube-scheduler": ("--secure-port=0",),
    "kube-apiserver": ("--audit-log-maxsize=100000",),
}
_WITH_US = ("setpriv", "--pdeathsig", "KILL")
"""Of util-linux: what is started so ends with whoever started it."""


class Admin(Api):
    """The administrator's requests, creation included."""

    def create(self, path: str, thing: dict[str, Any]) -> dict[str, Any]:
        """Create an object in a collection."""
        return self._ask("POST", path, thing, "application/json")


class Plane:
    """A running control plane; use as ``with``.

    Raises:
        RuntimeError: it does not come up; the end of the logs is in the message.
    """

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="aiconform-faults-"))
        self.host = "127.0.0.1"
        self.port, self._etcd_port, self._peer_port = _free_ports(3)
        self.audit_log = self.directory / "logs" / "audit.log"
        self.authority = Authority("kubernetes-ca")
        self._control = NodeState("control", 0)
        self._keys = ClusterKeys(self._control, self.authority)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._argv: dict[str, list[str]] = {}

    def __enter__(self) -> Plane:
        """Start everything and wait until it is ready."""
        try:
            self._write()
            binaries = build.ensure(PROGRAMS, Silent())
            for service in controlplane.services(self._control, listener=0):
                if service.name in PROGRAMS:
                    argv = [self._moved(word) for word in service.argv]
                    self._start(service.name, [str(binaries[argv[0]]), *argv[1:], *_QUICKER.get(service.name, ())])
                if service.name == "kube-apiserver":
                    self._wait("the API server", "/readyz")
            self._wait("the controller manager", "/api/v1/namespaces/default/serviceaccounts/default")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End every process and remove the files."""
        for process in reversed(self.processes.values()):
            process.kill()
        for process in self.processes.values():
            process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.directory / "admin.kubeconfig"

    def api(self, timeout_s: float = 30.0) -> Admin:
        """Requests as the administrator."""
        return Admin(self.kubeconfig, timeout_s)

    def upstream(self, user: str = RUNNER) -> Upstream:
        """The API server, asked as this user, who may do everything."""
        tls = ssl.create_default_context(cadata=self.authority.pair.certificate.decode())
        pair = self.authority.issue(user, ("system:masters",))
        pair.write(self.directory, user)
        tls.load_cert_chain(self.directory / f"{user}.crt", self.directory / f"{user}.key")
        return Upstream(self.host, self.port, tls)

    def killed(self, name: str) -> None:
        """Kill a process where it stands, and start it anew."""
        self.processes[name].kill()
        self.processes[name].wait()
        self._start(name, self._argv[name])

    def paused(self, name: str, *, on: bool) -> None:
        """Stop a process in its tracks, or let it go on."""
        self.processes[name].send_signal(signal.SIGSTOP if on else signal.SIGCONT)

    def _write(self) -> None:
        (self.directory / "logs").mkdir()
        keys = self.directory / "pki-control"
        keys.mkdir()
        self._keys.write_control_plane(keys)
        url = f"https://{self.host}:{self.port}"
        self.kubeconfig.write_text(self._keys.kubeconfig(ADMIN, ("system:masters",), url))
        for file in controlplane.files(self._keys):
            path = Path(self._moved(file.path))
            path.parent.mkdir(exist_ok=True)
            path.write_text(self._moved(file.content))
        Path(self._moved(f"{controlplane.CONF}/audit-policy.yaml")).write_text(_POLICY)

    def _moved(self, text: str) -> str:
        """A flag or a file of the local cluster, with our places and ports in it."""
        for theirs, ours in (
            (controlplane.api_url(self._control.address), f"https://{self.host}:{self.port}"),
            (self._control.address, self.host),
            (f"--secure-port={controlplane.PORT}", f"--secure-port={self.port}"),
            (":2379", f":{self._etcd_port}"),
            (":2380", f":{self._peer_port}"),
            ("/var/lib/etcd", str(self.directory / "etcd")),
            (INSIDE, str(self.directory)),
        ):
            text = text.replace(theirs, ours)
        return text

    def _start(self, name: str, argv: list[str]) -> None:
        self._argv[name] = argv
        with (self.directory / "logs" / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [*_WITH_US, *argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def _wait(self, what: str, path: str) -> None:
        deadline = time.monotonic() + LIMIT_S
        api = self.api(5.0)
        while True:
            try:
                api.text(path)
            except ApiError as problem:
                dead = [name for name, process in self.processes.items() if process.poll() is not None]
                if dead or time.monotonic() > deadline:
                    raise RuntimeError(f"no {what}: {problem}; ended: {dead}\n{self._tails()}") from problem
                time.sleep(0.05)
            else:
                return

    def _tails(self) -> str:
        return "\n".join(_tail(path) for path in sorted((self.directory / "logs").glob("*.log")))


def _tail(path: Path) -> str:
    return "\n".join([f"{path.name}:", *path.read_text(errors="replace").splitlines()[-5:]])


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
