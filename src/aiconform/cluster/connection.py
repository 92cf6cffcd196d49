"""Finding and opening the connection to a cluster: kubeconfig, proxy, TLS, authentication.

The HTTP client and its requests are ours, so that exactly what was sent can be recorded, and no answer is asked for
twice behind the recorder's back but one: a refusal of credentials that could be renewed.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import ssl
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiconform.cluster import tls
from aiconform.cluster.kubeconfig import LOOK, Chosen, choose
from aiconform.cluster.login import Login, Plugged, Stored, basic, refuse_provider
from aiconform.cluster.plugin import Plugin
from aiconform.cluster.plugin_answer import CredentialError
from aiconform.cluster.plugin_process import NO_ASIDE, Aside
from aiconform.cluster.proxies import Proxy, proxy_for
from aiconform.errors import UnreachableError

if TYPE_CHECKING:
    import httpx2

    from aiconform.cluster.kubeconfig_format import User

_SECRET_VARIABLE = re.compile(r"(?i)token|secret|passw|credential|(?:api|access|private)_?key")
_HEADER_LETTERS = frozenset(string.ascii_letters + string.digits + "!#$&'*+-.^_`|~")


@dataclass(frozen=True)
class Connection:
    """A way to one cluster.

    Attributes:
        server: URL of the API server.
        secrets: our own credentials in every stored form, for the redactor.
        ca_sha256: digest of the CA bundle that the server is checked against; empty where the system's CAs are.
        unusual: what a reader of the evidence should know of the way: a server that is not checked, a proxy, another
            user's name. Names nobody and no host.
    """

    server: str
    secrets: tuple[bytes, ...] = field(repr=False)
    ca_sha256: str
    unusual: tuple[str, ...]
    _chosen: Chosen = field(repr=False)
    _proxy: Proxy | None = field(repr=False)
    _ca: bytes = field(repr=False)

    @property
    def secure(self) -> bool:
        """Whether it is TLS. Credentials are sent over nothing else."""
        return urlsplit(self.server).scheme == "https"

    def login(self, learn: Callable[[str | bytes], None] = lambda _: None, aside: Aside = NO_ASIDE) -> Login:
        """The credentials of this connection; ``learn`` hears of every one before it is sent.

        Raises:
            UnreachableError: the kubeconfig's way to log in cannot be used.
        """
        user = self._chosen.user if self.secure else _nobody(self._chosen.user)
        try:
            refuse_provider(user)
            if user.plugin is not None and not user.has_own:
                return Login(Plugged(Plugin(user.plugin, self._chosen.cluster, self._ca, aside), learn))
            stored = Stored(user, learn)
            if user.has_certificate:
                self.context(stored.read().pair)
        except CredentialError as problem:
            raise _unusable(problem) from None
        return Login(stored)

    def context(self, pair: tls.KeyPair | None = None) -> ssl.SSLContext:
        """How the server is checked and shown this certificate.

        Raises:
            CredentialError: the certificate or its key cannot be used.
        """
        try:
            return tls.context(self._ca, checked=not self._chosen.cluster.insecure, pair=pair)
        except (ssl.SSLError, OSError, ValueError) as problem:
            apart = getattr(problem, "reason", None) == "KEY_VALUES_MISMATCH"
            why = "the key does not belong to the certificate" if apart else "one is no PEM, or the key is encrypted"
            raise CredentialError(
                f"the client certificate or its key cannot be used: {why}",
                "try the same context with kubectl; renew its certificates if it fails too",
            ) from None

    def client(self, pair: tls.KeyPair | None = None) -> httpx2.AsyncClient:
        """An HTTP client that shows this certificate; the caller closes it.

        Raises:
            CredentialError: the CA, the certificate or its key cannot be used.
        """
        import httpx2

        # a redirect would carry the request to somewhere nobody named; proxies of the environment are ours to choose
        return httpx2.AsyncClient(
            base_url=self.server,
            headers=impersonation(self._chosen.user) if self.secure else [],
            verify=self.context(pair),
            trust_env=False,
            follow_redirects=False,
            proxy=self._through(),
        )

    @property
    def server_name(self) -> str:
        """The name that the server's certificate has to hold, where it is not the URL's."""
        return self._chosen.cluster.tls_server_name

    def _through(self) -> httpx2.Proxy | None:
        import httpx2

        if self._proxy is None:
            return None
        checked = not self._chosen.cluster.insecure
        # kubectl checks a proxy against the kubeconfig's CA alone; the system's are what most proxies have theirs from
        context = tls.context(self._ca, checked=checked, system=True) if self._proxy.scheme == "https" else None
        return httpx2.Proxy(self._proxy.url, ssl_context=context, auth=self._proxy.user)


def connect(kubeconfig: Path | None = None, context: str | None = None) -> Connection:
    """The connection that kubectl would take: see :func:`aiconform.cluster.kubeconfig.choose`.

    Raises:
        UnreachableError: there is no such file or context, or it cannot be used. No request is made.
    """
    chosen = choose(kubeconfig, context)
    cluster, user = chosen.cluster, chosen.user
    server = _server(chosen)
    try:
        proxy = proxy_for(server, cluster.proxy_url)
    except ValueError as problem:
        raise UnreachableError(
            f"the proxy cannot be used: {problem}", hint="for example http://127.0.0.1:3128"
        ) from None
    if cluster.insecure and (cluster.ca_file or cluster.ca_data):
        raise UnreachableError(
            f"{chosen.source}: the cluster has a certificate authority and insecure-skip-tls-verify",
            hint="take one of them away; kubectl refuses both together too",
        )
    if not user.act_as and (user.act_as_uid or user.act_as_groups or user.act_as_extra):
        raise UnreachableError(
            f"{chosen.source}: the user is to act in groups of another user, who is not named",
            hint="add the name (as), or take as-groups, as-uid and as-user-extra away",
        )
    try:
        ca = tls.ca_of(cluster)
        tls.context(ca, checked=not cluster.insecure)
    except (ssl.SSLError, OSError, ValueError) as problem:
        words = getattr(problem, "strerror", None) if isinstance(problem, OSError) else ""
        raise UnreachableError(
            f"the certificate authority of the kubeconfig cannot be used: {words or type(problem).__name__}",
            hint="try the same context with kubectl",
        ) from None
    return Connection(
        server=server,
        secrets=tuple(_secrets(user, proxy)),
        ca_sha256=hashlib.sha256(ca).hexdigest() if ca else "",
        unusual=tuple(_unusual(chosen, server, proxy)),
        _chosen=chosen,
        _proxy=proxy,
        _ca=ca,
    )


def impersonation(user: User) -> list[tuple[bytes, bytes]]:
    """The headers that ask the API server to take us for somebody else."""
    if not user.act_as:
        return []
    headers = [("Impersonate-User", user.act_as)]
    headers += [("Impersonate-Uid", user.act_as_uid)] if user.act_as_uid else []
    headers += [("Impersonate-Group", group) for group in user.act_as_groups]
    headers += [
        (f"Impersonate-Extra-{_escaped(key)}", value) for key, values in user.act_as_extra.items() for value in values
    ]
    return [(name.encode("ascii"), value.encode()) for name, value in headers]


def _escaped(key: str) -> str:
    return "".join(chr(byte) if chr(byte) in _HEADER_LETTERS else f"%{byte:02X}" for byte in key.encode())


def _server(chosen: Chosen) -> str:
    """The server's URL; one without a scheme is TLS where anything says so, as for kubectl."""
    cluster, user = chosen.cluster, chosen.user
    server = cluster.server
    if "://" not in server:
        secure = cluster.ca_file or cluster.ca_data or cluster.insecure or user.has_certificate
        server = f"{'https' if secure else 'http'}://{server}"
    no_address = UnreachableError(f"{chosen.source}: the server's address is not usable", hint=LOOK)
    try:
        parts = urlsplit(server)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        raise no_address from None
    if not usable or parts.username:
        raise no_address
    return parts._replace(query="", fragment="").geturl()


def _nobody(user: User) -> User:
    return type(user)()


def _unusual(chosen: Chosen, server: str, proxy: Proxy | None) -> list[str]:
    found = []
    if server.startswith("http:"):
        found.append("the API server is asked without TLS, so no credentials are sent")
    elif chosen.cluster.insecure:
        found.append("the API server's certificate is not checked (insecure-skip-tls-verify): it could be any server")
    if proxy is not None:
        found.append(f"the API server is reached through a proxy ({proxy.scheme}, by {proxy.source})")
    if chosen.user.act_as:
        found.append("the run acts as another user (impersonation)")
    return found


def _unusable(problem: CredentialError) -> UnreachableError:
    return UnreachableError(
        f"the kubeconfig's credentials cannot be used: {problem}",
        hint=problem.hint or "try the same context with kubectl",
    )


def _secrets(user: User, proxy: Proxy | None) -> list[bytes]:
    """Every credential that is known before the first request."""
    found: list[bytes] = []

    def learn(secret: str | bytes) -> None:
        found.append(secret.encode() if isinstance(secret, str) else secret)

    with contextlib.suppress(CredentialError):  # told where it is used
        Stored(user, learn).read()
    for text in (user.token, user.password, user.certificate_data, user.key_data):
        learn(text)
    for data in (user.certificate_data, user.key_data):
        with contextlib.suppress(ValueError):
            learn(tls.decoded(data))
    for variable in user.plugin.env if user.plugin else []:
        if _SECRET_VARIABLE.search(variable.name):
            learn(variable.value)
    if proxy is not None and proxy.user is not None:
        learn(proxy.user[1])
        basic(*proxy.user, learn)
    return list(dict.fromkeys(found))
