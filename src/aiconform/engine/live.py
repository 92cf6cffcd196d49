"""Lanes that talk to a cluster and record everything.

Between the check and the cluster stands the redactor: answers are redacted before the check sees them, pseudonyms in
requests are turned back before they are sent. What is recorded is what the check saw.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import anyio

from aiconform.cluster.http import ClusterHttp, RawAnswer, RawRequest, RawStream
from aiconform.engine.clocks import recorded_skew_s
from aiconform.engine.lane import CUT, IMPORT, LEFT, Answer, Ask, Piece, Stream, TimeUp, audit_id
from aiconform.engine.pace import Pace
from aiconform.evidence.records import ChunkData, DeadlineData, RequestData, ResponseData

if TYPE_CHECKING:
    from pydantic import BaseModel

    from aiconform.engine.journal import Journal
    from aiconform.evidence.records import Record
    from aiconform.evidence.redact import Redactor
    from aiconform.evidence.writer import BundleWriter


class Clock:
    """Monotonic time since the run began, and wall time for people."""

    def __init__(self) -> None:
        self._start = time.monotonic_ns()

    def mono_us(self) -> int:
        """Microseconds since the run began."""
        return (time.monotonic_ns() - self._start) // 1000

    def seconds(self) -> float:
        """Seconds since the run began."""
        return self.mono_us() / 1e6

    @staticmethod
    def wall() -> datetime:
        """Now, in UTC."""
        return datetime.now(UTC)


@dataclass(frozen=True)
class Wire:
    """What all live lanes of a run share.

    ``imports`` are files that the user gave, by the path they are asked for: they come into the bundle untouched.
    """

    run: str
    http: ClusterHttp
    writer: BundleWriter
    redactor: Redactor
    clock: Clock
    journal: Journal | None = None
    pace: Pace = field(default_factory=Pace)
    imports: Mapping[str, bytes] = field(default_factory=dict)

    def lane(self, name: str) -> LiveLane:
        """A new lane."""
        return LiveLane(self, name)


_WATCH_BEGINS_WITHIN_S = 60.0
"""A watch is answered at once, before there is anything to tell; a clean-up must not wait for ever where it is not."""


class LiveLane:
    """A lane that talks to a cluster. See :class:`~aiconform.engine.lane.Lane`."""

    def __init__(self, wire: Wire, name: str) -> None:
        self.name = name
        self.run = wire.run
        self._wire = wire
        self._now = 0.0
        self._n = 0

    @property
    def now(self) -> float:
        """See :class:`~aiconform.engine.lane.Lane`."""
        return self._now

    def write(self, payload: BaseModel) -> None:
        """See :class:`~aiconform.engine.lane.Lane`."""
        self._append(payload)

    async def exchange(self, ask: Ask) -> Answer:
        """See :class:`~aiconform.engine.lane.Lane`.

        Raises:
            UsageError: what is to be created cannot be written to the journal; it is not created.
        """
        if ask.method == IMPORT:
            return self._imported(ask.path, self._ask(ask, stream=False).n)
        async with self._wire.pace.turn(passed_on="/proxy/" in ask.path):
            manifest = self._journalled(ask)
            asked = self._ask(ask, stream=False)
            try:
                raw = await self._wire.http.send(self._outgoing(ask, asked.n))
            except anyio.get_cancelled_exc_class():
                self._append(ResponseData(status=0, error=CUT))
                raise
        content_type = self._wire.redactor.redact_text(raw.headers.get("content-type", ""))
        body = self._wire.redactor.redact_body(raw.body, content_type) if raw.body else b""
        response = self._response(raw, body)
        # by what is recorded, so that a replay finds the same
        skew = recorded_skew_s(response.server_date, asked.wall, self._append(response).wall)
        if manifest and raw.status == 201 and self._wire.journal is not None:
            self._wire.journal.created(manifest, _uid(body))
        wait = seconds_to_wait(raw.headers.get("retry-after", ""))
        error = self._wire.redactor.redact_text(raw.error)
        return Answer(asked.n, raw.status, body, content_type, error, wait, skew)

    def _journalled(self, ask: Ask) -> dict[str, Any]:
        """Write down what is about to be created, if anything is."""
        if self._wire.journal is None or ask.method != "POST" or not ask.body or not _stores(ask):
            return {}
        manifest: dict[str, Any] = json.loads(ask.body)
        self._wire.journal.creating(manifest)
        return manifest

    def _imported(self, path: str, n: int) -> Answer:
        data = self._wire.imports.get(path)
        status, body = (404, b"") if data is None else (200, data)
        stored = self._wire.writer.blob(body) if body else None
        self._append(ResponseData(status=status, content_type="text/plain", body=stored, body_size=len(body)))
        return Answer(n, status, body, "text/plain")

    def stream(self, ask: Ask) -> AbstractAsyncContextManager[Stream]:
        """See :class:`~aiconform.engine.lane.Lane`."""
        return self._stream(ask)

    @asynccontextmanager
    async def _stream(self, ask: Ask) -> AsyncIterator[Stream]:
        n = self._ask(ask, stream=True).n
        stream: LiveStream | None = None
        end = LEFT
        try:
            begins_within_s = _WATCH_BEGINS_WITHIN_S if ("watch", "true") in ask.query else None
            async with self._wire.http.stream(self._outgoing(ask, n), begins_within_s) as raw:
                self._append(self._response(raw.answer, b""))
                stream = LiveStream(self, raw, n)
                yield stream
        except anyio.get_cancelled_exc_class():
            end = CUT
            raise
        finally:
            if stream is None:
                self._append(ResponseData(status=0, error=CUT))
            elif not stream.ended:
                self._append(ChunkData(end=end))

    async def pause(self, seconds: float, *, limit: float, waiting_for: str) -> None:
        """See :class:`~aiconform.engine.lane.Lane`."""
        left = limit - self._wire.clock.seconds()
        await anyio.sleep(max(0.0, min(seconds, left)))
        if left <= seconds:
            self.deadline(limit, waiting_for)

    def deadline(self, limit: float, waiting_for: str) -> None:
        """Record that a wait gave up, and say so by raising :class:`TimeUp`."""
        self._append(DeadlineData(waiting_for=waiting_for, limit_s=round(limit, 6)))
        raise TimeUp

    def incoming(self, line: bytes) -> bytes:
        """A line as the check may see it."""
        return self._wire.redactor.redact_body(line, "application/json" if line[:1] == b"{" else "text/plain")

    def record_piece(self, body: bytes, end: str) -> None:
        """Record a piece of a stream."""
        self._append(ChunkData(body=self._wire.writer.blob(body) if body else None, end=end))

    def seconds_left(self, limit: float) -> float:
        """Real seconds until ``limit``."""
        return limit - self._wire.clock.seconds()

    def _ask(self, ask: Ask, *, stream: bool) -> Record:
        data = RequestData(
            method=ask.method,
            path=ask.path,
            query=list(ask.query),
            accept=ask.accept,
            content_type=ask.content_type,
            body=self._wire.writer.blob(ask.body) if ask.body is not None else None,
            audit_id=audit_id(self.run, self.name, self._n),
            stream=stream,
        )
        return self._append(data)

    def _outgoing(self, ask: Ask, n: int) -> RawRequest:
        real = self._wire.redactor.restore_text
        headers = {"Accept": ask.accept, "Audit-ID": audit_id(self.run, self.name, n)}
        if ask.body is not None:
            headers["Content-Type"] = ask.content_type
        return RawRequest(
            ask.method,
            real(ask.path),
            tuple((key, real(value)) for key, value in ask.query),
            headers,
            real(ask.body.decode()).encode() if ask.body is not None else None,
        )

    def _response(self, raw: RawAnswer, body: bytes) -> ResponseData:
        text = self._wire.redactor.redact_text
        return ResponseData(
            status=raw.status,
            content_type=text(raw.headers.get("content-type", "")),
            server_date=text(raw.headers.get("date", "")),
            audit_id=text(raw.headers.get("audit-id", "")),
            warnings=[text(warning) for warning in raw.warnings],
            body=self._wire.writer.blob(body) if body else None,
            body_size=len(body),
            error=text(raw.error),
        )

    def _append(self, payload: BaseModel) -> Record:
        record = self._wire.writer.append(self.name, payload)
        self._now = record.mono / 1e6
        self._n = record.n + 1
        return record


class LiveStream:
    """An open watch or log of a live lane."""

    def __init__(self, lane: LiveLane, raw: RawStream, n: int) -> None:
        self._lane = lane
        self._raw = raw
        self._number = n
        self.ended = False

    @property
    def n(self) -> int:
        """Number of the request record."""
        return self._number

    @property
    def status(self) -> int:
        """HTTP status; 0 where no answer came."""
        return self._raw.answer.status

    async def next(self, *, limit: float, waiting_for: str) -> Piece:
        """See :class:`~aiconform.engine.lane.Stream`."""
        line, end = b"", ""
        with anyio.move_on_after(max(0.0, self._lane.seconds_left(limit))) as scope:
            line, end = await self._raw.next_line()
        if scope.cancelled_caught:
            self.ended = True
            self._lane.deadline(limit, waiting_for)
        body = self._lane.incoming(line) if line else b""
        self._lane.record_piece(body, end)
        self.ended = bool(end)
        return Piece(body, end)


def _stores(ask: Ask) -> bool:
    """Whether a POST leaves something on the cluster: an access review or a dry run does not."""
    return not ask.path.startswith("/apis/authorization.k8s.io/") and "dryRun" not in dict(ask.query)


def seconds_to_wait(text: str) -> float:
    """A Retry-After header in seconds; 0 where there is none, or a date."""
    return float(text) if text.isdigit() else 0.0


def _uid(body: bytes) -> str:
    """The uid of an object that was created; empty where the answer does not tell."""
    try:
        found = json.loads(body)["metadata"]["uid"]
    except (ValueError, KeyError, TypeError):
        return ""
    return str(found)
