"""A certificate authority of a test's own, and kubeconfigs that name what it made."""

from __future__ import annotations

import base64
import ipaddress
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, PEM."""

    certificate: bytes
    key: bytes


class Authority:
    """A CA; ``plain`` makes it as old tools did: without key identifiers, constraints not critical."""

    def __init__(self, name: str = "test-ca", *, plain: bool = False) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        builder = _builder(self._name, self._name, self._key).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=not plain
        )
        self._certificate = builder.sign(self._key, hashes.SHA256())
        self.pem = self._certificate.public_bytes(serialization.Encoding.PEM)

    def server(self, *names: str, common_name: str = "") -> Pair:
        """A server's certificate for host names and addresses."""
        alternatives = [_alternative(name) for name in names]
        extensions = [x509.SubjectAlternativeName(alternatives)] if alternatives else []
        return self._issue(common_name or names[0], extensions)

    def client(self, name: str, *groups: str) -> Pair:
        """A client's certificate."""
        return self._issue(name, [], groups)

    def _issue(self, name: str, extensions: list[x509.ExtensionType], groups: tuple[str, ...] = ()) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(name, groups), self._name, key)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        made = builder.sign(self._key, hashes.SHA256())
        return Pair(made.public_bytes(serialization.Encoding.PEM), key_pem(key))


def key_pem(key: Key) -> bytes:
    """A key in PEM, not encrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def encoded(data: bytes) -> str:
    """As a kubeconfig holds it."""
    return base64.b64encode(data).decode()


def kubeconfig(path: Path, user: dict[str, Any], **cluster: Any) -> Path:
    """A kubeconfig with one context named ``a``."""
    return write(path, clusters={"a": {"server": "https://127.0.0.1:1", **cluster}}, users={"a": user}, current="a")


def write(
    path: Path,
    *,
    clusters: dict[str, Any] | None = None,
    users: dict[str, Any] | None = None,
    contexts: dict[str, Any] | None = None,
    current: str = "",
) -> Path:
    """A kubeconfig; contexts are those of the users, each on the cluster of its name, unless they are given."""
    clusters, users = clusters or {}, users or {}
    if contexts is None:
        contexts = {name: {"cluster": name, "user": name} for name in users}
    text = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": value} for name, value in clusters.items()],
        "users": [{"name": name, "user": value} for name, value in users.items()],
        "contexts": [{"name": name, "context": value} for name, value in contexts.items()],
        "current-context": current,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(text))
    return path


def _builder(subject: x509.Name, issuer: x509.Name, key: Key) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )


def _name(name: str, groups: tuple[str, ...] = ()) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
