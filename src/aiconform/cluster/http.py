"""Requests to the API server, with every way to get no answer told apart by a word."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio
import httpx2

from aiconform.cluster.plugin import PluginError
from aiconform.errors import InternalError

if TYPE_CHECKING:
    from types import TracebackType

    from aiconform.cluster.connection import Connection

MAX_BODY = 32 * 1024 * 1024
WHOLE_WITHIN_S = 60.0
"""How long a body may take once it began: an answer that comes byte by byte never runs into a limit between bytes."""
_USER_AGENT = "aiconform"


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
    """An answer as it came; ``status`` 0 and ``error`` where none came."""

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
    """One HTTP client to one API server; use as ``async with``."""

    def __init__(self, connection: Connection, on_token: Callable[[str], None] = lambda _: None) -> None:
        self._connection = connection
        self._on_token = on_token
        self._client: httpx2.AsyncClient | None = None

    async def __aenter__(self) -> ClusterHttp:
        """Open the client; no request is made."""
        self._client = self._connection.client(self._on_token)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the client."""
        if self._client is not None:
            await self._client.aclose()

    async def send(self, request: RawRequest) -> RawAnswer:
        """Send a request; what keeps it from being answered is in ``error``, never raised."""
        try:
            async with self._stream(request, httpx2.Timeout(30, connect=10)) as response:
                body = bytearray()
                with anyio.move_on_after(WHOLE_WITHIN_S) as limit:
                    async for part in response.aiter_bytes():
                        body += part
                        if len(body) > MAX_BODY:
                            return RawAnswer(0, error="the answer is larger than 32 MiB")
                if limit.cancelled_caught:
                    return RawAnswer(0, error="timeout")
                return _answer(response, bytes(body))
        except (httpx2.HTTPError, httpx2.InvalidURL, ssl.SSLError, OSError) as problem:
            return RawAnswer(0, error=reason(problem))

    @asynccontextmanager
    async def stream(self, request: RawRequest) -> AsyncIterator[RawStream]:
        """Send a request whose answer is read line by line; there is no limit on the time between lines."""
        opened = self._stream(request, httpx2.Timeout(30, connect=10, read=None))
        try:
            response = await opened.__aenter__()
        except (httpx2.HTTPError, httpx2.InvalidURL, ssl.SSLError, OSError) as problem:
            yield RawStream(RawAnswer(0, error=reason(problem)), None)
            return
        try:
            yield RawStream(_answer(response, b""), response)
        finally:
            await opened.__aexit__(None, None, None)

    def _stream(self, request: RawRequest, timeout: httpx2.Timeout):  # type: ignore[no-untyped-def]
        if self._client is None:
            raise InternalError("the HTTP client is not open")
        headers = {"User-Agent": _USER_AGENT, **request.headers}
        return self._client.stream(
            request.method,
            request.path,
            params=list(request.query),
            headers=headers,
            content=request.body,
            timeout=timeout,
        )


def reason(problem: BaseException) -> str:
    """A few words for why no answer came, without addresses."""
    if isinstance(problem, httpx2.TimeoutException):
        return "timeout"
    if isinstance(problem, PluginError):
        return str(problem)
    text = " ".join(f"{type(found).__name__} {found}" for found in _chain(problem)).lower()
    for word, meaning in (
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


def _answer(response: httpx2.Response, body: bytes) -> RawAnswer:
    headers = {key.lower(): value for key, value in response.headers.items()}
    return RawAnswer(response.status_code, headers, body, warnings=tuple(response.headers.get_list("warning")))
