"""A TLS proxy of ours in the path between a run and a real API server, which may do to each request what it is told.

It ends the run's TLS with a certificate of an authority that only the run's kubeconfig trusts, takes the run's token,
and asks the API server with a client certificate: so what arrives there arrives through here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import ssl
import struct
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.faults import wire
from tests.faults.wire import Head

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_BROKEN = (OSError, EOFError, ssl.SSLError, ValueError)
_LOOK_EVERY_S = 0.05


@dataclass(frozen=True)
class Request:
    """A request of a run, in the order of arrival. ``target`` is the path with its query."""

    number: int
    head: Head
    body: bytes

    @property
    def method(self) -> str:
        return self.head.start.split(" ")[0]

    @property
    def target(self) -> str:
        return self.head.start.split(" ")[1]

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def writes(self) -> bool:
        return self.method in WRITES

    @property
    def creates(self) -> bool:
        """Whether something is stored by it that was not there: no review, no dry run."""
        stores = "dryRun=" not in self.target and not self.path.startswith("/apis/authorization.k8s.io/")
        return self.method == "POST" and stores

    @property
    def streams(self) -> bool:
        """Whether the answer comes in lines and has no end of its own: a watch, or a followed log."""
        query = parse_qs(urlsplit(self.target).query)
        return query.get("watch") == ["true"] or query.get("follow") == ["true"]

    def __str__(self) -> str:
        return f"{self.number} {self.method} {self.target}"


@dataclass(frozen=True)
class Answer:
    """A whole answer of the API server."""

    head: Head
    body: bytes

    @property
    def status(self) -> int:
        return self.head.status


@dataclass
class Upstream:
    """The API server, asked over kept connections as one user."""

    host: str
    port: int
    tls: ssl.SSLContext
    _idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=list)

    async def open(self, head: Head, body: bytes) -> tuple[Head, asyncio.StreamReader, asyncio.StreamWriter]:
        """Send a request; the head of its answer, and the connection that the body comes over.

        Raises:
            OSError, asyncio.IncompleteReadError: the API server does not answer.
        """
        sent = head.without("authorization", "accept-encoding", "host").plus(
            ("Host", f"{self.host}:{self.port}"), ("Content-Length", str(len(body)))
        )
        while True:
            kept = bool(self._idle)
            reader, writer = self._idle.pop() if kept else await self._connect()
            try:
                writer.write(sent.encoded() + body)
                await writer.drain()
                answered = await wire.read_head(reader)
            except _BROKEN:
                answered = None
                if not kept:
                    raise
            if answered is not None:
                return answered, reader, writer
            writer.transport.abort()
            if not kept:
                raise ConnectionResetError("the API server closed the connection")

    async def ask(self, head: Head, body: bytes = b"") -> Answer:
        """Send a request and read its whole answer."""
        answered, reader, writer = await self.open(head, body)
        try:
            answer = Answer(answered, await wire.whole(reader, answered))
        except BaseException:
            writer.transport.abort()
            raise
        self.keep(reader, writer)
        return answer

    async def json(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Ask for JSON; the status and the object."""
        head = Head(f"{method} {path} HTTP/1.1", (("Accept", "application/json"), ("Content-Type", "application/json")))
        answer = await self.ask(head, json.dumps(body).encode() if body is not None else b"")
        return answer.status, json.loads(answer.body or b"{}")

    def keep(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take back a connection whose answer was read to its end."""
        self._idle.append((reader, writer))

    def close(self) -> None:
        """Drop the idle connections."""
        for _, writer in self._idle:
            writer.transport.abort()
        self._idle.clear()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self.host, self.port, ssl=self.tls, limit=1 << 20)


class Exchange:
    """One request that has arrived, and what can be done about it."""

    def __init__(
        self, proxy: Proxy, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.proxy = proxy
        self.request = request
        self.rng: random.Random = proxy.rng
        self._reader = reader
        self._writer = writer
        self.alive = True
        """Whether the connection can take another request."""

    async def ask(self) -> Answer:
        """Forward the request and read the whole answer, which the run does not get by that."""
        answer = await self.proxy.upstream.ask(self.request.head, self.request.body)
        self.proxy.remember(self.request, answer)
        return answer

    async def answer(self, head: Head, body: bytes) -> None:
        """Give the run a whole answer."""
        sent = head.without().plus(("Content-Length", str(len(body))))
        await self.write(sent.encoded() + body)

    async def passed_on(self) -> None:
        """Forward the request and give the run what comes, as it comes."""
        if not self.request.streams:
            answer = await self.ask()
            await self.answer(answer.head, answer.body)
            return
        async with self.lines() as (head, lines):
            await self.write(head.without().plus(("Transfer-Encoding", "chunked")).encoded())
            async for line in lines:
                await self.write(wire.chunk(line))
            await self.write(wire.LAST_CHUNK)

    @contextlib.asynccontextmanager
    async def lines(self) -> AsyncIterator[tuple[Head, AsyncIterator[bytes]]]:
        """Forward a request whose answer streams: its head, and its lines until the run or the server ends it."""
        head, reader, writer = await self.proxy.upstream.open(self.request.head, self.request.body)
        try:
            async with (
                aclosing(wire.pieces(reader, head)) as pieces,
                aclosing(_lines(pieces)) as lines,
                aclosing(self._until_gone(lines)) as until_gone,
            ):
                yield head, until_gone
        finally:
            writer.transport.abort()

    async def _until_gone(self, lines: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        """Lines, until the run has closed its side: it says nothing when it leaves a watch."""
        gone = asyncio.ensure_future(self.hold())
        try:
            while True:
                line = asyncio.ensure_future(anext(lines, None))
                try:
                    await asyncio.wait({line, gone}, return_when=asyncio.FIRST_COMPLETED)
                    found = line.result() if line.done() else None
                finally:
                    await _ended(line)
                if found is None:
                    return
                yield found
        finally:
            gone.cancel()

    async def write(self, data: bytes) -> None:
        """Send bytes to the run, whatever they are."""
        if self._writer.is_closing():
            raise ConnectionResetError("the run has closed the connection")
        self._writer.write(data)
        await self._writer.drain()
        await asyncio.sleep(0)  # of a connection that was lost, a transport of TLS hears in a turn of the loop

    def reset(self) -> None:
        """Break the connection off, so that the other side sees a reset."""
        self.alive = False
        raw = self._writer.get_extra_info("socket")
        with contextlib.suppress(OSError, AttributeError):  # it has no socket any more where the run was quicker
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def gone(self) -> bool:
        """Whether the run has closed its side."""
        return self._reader.at_eof() or self._writer.is_closing()

    async def hold(self) -> None:
        """Say nothing until the run gives up."""
        while not self.gone():  # noqa: ASYNC110 - a stream has no event for its end
            await asyncio.sleep(_LOOK_EVERY_S)
        self.alive = False


Fault = Callable[[Exchange], Awaitable[None]]
Script = Mapping[int, Fault]


class Proxy:
    """One proxy for one run; use as ``async with``.

    Args:
        upstream: the API server as the run's user.
        tls: the proxy's certificate.
        token: that the run must show.
        script: what is done to which request, by number from 0; all others are passed on.
        rng: for faults that choose.
        planter: the API server as somebody else, for faults that plant foreign objects.
    """

    def __init__(
        self,
        upstream: Upstream,
        tls: ssl.SSLContext,
        token: str,
        script: Script | None = None,
        rng: random.Random | None = None,
        planter: Upstream | None = None,
    ) -> None:
        self.upstream = upstream
        self.planter = planter or upstream
        self.rng = rng or random.Random(0)
        self.seen: list[Request] = []
        self.struck: list[Request] = []
        self.planted: list[tuple[str, str]] = []
        """Paths and uids of foreign objects that a fault put in the run's way."""
        self.struck_at = 0.0
        """When the last fault began, by the monotonic clock."""
        self.strangers = 0
        """Requests without the run's token."""
        self.port = 0
        self._tls = tls
        self._token = token
        self._script = script or {}
        self._answers: dict[str, Answer] = {}
        self._server: asyncio.Server | None = None
        self._kept: socket.socket | None = None
        """Holds the port while nothing listens."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Proxy:
        """Listen on a free port of the loopback."""
        await self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Break everything off."""
        for listening in (self._server, self._kept):
            if listening is not None:
                listening.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def listen(self) -> None:
        """Listen, on the same port as before if there was one."""
        bound = self._kept or _bound(self.port)
        self._kept = None
        self.port = bound.getsockname()[1]
        self._server = await asyncio.start_server(self._serve, sock=bound, ssl=self._tls, limit=1 << 20)

    def deaf(self) -> None:
        """Refuse new connections; the port is kept, so that nobody else gets it meanwhile."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self._kept = _bound(self.port)

    def later(self, work: Awaitable[None]) -> None:
        """Do something beside the connections; it ends with the proxy."""
        self._track(asyncio.ensure_future(work))

    def remember(self, request: Request, answer: Answer) -> None:
        """Keep the first good answer to each question, to give it again when it is stale."""
        if request.method == "GET" and answer.status == 200:
            self._answers.setdefault(request.target, answer)

    def stale(self, request: Request) -> Answer | None:
        """What was answered when this was first asked, if it was."""
        return self._answers.get(request.target)

    def _track(self, task: asyncio.Future[None]) -> None:
        self._tasks.add(task)  # type: ignore[arg-type]
        task.add_done_callback(self._tasks.discard)  # type: ignore[arg-type]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._track(task)
        try:
            while await self._one(reader, writer):
                pass
        except _BROKEN:
            pass  # the run closed its side, or the API server did: the run sees the connection end
        except asyncio.CancelledError:
            pass  # asyncio would log the end of a server's task as an error
        finally:
            writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request; whether the connection can take another."""
        head = await wire.read_head(reader)
        if head is None:
            return False
        body = await wire.whole(reader, head)
        request = Request(len(self.seen), head, body)
        exchange = Exchange(self, request, reader, writer)
        if head.get("authorization") != f"Bearer {self._token}":
            self.strangers += 1
            await exchange.answer(Head("HTTP/1.1 401 Unauthorized", ()), b"")
            return True
        self.seen.append(request)
        fault = self._script.get(request.number)
        if fault is None:
            await exchange.passed_on()
        else:
            self.struck.append(request)
            self.struck_at = time.monotonic()
            await fault(exchange)
        return exchange.alive and not exchange.gone()


def _bound(port: int) -> socket.socket:
    """A socket of the loopback that has a port (0: any) and does not listen: who connects there is refused.

    A port of its own is asked for without SO_REUSEADDR: with it, Linux gives out what is kept and does not listen.
    """
    bound = socket.socket()
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, port != 0)
        bound.bind(("127.0.0.1", port))
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    except OSError:
        bound.close()
        raise
    return bound


async def _ended(task: asyncio.Future[bytes | None]) -> None:
    """Cancel a task and see it end: one left behind would speak up when nobody listens any more."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()


async def _lines(parts: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Pieces cut anew at the ends of lines."""
    rest = b""
    async for part in parts:
        *done, rest = (rest + part).split(b"\n")
        for line in done:
            yield line + b"\n"
    if rest:
        yield rest
