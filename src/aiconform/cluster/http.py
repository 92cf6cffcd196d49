"""Requests to the API server, with every way to get no answer told apart by a word."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio
import httpx2

from aiconform.cluster.clients import Clients
from aiconform.cluster.plugin_answer import CredentialError
from aiconform.cluster.plugin_process import NO_ASIDE, Aside

if TYPE_CHECKING:
    from types import TracebackType

    from aiconform.cluster.connection import Connection
    from aiconform.cluster.login import Credentials

MAX_BODY = 32 * 1024 * 1024
WHOLE_WITHIN_S = 60.0
"""How long a body may take once it began: an answer that comes byte by byte never runs into a limit between bytes."""
_USER_AGENT = "aiconform"
_UNAUTHORIZED = 401
_REFUSED_CERTIFICATE = "tls: the server does not accept our client certificate"
_FAILURES = (httpx2.HTTPError, httpx2.InvalidURL, ssl.SSLError, OSError, CredentialError)


@dataclass(frozen=True)
class RawRequest:
    """A request as it goes out, real names and all."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True)
class RawAnswer:
    """An answer as it came; ``status`` 0 and ``error`` where none came.

    With status 401, ``error`` says what was refused, and that it was renewed in vain.
    """

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    error: str = ""
    warnings: tuple[str, ...] = ()


class RawStream:
    """An answer that comes in lines."""

    def __init__(self, answer: RawAnswer, response: httpx2.Response | None) -> None:
        self.answer = answer
        self._lines = _lines(response) if response is not None else None

    async def next_line(self) -> tuple[bytes, str]:
        """The next line and why the stream ended (empty while it has not)."""
        if self._lines is None:
            return b"", self.answer.error or "no answer"
        try:
            return await anext(self._lines), ""
        except StopAsyncIteration:
            return b"", "closed by the server"
        except _TooLongError:
            return b"", "a line is larger than 32 MiB"
        except (httpx2.HTTPError, ssl.SSLError, OSError) as problem:
            return b"", reason(problem)


class _TooLongError(Exception):
    """A line has no end."""


async def _lines(response: httpx2.Response) -> AsyncGenerator[bytes, None]:
    """The lines of an answer without their ends; what follows the last end is one too."""
    begun = bytearray()
    async for part in response.aiter_bytes():
        *done, rest = part.split(b"\n")
        for line in done:
            yield bytes(begun + line)
            begun.clear()
        begun += rest
        if len(begun) > MAX_BODY:
            raise _TooLongError
    if begun:
        yield bytes(begun)


class ClusterHttp:
    """One HTTP client to one API server; use as ``async with``.

    A request that is answered by 401 is sent a second time where other credentials can be had: once, and only then.

    Args:
        connection: the way there.
        on_token: hears of every credential before it is sent; :attr:`Connection.secrets` cannot hold those of plugins.
        aside: how a credential plugin talks to a person.
    """

    def __init__(
        self,
        connection: Connection,
        on_token: Callable[[str | bytes], None] = lambda _: None,
        aside: Aside = NO_ASIDE,
    ) -> None:
        self._login = connection.login(on_token, aside)
        self._clients = Clients(connection)
        self._extensions = {"sni_hostname": connection.server_name} if connection.server_name else {}
        self.trouble: CredentialError | None = None
        """What kept the last request that lacked credentials from having them."""

    async def __aenter__(self) -> ClusterHttp:
        """Make ready; no request is made and no plugin is asked."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection."""
        await self._clients.aclose()

    async def send(self, request: RawRequest) -> RawAnswer:
        """Send a request; what keeps it from being answered is in ``error``, never raised."""
        try:
            async with self._answered(request, httpx2.Timeout(30, connect=10)) as (response, refusal):
                body = bytearray()
                with anyio.move_on_after(WHOLE_WITHIN_S) as limit:
                    async for part in response.aiter_bytes():
                        body += part
                        if len(body) > MAX_BODY:
                            return RawAnswer(0, error="the answer is larger than 32 MiB")
                if limit.cancelled_caught:
                    return RawAnswer(0, error="timeout")
                return _answer(response, bytes(body), refusal)
        except _FAILURES as problem:
            return RawAnswer(0, error=reason(problem))

    @asynccontextmanager
    async def stream(self, request: RawRequest, begins_within_s: float | None = None) -> AsyncIterator[RawStream]:
        """Send a request whose answer is read line by line; there is no limit on the time between lines.

        Args:
            request: what is asked.
            begins_within_s: how long its head may take; None for what begins with its first line, such as a log.
        """
        opened = self._answered(request, httpx2.Timeout(30, connect=10, read=None))
        try:
            with anyio.fail_after(begins_within_s):
                response, refusal = await opened.__aenter__()
        except TimeoutError:
            yield RawStream(RawAnswer(0, error="timeout"), None)
            return
        except _FAILURES as problem:
            yield RawStream(RawAnswer(0, error=reason(problem)), None)
            return
        try:
            yield RawStream(_answer(response, b"", refusal), response)
        finally:
            await opened.__aexit__(None, None, None)

    @asynccontextmanager
    async def _answered(
        self, request: RawRequest, timeout: httpx2.Timeout
    ) -> AsyncIterator[tuple[httpx2.Response, str]]:
        """The answer, and why our credentials were refused if they were."""
        async with AsyncExitStack() as stack:
            credentials = await self._credentials()
            response = await stack.enter_async_context(self._sent(request, credentials, timeout))
            why_not = ""
            if response.status_code == _UNAUTHORIZED:
                try:
                    other = await self._login.renewed(credentials)
                except CredentialError as problem:
                    other, why_not, self.trouble = credentials, f"; {problem}", problem
                if other is not credentials:
                    await stack.aclose()
                    response = await stack.enter_async_context(self._sent(request, other, timeout))
            refused = response.status_code == _UNAUTHORIZED
            yield response, f"{self._login.refusal()}{why_not}" if refused else ""

    async def _credentials(self) -> Credentials:
        try:
            return await self._login.current()
        except CredentialError as problem:
            self.trouble = problem
            raise

    @asynccontextmanager
    async def _sent(
        self, request: RawRequest, credentials: Credentials, timeout: httpx2.Timeout
    ) -> AsyncIterator[httpx2.Response]:
        headers = {"User-Agent": _USER_AGENT, **request.headers}
        if credentials.authorization:
            headers["Authorization"] = credentials.authorization
        async with (
            self._clients.of(credentials.pair) as client,
            client.stream(
                request.method,
                request.path,
                params=list(request.query),
                headers=headers,
                content=request.body,
                timeout=timeout,
                extensions=self._extensions,
            ) as response,
        ):
            yield response


def reason(problem: BaseException) -> str:
    """A few words for why no answer came, without addresses."""
    if isinstance(problem, httpx2.TimeoutException):
        return "timeout"
    if isinstance(problem, CredentialError):
        return str(problem)
    if isinstance(problem, httpx2.ProxyError):
        return f"the proxy refuses: {_first_number(str(problem))}"
    text = " ".join(f"{type(found).__name__} {found}" for found in _chain(problem)).lower()
    for word, meaning in (
        ("alert unknown ca", _REFUSED_CERTIFICATE),
        ("alert bad certificate", _REFUSED_CERTIFICATE),
        ("alert certificate", _REFUSED_CERTIFICATE),
        ("alert", "tls: the server ends the handshake; it may insist on a client certificate"),
        ("certificate", "tls: the server's certificate cannot be verified"),
        ("refused", "connection refused"),
        ("reset", "connection reset"),
        ("name or service", "the server's name cannot be resolved"),
        ("unreachable", "network unreachable"),
        ("disconnected", "connection closed without an answer"),
    ):
        if word in text:
            return meaning
    return type(problem).__name__


def _chain(problem: BaseException) -> Iterator[BaseException]:
    """An exception and what it came from: the word that matters is often the innermost."""
    seen: BaseException | None = problem
    while seen is not None:
        yield seen
        if isinstance(seen, BaseExceptionGroup):
            for part in seen.exceptions:
                yield from _chain(part)
        seen = seen.__cause__ or seen.__context__


def _first_number(text: str) -> str:
    """The status that a proxy answered with; the rest is its own words."""
    return next((word for word in text.split() if word.isdigit()), "it cannot be spoken to")


def _answer(response: httpx2.Response, body: bytes, refusal: str) -> RawAnswer:
    headers = {key.lower(): value for key, value in response.headers.items()}
    warnings = tuple(response.headers.get_list("warning"))
    return RawAnswer(response.status_code, headers, body, refusal, warnings)
