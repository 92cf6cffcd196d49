"""Whole runs with credentials of every kind against a server that repeats them: they are nowhere afterwards.

Reliability goal S9. Looked at: every file that is there at the end, every byte that strace saw being written to a file,
the arguments of every program, and both outputs; also when the run is killed.
"""

from __future__ import annotations

import json
import os
import secrets as dice
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.support import leaks
from tests.support.pki import Authority, encoded, kubeconfig
from tests.support.tls_api import ApiServer, Asked, ProxyServer, Reply, api_server, connect_proxy, unauthorized

JSON = {"Content-Type": "application/json"}
CA = Authority()
SERVER = CA.server("127.0.0.1")


@dataclass
class Planted:
    """A user of a kubeconfig, every secret in it, and the files of the test that hold them."""

    user: dict[str, Any]
    secrets: list[bytes]
    files: list[Path] = field(default_factory=list)


def word(kind: str) -> str:
    """A secret that says what it is; with characters that look different in each spelling."""
    return f"{kind}-{dice.token_hex(12)}/+{dice.token_hex(4)}"


def of_token(home: Path) -> Planted:
    pair, token = CA.client("admin"), word("token")
    user = {
        "token": token,
        "client-certificate-data": encoded(pair.certificate),
        "client-key-data": encoded(pair.key),
    }
    return Planted(user, [token.encode(), pair.key])


def of_files(home: Path) -> Planted:
    pair, token = CA.client("admin"), word("file")
    texts = {"token.txt": token.encode(), "client.pem": pair.certificate, "client.key": pair.key}
    for name, data in texts.items():
        (home / name).write_bytes(data)
    user = {"tokenFile": "token.txt", "client-certificate": "client.pem", "client-key": "client.key"}
    return Planted(user, [token.encode(), pair.key], [home / name for name in texts])


def of_password(home: Path) -> Planted:
    password = word("password")
    return Planted({"username": "somebody", "password": password}, [password.encode(), f"somebody:{password}".encode()])


PLUGIN = """
import json, os, pathlib, sys
here = pathlib.Path(__file__).parent
given = json.loads((here / "given.json").read_text())
sys.stderr.write("here is what I give: " + json.dumps(given))
assert os.environ["LOGIN_TOKEN"]
print(json.dumps({"kind": "ExecCredential", "apiVersion": "API", "status": given}))
""".replace("API", "client.authentication.k8s.io/v1")


def of_plugin(home: Path) -> Planted:
    pair, token, variable = CA.client("admin"), word("plugin"), word("variable")
    program, given = home / "plugin.py", home / "given.json"
    program.write_text(PLUGIN)
    status = {"token": token, "clientCertificateData": pair.certificate.decode(), "clientKeyData": pair.key.decode()}
    given.write_text(json.dumps(status))
    run = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "interactiveMode": "Never",
        "command": sys.executable,
        "args": [str(program)],
        "env": [{"name": "LOGIN_TOKEN", "value": variable}],
    }
    return Planted({"exec": run}, [token.encode(), pair.key, variable.encode()], [program, given])


KINDS: dict[str, Callable[[Path], Planted]] = {
    "token and certificate": of_token,
    "files": of_files,
    "password": of_password,
    "plugin": of_plugin,
}


class Gossip:
    """A small API server that repeats all credentials in every answer, in every spelling."""

    def __init__(self, planted: Planted) -> None:
        self.echo = leaks.echoes(planted.secrets)
        self.objects: dict[str, Any] = {}
        self.hold = ""
        self.held = threading.Event()
        self.refuse = False

    def __call__(self, asked: Asked) -> Reply:
        path = asked.path.partition("?")[0]
        if self.hold and asked.method == self.hold:
            self.held.set()
            threading.Event().wait(20)
        if self.refuse and path != "/version":
            status, headers, body = unauthorized()
            return status, headers, json.dumps({**json.loads(body), "message": self.echo}).encode()
        if asked.method == "POST":
            made = json.loads(asked.body)
            if path.startswith("/apis/authorization.k8s.io/"):
                return self._json({**made, "status": {"allowed": True, "reason": self.echo}}, 201)
            made["metadata"] |= {"uid": "u-1", "resourceVersion": "7"}
            self.objects[f"{path}/{made['metadata']['name']}"] = made
            return self._json(made, 201)
        if asked.method == "DELETE":
            self.objects.pop(path, None)
            return self._json({"kind": "Status", "apiVersion": "v1", "status": "Success"})
        found = self.objects.get(path) or self._known(path)
        if "as=Table" in asked.all("accept")[0]:
            found = {"kind": "Table", "columnDefinitions": [{"name": self.echo}], "rows": [{"cells": [self.echo]}]}
        if found is not None:
            return self._json(found)
        missing = {"kind": "Status", "apiVersion": "v1", "reason": "Forbidden", "message": self.echo, "code": 403}
        return self._json(missing, 403)

    def _json(self, value: dict[str, Any], status: int = 200) -> Reply:
        headers = {**JSON, "Audit-ID": self.echo, "Warning": f'299 - "{self.echo}"'}
        return status, headers, json.dumps(value).encode()

    def _known(self, path: str) -> dict[str, Any] | None:
        meta = {"uid": "u", "resourceVersion": "5", "annotations": {"said": self.echo, self.echo: "too"}}
        node = {"metadata": {"name": "n", **meta}, "status": {"nodeInfo": {"osImage": self.echo, "kernelVersion": "6"}}}
        served = {"name": "resource.k8s.io", "versions": [{"groupVersion": "resource.k8s.io/v1", "version": "v1"}]}
        kinds = [{"name": self.echo, "kind": "ResourceClaim", "verbs": ["get", self.echo]}]
        known = {
            "/version": {"gitVersion": f"v1.35.3+{self.echo}"},
            "/api/v1/nodes": {"kind": "NodeList", "apiVersion": "v1", "metadata": meta, "items": [node]},
            "/api/v1/namespaces/kube-system": {
                "kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "kube-system", **meta},
            },
            "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": [served]},
            "/apis/resource.k8s.io/v1": {"kind": "APIResourceList", "apiVersion": "v1", "resources": kinds},
            "/api/v1/namespaces": {"kind": "NamespaceList", "apiVersion": "v1", "metadata": meta, "items": []},
        }  # fmt: skip
        if path.endswith("/serviceaccounts"):
            account = {"metadata": {"name": "default", "namespace": path.split("/")[4], **meta}}
            return {"kind": "ServiceAccountList", "apiVersion": "v1", "metadata": meta, "items": [account]}
        return known.get(path)


@dataclass
class Scene:
    """Where a run takes place: all that it may write is below ``home``."""

    home: Path
    planted: Planted
    gossip: Gossip
    server: ApiServer
    proxy: ProxyServer

    @property
    def command(self) -> list[str]:
        where = ["--kubeconfig", str(self.home / "config"), "--output", str(self.home / "out")]
        return [sys.executable, "-m", "aiconform", "run", "dra_support", "-v", "--format", "json", *where]

    @property
    def environment(self) -> dict[str, str]:
        own = {
            name: str(self.home) for name in ("HOME", "TMPDIR", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")
        }
        return {**os.environ, **own, "PYTHONASYNCIODEBUG": "1", "PYTHONDONTWRITEBYTECODE": "1"}

    def run(self, *before: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*before, *self.command], env=self.environment, cwd=self.home, capture_output=True, check=False, timeout=120
        )

    def assert_clean(self, *outputs: bytes) -> None:
        """No secret is in a file or an output."""
        own = [self.home / "config", *self.planted.files]
        assert leaks.found_below(self.home, self.planted.secrets, but=own) == []
        for output in outputs:
            assert leaks.found_in(output, self.planted.secrets) == []


@contextmanager
def scene(tmp_path: Path, kind: str) -> Iterator[Scene]:
    planted = KINDS[kind](tmp_path)
    with connect_proxy() as proxy:
        password = word("proxy")
        planted.secrets.append(password.encode())
        gossip = Gossip(planted)
        with api_server(SERVER, gossip, clients=CA) as server:
            through = f"http://us:{quote(password, safe='')}@127.0.0.1:{proxy.port}"
            cluster = {"server": server.url, "certificate-authority-data": encoded(CA.pem), "proxy-url": through}
            kubeconfig(tmp_path / "config", planted.user, **cluster)
            yield Scene(tmp_path, planted, gossip, server, proxy)


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_leaves_no_credential_anywhere(tmp_path: Path, kind: str) -> None:
    trace = tmp_path / "trace"
    calls = "trace=write,pwrite64,writev,execve"
    tracing = ["strace", "-f", "-y", "-s", "1000000", "-e", calls, "-o", str(trace)] if may_trace() else []
    with scene(tmp_path, kind) as place:
        done = place.run(*tracing)
        assert (tmp_path / "out/bundle/manifest.json").is_file(), done.stderr.decode()
        assert b"[redacted]" in (tmp_path / "out/report.html").read_bytes(), "the server's words have to be in it"
        assert len(place.proxy.asked) >= 1
        if tracing:
            found, writes = leaks.found_in_trace(trace, place.planted.secrets)
            assert writes > 50
            assert found == []
            memory = [line for line in trace.read_bytes().splitlines() if b"/memfd:" in line]
            assert bool(memory) == (kind != "password"), "keys go through memory alone"
            trace.unlink()
        place.assert_clean(done.stdout, done.stderr)


def may_trace() -> bool:
    """Whether strace is there and may be used."""
    return (
        shutil.which("strace") is not None
        and not subprocess.run(["strace", "-o", "/dev/null", "true"], check=False, capture_output=True).returncode
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_is_refused_leaves_no_credential_anywhere(tmp_path: Path, kind: str) -> None:
    with scene(tmp_path, kind) as place:
        place.gossip.refuse = True
        done = place.run()
        assert done.returncode == 4
        assert b"the API server does not accept" in done.stderr
        assert b"Traceback" in done.stderr, "-v shows where"
        place.assert_clean(done.stdout, done.stderr)


@pytest.mark.parametrize(("kind", "at"), [*((kind, "POST") for kind in KINDS), ("plugin", "DELETE")])
def test_a_run_that_is_killed_leaves_no_credential_anywhere(tmp_path: Path, kind: str, at: str) -> None:
    with scene(tmp_path, kind) as place:
        place.gossip.hold = at
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(place.command, env=place.environment, cwd=tmp_path, **pipes) as process:
            assert place.gossip.held.wait(60)
            arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes()
            process.send_signal(signal.SIGKILL)
            stdout, stderr = process.communicate()
        place.assert_clean(arguments, stdout, stderr)


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    """The tests above would pass with a search that finds nothing."""
    pair, token = CA.client("admin"), word("token").encode()
    for number, form in enumerate([*leaks.forms(token), *leaks.forms(pair.key)]):
        (tmp_path / str(number)).write_bytes(b"before " + form + b" after")
        assert leaks.found_below(tmp_path, [token, pair.key])
        (tmp_path / str(number)).unlink()
    trace = tmp_path / "trace"
    trace.write_bytes(b'1 write(3</tmp/x>, "a %b", 9) = 9\n' % token)
    assert leaks.found_in_trace(trace, [token]) != ([], 1)
    trace.write_bytes(b'1 write(3</memfd:credential (deleted)>, "%b", 9) = 9\n' % token)
    assert leaks.found_in_trace(trace, [token]) == ([], 0)
