"""TLS as Go's clients do it, with client keys that stay in memory."""

from __future__ import annotations

import base64
import contextlib
import os
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from aiconform.cluster.kubeconfig_format import Cluster

_NO_PASSWORD = b"\0"
"""For a key that is encrypted: OpenSSL would else ask for one on the terminal. kubectl takes none either."""


@dataclass(frozen=True)
class KeyPair:
    """A client certificate, with what stands between it and its CA, and its key: PEM."""

    certificate: bytes = field(repr=False)
    key: bytes = field(repr=False)


def ca_of(cluster: Cluster) -> bytes:
    """The CAs (PEM) that an API server is checked against; empty where the system's are.

    Raises:
        OSError, ValueError: they cannot be read.
    """
    if cluster.ca_data:
        return decoded(cluster.ca_data)
    return Path(cluster.ca_file).read_bytes() if cluster.ca_file else b""


def context(ca: bytes, *, checked: bool = True, pair: KeyPair | None = None, system: bool = False) -> ssl.SSLContext:
    """How to check a server and show who we are.

    Args:
        ca: what it is checked against, PEM; the system's if empty.
        checked: whether it is checked at all.
        pair: our certificate.
        system: the system's CAs count too, beside ``ca``.

    Raises:
        ssl.SSLError, ValueError: a certificate or the key cannot be used.
    """
    # ssl.create_default_context would write the secrets of every connection to $SSLKEYLOGFILE, and from Python 3.13
    # refuse CAs that kubeadm and others made for years, which Go accepts
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # as in Go, any certificate of the bundle may be the anchor
    made.hostname_checks_common_name = False
    if not checked:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    elif ca:
        made.load_verify_locations(cadata=ca.decode("ascii", "ignore"))  # names may stand beside the certificates
    if checked and (system or not ca):
        made.load_default_certs()
    if pair is not None:
        with _in_memory(pair.certificate + b"\n" + pair.key) as path:
            made.load_cert_chain(path, password=_NO_PASSWORD)
    return made


def decoded(data: str) -> bytes:
    """What a kubeconfig holds in base64, which may be folded.

    Raises:
        ValueError: it is no base64.
    """
    return base64.b64decode("".join(data.split()), validate=True)


@contextlib.contextmanager
def _in_memory(data: bytes) -> Iterator[str]:
    """A path to read data from: an anonymous file in memory, since the ssl module reads from files only."""
    descriptor = os.memfd_create("credential", os.MFD_CLOEXEC)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
