"""Finding and opening the connection to a cluster: kubeconfig, authentication, TLS.

lightkube reads the kubeconfig and authenticates; the HTTP client and its requests are ours, so that exactly what was
sent can be recorded and an answer is never asked for twice behind the recorder's back.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import os
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aiconform.errors import UnreachableError

if TYPE_CHECKING:
    import httpx2
    from lightkube.config.kubeconfig import SingleConfig

DEFAULT_KUBECONFIG = "~/.kube/config"


@dataclass(frozen=True)
class Connection:
    """A way to one cluster.

    Attributes:
        server: URL of the API server.
        secrets: our own credentials in every stored form, for the redactor.
        ca_sha256: digest of the CA bundle that the server is checked against; empty where the system's CAs are.
    """

    server: str
    secrets: tuple[bytes, ...]
    ca_sha256: str
    _config: SingleConfig

    def client(self, on_token: Callable[[str], None] = lambda _: None) -> httpx2.AsyncClient:
        """An HTTP client with this connection's credentials; the caller closes it.

        ``on_token`` hears of every token that a credential plugin gives: :attr:`secrets` cannot hold it beforehand.

        Raises:
            UnreachableError: the certificates or the key cannot be used.
        """
        import httpx2
        from lightkube.core.exceptions import ConfigError

        from aiconform.cluster.plugin import authentication

        try:
            context = tls_context(self._config)
            auth = authentication(self._config.user, on_token)
        except (ConfigError, ssl.SSLError, OSError, ValueError) as problem:
            raise UnreachableError(
                f"the kubeconfig's credentials cannot be used: {problem}",
                hint="try the same context with kubectl; renew its certificates if it fails too",
            ) from problem
        # a redirect would carry the request to somewhere nobody named, and a proxy from the environment likewise
        return httpx2.AsyncClient(
            base_url=self.server,
            verify=context,
            auth=auth,
            trust_env=False,
            follow_redirects=False,
        )


def tls_context(config: SingleConfig) -> ssl.SSLContext:
    """How to check the server and show who we are.

    lightkube would write a client key from the kubeconfig to a temporary file; here it stays in memory.

    Raises:
        ssl.SSLError, OSError, ValueError: a certificate or key cannot be used.
    """
    cluster, user = config.cluster, config.user
    context = ssl.create_default_context(
        cafile=config.abs_file(cluster.certificate_auth) if cluster.certificate_auth else None,
        cadata=_decoded(cluster.certificate_auth_data).decode() if cluster.certificate_auth_data else None,
    )
    if cluster.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if user and (user.client_cert or user.client_cert_data):
        with (
            _file(user.client_cert_data, user.client_cert, config) as cert,
            _file(user.client_key_data, user.client_key, config) as key,
        ):
            context.load_cert_chain(cert, key)
    return context


@contextlib.contextmanager
def _file(data: str | None, name: str | None, config: SingleConfig) -> Iterator[str]:
    """A path to read data from: an anonymous file in memory, since the ssl module reads from files only."""
    if not data:
        yield str(config.abs_file(name or ""))
        return
    descriptor = os.memfd_create("credential", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, _decoded(data))
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _decoded(data: str) -> bytes:
    return base64.b64decode(data, validate=True)


def connect(kubeconfig: Path | None = None, context: str | None = None) -> Connection:
    """The connection that kubectl would take: ``kubeconfig``, else $KUBECONFIG, else ~/.kube/config.

    Raises:
        UnreachableError: there is no such file or context, or it cannot be read. No request is made.
    """
    from lightkube.config.kubeconfig import KubeConfig
    from lightkube.core.exceptions import ConfigError

    path = kubeconfig or Path(os.environ.get("KUBECONFIG") or DEFAULT_KUBECONFIG).expanduser()
    if not path.is_file():
        raise UnreachableError(
            f"no kubeconfig at {path}",
            hint="name one with --kubeconfig, or bring up a cluster of our own with --local",
        )
    try:
        loaded = KubeConfig.from_file(path)
        config = loaded.get(context)
    except ConfigError as problem:
        known = ", ".join(sorted(loaded.contexts)) if context and "loaded" in locals() else ""
        raise UnreachableError(
            f"{path}: {problem}",
            hint=f"contexts in this file: {known}" if known else "look at the file with kubectl config view",
        ) from problem
    except Exception as problem:
        # the file is the user's and the reader's own errors for a broken one are of many kinds
        raise UnreachableError(
            f"{path} is not a usable kubeconfig: {type(problem).__name__}",
            hint="look at it with kubectl config view",
        ) from problem
    if config is None:
        raise UnreachableError(f"{path} names no current context", hint="name one with --context")
    return Connection(
        server=config.cluster.server,
        secrets=tuple(_secrets(config)),
        ca_sha256=_ca_digest(config),
        _config=config,
    )


def _secrets(config: SingleConfig) -> list[bytes]:
    user = config.user
    if user is None:
        return []
    found: list[bytes] = []
    for text in (user.token, user.password, user.client_cert_data, user.client_key_data):
        if text:
            found.append(text.encode())
            with contextlib.suppress(binascii.Error, ValueError):
                found.append(base64.b64decode(text, validate=True))
    for name in (user.token_file, user.client_cert, user.client_key):
        if name:
            try:
                found.append(Path(config.abs_file(name)).read_bytes().strip())
            except OSError:
                continue
    return [secret for secret in found if len(secret) >= 8]


def _ca_digest(config: SingleConfig) -> str:
    cluster = config.cluster
    if cluster.certificate_auth_data:
        return hashlib.sha256(_decoded(cluster.certificate_auth_data)).hexdigest()
    if cluster.certificate_auth:
        try:
            return hashlib.sha256(Path(config.abs_file(cluster.certificate_auth)).read_bytes()).hexdigest()
        except OSError:
            return ""
    return ""
