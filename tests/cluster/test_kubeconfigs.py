"""Credentials of every kind on the real API server, held against what the real kubectl makes of the same file."""

from __future__ import annotations

import base64
import json
import os
import random
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
import yaml
from tests.support import leaks
from tests.support.pki import encoded, write
from tests.support.tls_api import connect_proxy, token_file

from aiconform.cluster import kubeconfig as module
from aiconform.cluster.connection import connect
from aiconform.cluster.http import ClusterHttp, RawAnswer, RawRequest
from aiconform.errors import UnreachableError
from aiconform.local import Cluster
from aiconform.local.images.table import IMAGES
from aiconform.local.parts import kubectl

pytestmark = pytest.mark.cluster

WHO = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
READS = (
    "/version",
    "/apis",
    "/api/v1/nodes",
    "/apis/resource.k8s.io/v1/resourceslices",
    "/api/v1/namespaces/kube-system",
)
"""What discovery reads first."""


@dataclass(frozen=True)
class Place:
    """The cluster, who its administrator is, and a ServiceAccount that may do everything."""

    cluster: Cluster
    home: Path
    server: str
    ca: bytes
    certificate: bytes
    key: bytes
    namespace: str

    def token(self) -> str:
        """A new token of the ServiceAccount."""
        return self.cluster.kubectl("create", "token", "tester", "-n", self.namespace).strip()

    def config(self, user: dict[str, Any], name: str = "config", **cluster: Any) -> Path:
        """A kubeconfig for the cluster."""
        given = {"server": self.server, "certificate-authority-data": encoded(self.ca), **cluster}
        return write(self.home / name, clusters={"a": given}, users={"a": user}, current="a")

    def plugin(self, version: str, status: dict[str, str]) -> dict[str, Any]:
        """A user whose credentials a program gives."""
        api = f"client.authentication.k8s.io/{version}"
        answer = self.home / f"answer-{secrets.token_hex(4)}.json"
        answer.write_text(json.dumps({"kind": "ExecCredential", "apiVersion": api, "status": status}))
        mode = {"interactiveMode": "IfAvailable"} if version == "v1" else {}
        return {"exec": {"apiVersion": api, "command": "cat", "args": [str(answer)], **mode}}


@pytest.fixture(scope="module")
def place(local_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    loaded = yaml.safe_load(local_cluster.kubeconfig.read_text())
    (entry,), (user,) = loaded["clusters"], loaded["users"]
    read = {key: base64.b64decode(user["user"][f"client-{key}-data"]) for key in ("certificate", "key")}
    ca = base64.b64decode(entry["cluster"]["certificate-authority-data"])
    namespace = f"kubeconfigs-{secrets.token_hex(4)}"
    local_cluster.kubectl("create", "namespace", namespace)
    local_cluster.kubectl("create", "serviceaccount", "tester", "-n", namespace)
    admin = f"--serviceaccount={namespace}:tester"
    local_cluster.kubectl("create", "clusterrolebinding", namespace, "--clusterrole=cluster-admin", admin)
    home = tmp_path_factory.mktemp("kubeconfigs")
    yield Place(local_cluster, home, entry["cluster"]["server"], ca, **read, namespace=namespace)
    local_cluster.kubectl("delete", "clusterrolebinding", namespace)
    local_cluster.kubectl("delete", "namespace", namespace, "--wait=false")


def ask(path: Path | None, *requests: RawRequest) -> list[RawAnswer]:
    async def work() -> list[RawAnswer]:
        async with ClusterHttp(connect(path)) as http:
            return [await http.send(request) for request in requests]

    return anyio.run(work)


def whoami(path: Path | None) -> dict[str, Any]:
    """Who the API server takes us for, and that it lets us read what discovery reads."""
    review = json.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}).encode()
    who = RawRequest("POST", WHO, (), {"Content-Type": "application/json"}, review)
    first, *reads = ask(path, who, *(RawRequest("GET", read) for read in READS))
    assert first.status == 201, first
    assert [answer.status for answer in reads] == [200] * len(READS), reads
    return clean(json.loads(first.body)["status"]["userInfo"])


def clean(user: dict[str, Any]) -> dict[str, Any]:
    """Without the id of the credential, which is another one for every token."""
    extra = {key: value for key, value in user.get("extra", {}).items() if "credential-id" not in key}
    return {**user, "extra": extra}


def by_kubectl(**environment: str) -> dict[str, Any]:
    """Who the real kubectl is with these files."""
    done = subprocess.run(
        [str(kubectl()), "auth", "whoami", "-o", "json"],
        env={**os.environ, "HOME": "/nonexistent", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return clean(json.loads(done.stdout)["status"]["userInfo"])


def same(path: Path) -> dict[str, Any]:
    """What both say, which has to be the same."""
    ours = whoami(path)
    assert ours == by_kubectl(KUBECONFIG=str(path))
    return ours


def pair(place: Place) -> dict[str, str]:
    """The administrator's certificate as a kubeconfig holds it."""
    return {"client-certificate-data": encoded(place.certificate), "client-key-data": encoded(place.key)}


def test_a_client_certificate(place: Place) -> None:
    in_files = {"client-certificate": "admin.crt", "client-key": "admin.key"}
    (place.home / "admin.crt").write_bytes(place.certificate)
    (place.home / "admin.key").write_bytes(place.key)
    assert same(place.config(pair(place))) == same(place.config(in_files))


def test_a_token_of_a_service_account(place: Place) -> None:
    name = f"system:serviceaccount:{place.namespace}:tester"
    assert same(place.config({"token": place.token()}))["username"] == name
    token_file(place.home / "token", place.token())
    assert same(place.config({"tokenFile": "token"}))["username"] == name


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_a_plugin_that_gives_a_token(place: Place, version: str) -> None:
    user = same(place.config(place.plugin(version, {"token": place.token()})))
    assert user["username"] == f"system:serviceaccount:{place.namespace}:tester"


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_a_plugin_that_gives_a_certificate(place: Place, version: str) -> None:
    status = {"clientCertificateData": place.certificate.decode(), "clientKeyData": place.key.decode()}
    assert same(place.config(place.plugin(version, status))) == same(place.config(pair(place)))


def test_acting_as_somebody_else(place: Place) -> None:
    somebody = {
        "as": "jané",
        "as-uid": "u-1",
        "as-groups": ["system:masters", "dev"],
        "as-user-extra": {"acme.com/scopes": ["a", "b"]},
    }
    user = same(place.config({**pair(place), **somebody}))
    assert (user["username"], user["uid"], user["extra"]) == ("jané", "u-1", {"acme.com/scopes": ["a", "b"]})


def test_a_proxy_and_another_name_of_the_server(place: Place) -> None:
    with connect_proxy() as proxy:
        ways = {"proxy-url": f"http://127.0.0.1:{proxy.port}", "tls-server-name": "kubernetes.default.svc"}
        assert same(place.config(pair(place), **ways)) == same(place.config(pair(place)))
        assert len(proxy.asked) >= 2
    assert ask(place.config({}, **{"tls-server-name": "not.of.the.cluster"}), RawRequest("GET", "/version"))[0].error


def test_a_pods_own_service_account(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    account = place.home / "account"
    account.mkdir()
    (account / "token").write_text(place.token())
    (account / "ca.crt").write_bytes(place.ca)
    host, _, port = place.server.removeprefix("https://").partition(":")
    monkeypatch.setattr(module, "SERVICE_ACCOUNT", account)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    monkeypatch.setenv("HOME", str(account))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    assert whoami(None)["username"] == f"system:serviceaccount:{place.namespace}:tester"


def test_several_files_are_merged_as_kubectl_merges_them(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = {"server": place.server, "certificate-authority": "ca.crt"}
    (place.home / "two").mkdir()
    (place.home / "two/ca.crt").write_bytes(place.ca)
    token_file(place.home / "token", place.token())
    one = write(place.home / "1", users={"u": {"tokenFile": "token"}}, contexts={})
    two = write(place.home / "two/2", clusters={"c": cluster}, users={"u": pair(place)}, contexts={}, current="x")
    three = write(
        place.home / "3",
        clusters={"c": {"server": "https://127.0.0.1:1"}},
        contexts={"x": {"cluster": "c", "user": "u"}},
        current="none",
    )
    files = os.pathsep.join([str(place.home / "missing"), "", *map(str, (one, two, three))])
    monkeypatch.setenv("KUBECONFIG", files)
    assert whoami(None) == by_kubectl(KUBECONFIG=files)


def test_a_token_that_is_no_good_is_renewed_once_and_then_said(place: Place) -> None:
    answers = place.home / "answers"
    program = (
        "import sys; from pathlib import Path; tokens = Path(sys.argv[1]).read_text().split();"
        "Path(sys.argv[1]).write_text(' '.join(tokens[1:] or tokens));"
        'print(\'{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1",\''
        '\'"status":{"token":"\' + tokens[0] + \'"}}\')'
    )
    run = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "interactiveMode": "Never",
        "command": sys.executable,
        "args": ["-c", program, str(answers)],
    }
    answers.write_text(f"expired-and-gone {place.token()}")
    assert whoami(place.config({"exec": run}))["username"].endswith(":tester")
    answers.write_text("expired-and-gone also-of-no-use")
    (answer,) = ask(place.config({"exec": run}), RawRequest("GET", "/api/v1/nodes"))
    assert answer.status == 401
    assert answer.error.startswith("the API server does not accept what credential plugin")


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_a_run_by_plugin_leaves_no_credential_anywhere(place: Place, tmp_path: Path) -> None:
    """S9 on the real API server: token and key of a plugin, in files, output and everything that was written."""
    token = place.token()
    status = {
        "token": token,
        "clientCertificateData": place.certificate.decode(),
        "clientKeyData": place.key.decode(),
    }
    path = place.config(place.plugin("v1", status))
    trace = tmp_path / "trace"
    tracing = ["strace", "-f", "-y", "-s", "1000000", "-e", "trace=write,pwrite64,writev,execve", "-o", str(trace)]
    where = [
        "--kubeconfig",
        str(path),
        "--output",
        str(tmp_path / "out"),
        "--image",
        f"probe={IMAGES['busybox'].reference}",
    ]
    home = {name: str(tmp_path) for name in ("HOME", "TMPDIR", "XDG_STATE_HOME", "XDG_CACHE_HOME")}
    done = subprocess.run(
        [*tracing, sys.executable, "-m", "aiconform", "run", "dra_support", "-v", *where],
        env={**os.environ, **home},
        capture_output=True,
        check=False,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr.decode()
    secret = [token.encode(), place.key]
    found, writes = leaks.found_in_trace(trace, secret)
    trace.unlink()
    assert writes > 50
    assert found == []
    assert leaks.found_below(tmp_path, secret) == []
    assert leaks.found_in(done.stdout + done.stderr, secret) == []


FIELDS = {
    "cluster": ("server", "tls-server-name", "certificate-authority", "proxy-url", "insecure-skip-tls-verify"),
    "user": ("token", "tokenFile", "client-certificate", "client-key", "as", "username", "password"),
}
OURS = {
    "certificate-authority": "ca_file",
    "insecure-skip-tls-verify": "insecure",
    "tokenFile": "token_file",
    "client-certificate": "certificate_file",
    "client-key": "key_file",
    "as": "act_as",
}


def some_files(dice: random.Random, home: Path) -> str:
    """Up to four kubeconfigs that share names, some of them missing; as $KUBECONFIG names them."""
    paths = []
    for number in range(dice.randrange(1, 5)):
        path = home / str(dice.randrange(3)) / f"config-{number}"
        paths.append(path)
        if dice.random() < 0.2:
            continue
        names = ["x", "y", "z"]
        write(
            path,
            clusters={name: some_fields(dice, "cluster") for name in dice.sample(names, dice.randrange(4))},
            users={name: some_fields(dice, "user") for name in dice.sample(names, dice.randrange(4))},
            contexts={
                name: {"cluster": dice.choice(names), "user": dice.choice(names)}
                for name in dice.sample(names, dice.randrange(4))
            },
            current=dice.choice(["", "x", "y"]),
        )
    return os.pathsep.join([*map(str, paths), *dice.choice([[], [""], [str(paths[0])]])])


def some_fields(dice: random.Random, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in FIELDS[kind]:
        if name == "insecure-skip-tls-verify":
            found[name] = dice.random() < 0.5
        elif dice.random() < 0.6:
            word = f"{name}-{dice.randrange(9)}"
            folder = dice.choice(["", "sub/", "../", "/abs/"])
            url = "https://" if name == "server" else "http://" if name == "proxy-url" else ""
            found[name] = url + (folder if name in OURS and name != "as" else "") + word
    return found


@pytest.mark.parametrize("seed", range(40))
def test_whatever_files_there_are_the_same_is_chosen_as_by_kubectl(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    program = str(kubectl())  # before $HOME is another one: the built programs are below it
    files = some_files(random.Random(seed), tmp_path)
    monkeypatch.setenv("KUBECONFIG", files)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    done = subprocess.run(
        [program, "config", "view", "--minify", "--raw", "-o", "json"],
        env={**os.environ},
        capture_output=True,
        text=True,
        check=False,
    )
    theirs = json.loads(done.stdout) if done.returncode == 0 else {}
    clusters, users = theirs.get("clusters") or [], theirs.get("users") or []
    usable = bool(clusters and users and clusters[0]["cluster"].get("server"))
    try:
        ours = module.choose()
    except UnreachableError:
        assert not usable, theirs
        return
    assert usable, (done.stderr, ours)
    assert ours.context == theirs["current-context"]
    for kind, given in (("cluster", ours.cluster), ("user", ours.user)):
        their = (clusters if kind == "cluster" else users)[0][kind]
        for name in FIELDS[kind]:
            mine, told = getattr(given, OURS.get(name, name.replace("-", "_"))), their.get(name)
            if name in OURS and "-" in str(mine) and name != "as":
                # kubectl makes paths relative again before it shows them; each names its folder and number
                mine, told = Path(mine).name, Path(told or "").name
            assert (mine or None) == (told or None), name
