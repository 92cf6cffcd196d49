"""Kubeconfigs, good and bad, without a cluster."""

from __future__ import annotations

import base64
import json
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from aiconform.cluster.connection import connect
from aiconform.errors import UnreachableError


def certificate() -> tuple[bytes, bytes]:
    """A certificate and its key, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "admin")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM), private


def kubeconfig(path: Path, user: dict[str, Any], **cluster: Any) -> Path:
    """A kubeconfig with one context."""
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "a", "cluster": {"server": "https://127.0.0.1:1", **cluster}}],
                "users": [{"name": "a", "user": user}],
                "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
                "current-context": "a",
            }
        )
    )
    return path


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_a_client_key_is_never_written_to_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("a temporary file was asked for")

    for name in ("NamedTemporaryFile", "mkstemp", "mkdtemp", "TemporaryFile"):
        monkeypatch.setattr(tempfile, name, refuse)
    cert, key = certificate()
    user = {"client-certificate-data": encoded(cert), "client-key-data": encoded(key)}
    connection = connect(kubeconfig(tmp_path / "config", user, **{"certificate-authority-data": encoded(cert)}))
    assert connection.client() is not None
    assert [path.name for path in tmp_path.iterdir()] == ["config"]


def test_the_redactor_gets_every_form_of_our_credentials(tmp_path: Path) -> None:
    cert, key = certificate()
    user = {"client-certificate-data": encoded(cert), "client-key-data": encoded(key), "token": "a-long-token"}
    secrets = connect(kubeconfig(tmp_path / "config", user)).secrets
    assert {cert, key, encoded(key).encode(), b"a-long-token"} <= set(secrets)


def test_a_key_that_does_not_belong_to_its_certificate_is_one_clear_error(tmp_path: Path) -> None:
    user = {"client-certificate-data": encoded(certificate()[0]), "client-key-data": encoded(certificate()[1])}
    with pytest.raises(UnreachableError, match="credentials cannot be used") as caught:
        connect(kubeconfig(tmp_path / "config", user)).client()
    assert caught.value.hint


@pytest.mark.parametrize("text", ["", "{", "a: [", "[]", "clusters: 1", '{"clusters": [{}]}', "\0"])
def test_a_broken_kubeconfig_is_one_clear_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(UnreachableError) as caught:
        connect(path)
    assert caught.value.hint


def test_an_unknown_context_names_the_known_ones(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "config", {"token": "a-long-token"})
    with pytest.raises(UnreachableError) as caught:
        connect(path, "prod")
    assert "prod" in caught.value.message
    assert "a" in caught.value.hint.split(": ")[-1]


def test_a_missing_kubeconfig_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match=str(tmp_path / "none")):
        connect(tmp_path / "none")
