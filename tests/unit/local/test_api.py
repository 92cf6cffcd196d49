from __future__ import annotations

import http.server
import json
import ssl
import threading

import pytest

from aiconform.local import kubeconfig
from aiconform.local.api import Api, ApiError
from aiconform.local.pki import Authority


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length).decode()
        user = dict(pair[0] for pair in self.connection.getpeercert()["subject"])["commonName"]
        seen = {"verb": self.command, "path": self.path, "type": self.headers.get("Content-Type"), "body": body}
        text = "[]" if self.path == "/list" else json.dumps({**seen, "user": user})
        self.send_response(404 if self.path == "/missing" else 200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_PATCH = answer  # noqa: N815

    def log_message(self, *_args) -> None:
        pass


@pytest.fixture
def api(tmp_path):
    authority = Authority("ca")
    authority.issue("server", names=["127.0.0.1"]).write(tmp_path, "server")
    (tmp_path / "ca.crt").write_bytes(authority.pair.certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(tmp_path / "ca.crt")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = tmp_path / "kubeconfig"
    url = f"https://127.0.0.1:{server.server_port}"
    config.write_text(kubeconfig.render("c", url, authority.pair.certificate, authority.issue("admin")))
    yield Api(config)
    server.shutdown()
    server.server_close()


def test_asks_as_the_one_in_the_kubeconfig(api) -> None:
    assert api.get("/api")["user"] == "admin"


def test_apply_knows_where_things_belong(api) -> None:
    seen = api.apply({"kind": "Deployment", "metadata": {"name": "d", "namespace": "n"}})
    assert seen["verb"] == "PATCH"
    assert seen["path"].startswith("/apis/apps/v1/namespaces/n/deployments/d?")
    assert seen["type"] == "application/apply-patch+yaml"


def test_patch_is_a_merge_patch(api) -> None:
    seen = api.patch("/api/v1/nodes/a", {"spec": {}})
    assert (seen["type"], seen["body"]) == ("application/merge-patch+json", '{"spec": {}}')


def test_an_error_status_is_told(api) -> None:
    with pytest.raises(ApiError) as caught:
        api.get("/missing")
    assert caught.value.status == 404


def test_a_list_is_no_object(api) -> None:
    with pytest.raises(ApiError):
        api.get("/list")


def test_no_server_is_status_0(tmp_path) -> None:
    authority = Authority("ca")
    config = tmp_path / "kubeconfig"
    config.write_text(kubeconfig.render("c", "https://127.0.0.1:1", authority.pair.certificate, authority.issue("a")))
    with pytest.raises(ApiError) as caught:
        Api(config).get("/api")
    assert caught.value.status == 0
