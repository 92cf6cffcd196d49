"""Servers beside the API server of a local cluster that answer in its place: rogue webhooks and rogue APIs."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from aiconform.errors import AiconformError
from aiconform.local import Cluster
from aiconform.local.api import ApiError
from aiconform.local.cluster import enter_argv
from aiconform.local.pki import Authority

PORT = 19443
ADDRESS = "198.18.0.2"
_PLACE = "/opt/rogue"

_SERVER = """
import json, os, ssl, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

def edit(obj, request):
    pass

def answer(path):
    return None

{code}

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        found = answer(self.path.split("?")[0])
        self.send(200 if found is not None else 404, found or {{"kind": "Status", "apiVersion": "v1", "code": 404}})

    def do_POST(self):
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        request = review["request"]
        before = request.get("object") or {{}}
        after = json.loads(json.dumps(before))
        denied = edit(after, request)
        response = {{"uid": request["uid"], "allowed": not denied}}
        if denied:
            response["status"] = {{"code": 403, "message": denied}}
        changed = [key for key in after if after[key] != before.get(key)]
        changes = [{{"op": "add", "path": "/" + key, "value": after[key]}} for key in changed]
        if changes:
            import base64
            response["patchType"] = "JSONPatch"
            response["patch"] = base64.b64encode(json.dumps(changes).encode()).decode()
        self.send(200, {{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}})

    def send(self, status, value):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass

def end():
    sys.stdin.read()
    os._exit(0)

threading.Thread(target=end, daemon=True).start()
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("{place}/tls.crt", "{place}/tls.key")
server = ThreadingHTTPServer(("", {port}), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


@contextmanager
def server(cluster: Cluster, code: str) -> Iterator[str]:
    """A TLS server in the network of the control plane; gives its authority's certificate, base64 of PEM.

    Args:
        cluster: which.
        code: Python that may define ``edit(obj, request)``, for admission reviews: changes the object, returns why it
            is denied or nothing; and ``answer(path)``, for GET: the JSON to answer, None for 404.
    """
    authority = Authority("rogue")
    pair = authority.issue("rogue", names=[ADDRESS, "127.0.0.1"])
    script = _SERVER.format(code=code, place=_PLACE, port=PORT)
    for name, text in (("tls.crt", pair.certificate), ("tls.key", pair.key), ("server.py", script.encode())):
        put = ["sh", "-c", f"mkdir -p {_PLACE} && cat > {_PLACE}/{name}"]
        cluster.enter("control", put, input=text.decode())
    python = str(Path(sys.executable).resolve())
    argv = [*enter_argv(cluster.node_pid("control")), python, "-I", f"{_PLACE}/server.py"]
    # killing what enters the node would leave the server in it: it ends with its input
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        time.sleep(1)
        if process.poll() is not None and process.stderr is not None:
            raise AiconformError("the rogue server did not start", details=[process.stderr.read().decode()[-500:]])
        yield base64.b64encode(authority.pair.certificate).decode()
    finally:
        process.communicate(timeout=10)


@contextmanager
def webhook(cluster: Cluster, code: str, group: str, resources: Sequence[str], *operations: str) -> Iterator[None]:
    """A mutating webhook of somebody who means no good.

    Args:
        cluster: which.
        code: see :func:`server`.
        group: API group, empty for the core.
        resources: such as ``pods`` or ``resourceclaims/status``.
        operations: such as ``CREATE``.
    """
    with server(cluster, code) as authority:
        rule = {
            "apiGroups": [group],
            "apiVersions": ["*"],
            "resources": list(resources),
            "operations": list(operations),
        }
        hook = {
            "name": "rogue.example.com",
            "clientConfig": {"url": f"https://127.0.0.1:{PORT}/", "caBundle": authority},
            "rules": [rule],
            "failurePolicy": "Ignore",
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "timeoutSeconds": 5,
        }
        config: dict[str, Any] = {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": "rogue"},
            "webhooks": [hook],
        }
        cluster.kubectl("create", "--filename=-", stdin=json.dumps(config))
        try:
            time.sleep(1)  # until the API server asks it
            yield
        finally:
            cluster.kubectl("delete", "mutatingwebhookconfiguration", "rogue")


@contextmanager
def served_by_rogue(cluster: Cluster, code: str, group: str, version: str) -> Iterator[None]:
    """An API group that somebody else answers for, in place of the API server."""
    name = f"{version}.{group}"
    with server(cluster, code):
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "rogue", "namespace": "default"}}
        port = {"port": 443, "targetPort": PORT, "name": "https"}
        endpoints = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": "rogue",
                "namespace": "default",
                "labels": {"kubernetes.io/service-name": "rogue"},
            },
            "addressType": "IPv4",
            "ports": [{"name": "https", "port": PORT}],
            "endpoints": [{"addresses": [ADDRESS], "conditions": {"ready": True}}],
        }
        both = {"apiVersion": "v1", "kind": "List", "items": [{**service, "spec": {"ports": [port]}}, endpoints]}
        cluster.kubectl("apply", "--server-side", "--filename=-", stdin=json.dumps(both))
        path = f"/apis/apiregistration.k8s.io/v1/apiservices/{name}"
        target = {"name": "rogue", "namespace": "default", "port": 443}
        cluster.api.patch(path, {"spec": {"service": target, "insecureSkipTLSVerify": True}})
        try:
            _until_available(cluster, path)
            yield
        finally:
            cluster.api.patch(path, {"spec": {"service": None, "insecureSkipTLSVerify": None}})
            cluster.kubectl("delete", "-n", "default", "service/rogue", "endpointslice/rogue", "--ignore-not-found")


def _until_available(cluster: Cluster, path: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with suppress(ApiError):
            found = cluster.api.get(path)
            conditions = found.get("status", {}).get("conditions") or []
            if any(c["type"] == "Available" and c["status"] == "True" and c["reason"] == "Passed" for c in conditions):
                time.sleep(2)
                return
        time.sleep(0.5)
    raise AiconformError(f"the rogue API is not asked: {path}")
