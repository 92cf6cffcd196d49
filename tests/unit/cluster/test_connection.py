"""What becomes of a kubeconfig's cluster and user: the server's address, TLS, impersonation, what is told of it."""

from __future__ import annotations

import base64
import tempfile
from pathlib import Path
from typing import Any

import pytest
from tests.support.pki import Authority, encoded, kubeconfig
from tests.support.tls_api import api_server
from tests.unit.cluster.asking import CA, SERVER, ask, config

from aiconform.cluster.connection import connect
from aiconform.errors import UnreachableError

ADMIN = CA.client("admin")
PAIR = {"client-certificate-data": encoded(ADMIN.certificate), "client-key-data": encoded(ADMIN.key)}

FOREIGN = Authority("foreign").client("admin")
OTHER = {"client-certificate-data": encoded(FOREIGN.certificate), "client-key-data": encoded(FOREIGN.key)}


def test_a_client_key_is_never_written_to_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("a temporary file was asked for")

    for name in ("NamedTemporaryFile", "mkstemp", "mkdtemp", "TemporaryFile"):
        monkeypatch.setattr(tempfile, name, refuse)
    connection = connect(kubeconfig(tmp_path / "config", PAIR, **{"certificate-authority-data": encoded(CA.pem)}))
    connection.login()
    assert [path.name for path in tmp_path.iterdir()] == ["config"]


def test_the_redactor_gets_every_form_of_our_credentials(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("of-the-token-file\n")
    variables = [{"name": "API_TOKEN", "value": "of-the-plugin"}, {"name": "AWS_REGION", "value": "us-east-1"}]
    user = {
        **PAIR,
        "token": "a-long-token",
        "tokenFile": "token",
        "exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "x", "env": variables},
    }
    path = kubeconfig(tmp_path / "config", user, **{"proxy-url": "http://me:of%2Dthe-proxy@127.0.0.1:3128"})
    secrets = set(connect(path).secrets)
    texts = (b"a-long-token", b"of-the-token-file", b"of-the-plugin", b"of-the-proxy", b"me:of-the-proxy")
    assert {ADMIN.certificate, ADMIN.key, encoded(ADMIN.key).encode(), *texts} <= secrets
    assert b"us-east-1" not in secrets


@pytest.mark.parametrize(
    "user",
    [
        {**PAIR, "client-key-data": encoded(CA.client("other").key)},
        {**PAIR, "client-key-data": encoded(b"no key")},
        {**PAIR, "client-key-data": "no base64!"},
        {"client-certificate-data": encoded(ADMIN.certificate)},
        {"client-certificate": "missing.pem", "client-key": "missing.pem"},
        {"token": "a-long-token", "username": "me", "password": "a-long-password"},
    ],
)
def test_credentials_that_cannot_be_used_are_one_clear_error(tmp_path: Path, user: dict[str, Any]) -> None:
    connection = connect(kubeconfig(tmp_path / "config", user))
    with pytest.raises(UnreachableError, match="credentials cannot be used") as caught:
        connection.login()
    assert caught.value.hint
    assert "a-long" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "instead"), [("gcp", "gke-gcloud-auth-plugin"), ("azure", "kubelogin"), ("x", "exec")]
)
def test_an_old_way_to_log_in_is_refused_with_what_took_its_place(tmp_path: Path, name: str, instead: str) -> None:
    provider = {"auth-provider": {"name": name, "config": {"access-token": "a-long-token"}}}
    with pytest.raises(UnreachableError, match=f"auth-provider '{name}'") as caught:
        connect(kubeconfig(tmp_path / "config", provider)).login()
    assert instead in caught.value.hint


@pytest.mark.parametrize("extra", [{}, {"username": "me", "password": "of-basic-auth"}])
def test_a_client_certificate_is_shown(tmp_path: Path, extra: dict[str, str]) -> None:
    with api_server(SERVER, clients=CA) as server:
        assert ask(config(tmp_path, server, {**PAIR, **extra})).status == 200
    assert server.asked[0].certificate == "admin"
    header = f"Basic {base64.b64encode(b'me:of-basic-auth').decode()}" if extra else ""
    assert server.asked[0].authorization == header


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ({}, "tls: the server ends the handshake; it may insist on a client certificate"),
        (OTHER, "tls: the server does not accept our client certificate"),
    ],
)
def test_a_server_that_insists_on_another_certificate_is_told_from_one_that_we_do_not_trust(
    tmp_path: Path, user: dict[str, str], words: str
) -> None:
    with api_server(SERVER, clients=CA, insist=True) as server:
        answer = ask(config(tmp_path, server, user))
    assert (answer.status, answer.error) == (0, words)


def test_files_of_certificates_stand_beside_the_kubeconfig(tmp_path: Path) -> None:
    for name, data in (("c.pem", ADMIN.certificate), ("k.pem", ADMIN.key), ("ca.pem", b"# of us\n" + CA.pem)):
        (tmp_path / name).write_bytes(data)
    user = {"client-certificate": "c.pem", "client-key": "k.pem"}
    with api_server(SERVER, clients=CA) as server:
        path = kubeconfig(tmp_path / "config", user, server=server.url, **{"certificate-authority": "ca.pem"})
        assert ask(path).status == 200
    assert server.asked[0].certificate == "admin"


def test_a_server_of_another_authority_is_not_asked(tmp_path: Path) -> None:
    with api_server(Authority("other").server("127.0.0.1")) as server:
        answer = ask(config(tmp_path, server, {"token": "a-long-token"}))
    assert (answer.status, answer.error) == (0, "tls: the server's certificate cannot be verified")
    assert not server.asked


def test_a_server_of_another_name_is_not_asked(tmp_path: Path) -> None:
    with api_server(CA.server("other.test", common_name="127.0.0.1")) as server:
        assert ask(config(tmp_path, server, {"token": "a-long-token"})).status == 0
    assert not server.asked


def test_the_name_of_the_server_can_be_another_than_the_urls(tmp_path: Path) -> None:
    with api_server(CA.server("api.test")) as server:
        assert ask(config(tmp_path, server, {})).status == 0
        assert ask(config(tmp_path, server, {}, **{"tls-server-name": "api.test"})).status == 200
    assert server.asked[0].server_name == "api.test"


def test_any_certificate_of_the_bundle_is_an_anchor_as_in_go(tmp_path: Path) -> None:
    """Some kubeconfigs hold the server's own certificate alone."""
    with api_server(SERVER) as server:
        ca = {"certificate-authority-data": encoded(SERVER.certificate)}
        assert ask(kubeconfig(tmp_path / "config", {}, server=server.url, **ca)).status == 200


def test_an_authority_as_old_tools_made_them_will_do(tmp_path: Path) -> None:
    """Python 3.13 would refuse it: that is what this test is for."""
    old = Authority("old", plain=True)
    with api_server(old.server("127.0.0.1")) as server:
        ca = {"certificate-authority-data": encoded(old.pem)}
        assert ask(kubeconfig(tmp_path / "config", {}, server=server.url, **ca)).status == 200


def test_an_unchecked_server_is_asked_and_told(tmp_path: Path) -> None:
    with api_server(Authority("other").server("other.test")) as server:
        path = kubeconfig(tmp_path / "config", {}, server=server.url, **{"insecure-skip-tls-verify": True})
        assert ask(path).status == 200
        assert any("is not checked" in word for word in connect(path).unusual)
        assert connect(path).ca_sha256 == ""


def test_unchecked_and_an_authority_together_are_refused(tmp_path: Path) -> None:
    cluster = {"insecure-skip-tls-verify": True, "certificate-authority-data": encoded(CA.pem)}
    with pytest.raises(UnreachableError, match="insecure-skip-tls-verify"):
        connect(kubeconfig(tmp_path / "config", {}, **cluster))


@pytest.mark.parametrize("data", ["no base64!", encoded(b"no certificate"), encoded(CA.pem[:200])])
def test_an_authority_that_cannot_be_used_is_one_clear_error(tmp_path: Path, data: str) -> None:
    with pytest.raises(UnreachableError, match="certificate authority"):
        connect(kubeconfig(tmp_path / "config", {}, **{"certificate-authority-data": data}))


def test_session_keys_are_written_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    with api_server(SERVER) as server:
        assert ask(config(tmp_path, server, {})).status == 200
    assert not (tmp_path / "keys").exists()


@pytest.mark.parametrize(
    ("server", "user", "url"),
    [
        ("10.0.0.1:6443", {}, "http://10.0.0.1:6443"),
        ("10.0.0.1:6443", PAIR, "https://10.0.0.1:6443"),
        ("https://rancher.test/k8s/clusters/c-1?x#y", {}, "https://rancher.test/k8s/clusters/c-1"),
    ],
)
def test_the_address_is_read_as_kubectl_reads_it(tmp_path: Path, server: str, user: dict[str, str], url: str) -> None:
    assert connect(kubeconfig(tmp_path / "config", user, server=server)).server == url


@pytest.mark.parametrize("server", ["ftp://a", "https://", "https://a:x", "https://me:secret@a", "https://[fe80::1"])
def test_an_address_that_is_none_is_one_clear_error(tmp_path: Path, server: str) -> None:
    with pytest.raises(UnreachableError, match="address is not usable") as caught:
        connect(kubeconfig(tmp_path / "config", {}, server=server))
    assert "secret" not in str(caught.value)


def test_a_path_of_the_servers_address_stands_before_every_request(tmp_path: Path) -> None:
    with api_server(SERVER) as server:
        ask(config(tmp_path, server, {}, server=f"{server.url}/k8s/clusters/c-1"))
    assert server.asked[0].path == "/k8s/clusters/c-1/version"


def test_without_tls_no_credentials_are_sent(tmp_path: Path) -> None:
    with api_server(None) as server:
        url = f"http://127.0.0.1:{server.port}"
        path = kubeconfig(tmp_path / "config", {"token": "a-long-token", "as": "jane"}, server=url)
        assert ask(path).status == 200
    assert server.asked[0].authorization == ""
    assert server.asked[0].all("impersonate-user") == []
    assert any("without TLS" in word for word in connect(path).unusual)


def test_somebody_else_can_be_acted_as(tmp_path: Path) -> None:
    user = {
        "token": "a-long-token",
        "as": "jané",
        "as-uid": "u-1",
        "as-groups": ["dev", "ops"],
        "as-user-extra": {"Acme.com/scopes": ["a", "b"]},
    }
    with api_server(SERVER) as server:
        path = config(tmp_path, server, user)
        ask(path)
    (asked,) = server.asked
    assert asked.authorization == "Bearer a-long-token"
    assert asked.all("impersonate-user")[0].encode("latin-1").decode() == "jané"
    assert asked.all("impersonate-uid") == ["u-1"]
    assert asked.all("impersonate-group") == ["dev", "ops"]
    assert asked.all("impersonate-extra-acme.com%2fscopes") == ["a", "b"]
    told = connect(path).unusual
    assert any("another user" in word for word in told)
    assert "jan" not in "".join(told)


def test_groups_of_nobody_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="who is not named"):
        connect(kubeconfig(tmp_path / "config", {"as-groups": ["ops"]}))
