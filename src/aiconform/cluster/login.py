"""Credentials for requests: from the kubeconfig, from files that others renew, or from a plugin.

They are renewed before they expire, and once if they are refused. Whatever is read or given is made known to the
redactor before it is sent anywhere.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import anyio

from aiconform.cluster.kubeconfig_format import User
from aiconform.cluster.plugin import Plugin
from aiconform.cluster.plugin_answer import CredentialError
from aiconform.cluster.tls import KeyPair, decoded

Learn = Callable[[str | bytes], None]

_TOKEN = re.compile(r"[\x21-\x7e]+")
"""What a header can carry; anything else would be shown in the HTTP library's complaint."""
_REREAD_S = 50.0
"""A token file is read again after this time: kubelets renew theirs minutes before they expire."""
_PAUSE_S = 30.0
"""After a renewal that failed or was of no use, none is tried for this time: a plugin may lock a person out."""

_LOOK = "look at users[] of the kubeconfig"

GONE = {
    "gcp": "gke-gcloud-auth-plugin: gcloud container clusters get-credentials writes a kubeconfig for it",
    "azure": "kubelogin: kubelogin convert-kubeconfig rewrites the kubeconfig for it",
    "oidc": "the plugin oidc-login, or kubectl config set-credentials with --exec-command",
}
"""What took the place of each built-in way to log in."""


@dataclass(frozen=True)
class Credentials:
    """What goes with a request.

    Attributes:
        authorization: value of the header; empty for none.
        pair: client certificate and key for the connection.
        expires: when to renew them beforehand.
    """

    authorization: str = field(default="", repr=False)
    pair: KeyPair | None = field(default=None, repr=False)
    expires: datetime | None = None

    @property
    def expired(self) -> bool:
        """Whether their time is over."""
        return self.expires is not None and datetime.now(UTC) >= self.expires


class _Source(Protocol):
    """Where credentials come from.

    Attributes:
        what: in words: 'the token of the kubeconfig'.
        renews: why asking anew may help, or empty.
    """

    what: str
    renews: str

    async def fetch(self) -> Credentials:
        """Get them.

        Raises:
            CredentialError: there are none.
        """


class Login:
    """The credentials of one user; holds the current ones, and lets only one task at a time get new ones."""

    def __init__(self, source: _Source) -> None:
        self._source = source
        self._lock = anyio.Lock()
        self._now: Credentials | None = None
        self._since = 0.0
        self._failed: CredentialError | None = None
        self._useless: Credentials | None = None
        self._until = 0.0

    async def current(self) -> Credentials:
        """What to send now.

        Raises:
            CredentialError: there is nothing to send.
        """
        async with self._lock:
            now = self._now
            if now is None or now.expired or self._stale():
                now = await self._fetched()
            return now

    async def renewed(self, refused: Credentials) -> Credentials:
        """What to send instead of credentials that were refused (401); the same where nothing else can be had.

        Raises:
            CredentialError: new ones were to be had, and could not be.
        """
        async with self._lock:
            if self._now is not None and self._now is not refused:
                return self._now
            if not self._source.renews or (refused is self._useless and time.monotonic() < self._until):
                return refused
            new = await self._fetched()
            if new == refused:
                self._now = refused
            self._useless, self._until = self._now, time.monotonic() + _PAUSE_S
            return self._now or refused

    def refusal(self) -> str:
        """What to say when credentials are refused for good."""
        again = f", {self._source.renews}" if self._source.renews else ""
        return f"the API server does not accept {self._source.what}{again}"

    def _stale(self) -> bool:
        return isinstance(self._source, Stored) and self._source.rotates and time.monotonic() - self._since > _REREAD_S

    async def _fetched(self) -> Credentials:
        if self._failed is not None and time.monotonic() < self._until:
            raise self._failed
        try:
            new = await self._source.fetch()
        except CredentialError as problem:
            if self._now is not None and not self._now.expired and not isinstance(self._source, Plugged):
                self._since = time.monotonic()  # a token file that is being replaced: the last one may still do
                return self._now
            self._failed, self._until = problem, time.monotonic() + _PAUSE_S
            raise
        self._failed = None
        self._since = time.monotonic()
        self._now = new
        return new


class Stored:
    """Credentials that stand in the kubeconfig, or in files that it names.

    Raises:
        CredentialError: the kubeconfig contradicts itself.
    """

    def __init__(self, user: User, learn: Learn) -> None:
        self._user = user
        self._learn = learn
        self.rotates = bool(user.token_file)
        files = user.token_file or (user.has_certificate and not (user.certificate_data and user.key_data))
        self.renews = "also as it was read again from its file" if files else ""
        self.what = _what(user)
        if (user.token or user.token_file) and (user.username or user.password):
            raise CredentialError("the user has a token and a password; only one may be", _LOOK)
        if user.has_certificate and not (user.key_data or user.key_file):
            raise CredentialError("the user has a client certificate and no key", _LOOK)

    async def fetch(self) -> Credentials:
        """See :class:`_Source`."""
        return self.read()

    def read(self) -> Credentials:
        """Read them, and make them known."""
        user = self._user
        pair: KeyPair | None = None
        if user.has_certificate:
            pair = KeyPair(
                _bytes(user.certificate_data, user.certificate_file, "client certificate"),
                _bytes(user.key_data, user.key_file, "client key"),
            )
            self._learn(pair.certificate)
            self._learn(pair.key)
        if user.username or user.password:
            self._learn(user.password)
            return Credentials(basic(user.username, user.password, self._learn), pair)
        token = self._token()
        return Credentials(bearer(token, "the token of the kubeconfig", self._learn) if token else "", pair)

    def _token(self) -> str:
        if not self._user.token_file:
            return self._user.token.strip()
        try:
            token = Path(self._user.token_file).read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            token = ""
        if not token and not self._user.token:
            raise CredentialError(f"there is no token in {self._user.token_file}", _LOOK)
        return token or self._user.token.strip()


class Plugged:
    """Credentials that a plugin gives."""

    def __init__(self, plugin: Plugin, learn: Learn) -> None:
        self._plugin = plugin
        self._learn = learn
        self.what = f"what credential plugin {plugin.name} gave"
        self.renews = "also after it was asked anew"

    async def fetch(self) -> Credentials:
        """See :class:`_Source`."""
        given = await self._plugin.ask(self._learn)
        name = f"the token of credential plugin {self._plugin.name}"
        authorization = bearer(given.token, name, self._learn) if given.token else ""
        new = Credentials(authorization, given.pair, given.expires)
        # what is over already when it comes is tried, and not asked for again before every request
        return replace(new, expires=None) if new.expired else new


def bearer(token: str, what: str, learn: Learn) -> str:
    """The header for a token.

    Raises:
        CredentialError: no header can carry it.
    """
    learn(token)
    if not _TOKEN.fullmatch(token):
        raise CredentialError(f"{what} has characters that no header can carry", "it may be cut, or of several lines")
    return f"Bearer {token}"


def basic(name: str, password: str, learn: Learn) -> str:
    """The header for a name and a password."""
    both = f"{name}:{password}"
    learn(both)
    return f"Basic {base64.b64encode(both.encode()).decode()}"


def refuse_provider(user: User) -> None:
    """Refuse a way to log in that was built into kubectl once.

    Raises:
        CredentialError: the user has no other.
    """
    provider = user.auth_provider
    if provider is None or user.has_own or user.plugin is not None:
        return
    instead = GONE.get(provider.name, "a credential plugin (users[].user.exec)")
    raise CredentialError(f"auth-provider {provider.name!r} of the kubeconfig is of the past", f"use {instead}")


def _what(user: User) -> str:
    if user.token_file:
        return f"the token in {Path(user.token_file).name}"
    if user.token:
        return "the token of the kubeconfig"
    if user.username or user.password:
        return "the name and password of the kubeconfig"
    if user.has_certificate:
        return "the client certificate of the kubeconfig"
    return "a request without credentials, and the kubeconfig has none"


def _bytes(data: str, name: str, what: str) -> bytes:
    try:
        return decoded(data) if data else Path(name).read_bytes()
    except ValueError:
        raise CredentialError(f"the {what} is no base64", _LOOK) from None
    except OSError as problem:
        raise CredentialError(f"cannot read the {what} {name}: {problem.strerror}") from None
