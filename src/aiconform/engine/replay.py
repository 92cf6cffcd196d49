"""Lanes that read a recorded run back: the same code must ask the same and reach the same.

A replay needs no network and no clock, and takes as long as it takes to read the answers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel

from aiconform.engine.lane import (
    CUT,
    INTERRUPTED,
    PROBE_LIMIT,
    Answer,
    Ask,
    Divergence,
    Piece,
    ProbeCut,
    Stream,
    TimeUp,
)
from aiconform.engine.lane import audit_id as expected_audit_id
from aiconform.evidence.records import ChunkData, DeadlineData, NoteData, RequestData, ResponseData

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiconform.evidence.records import Record

Payload = TypeVar("Payload", bound=BaseModel)
Substitute = Callable[["Record", RequestData, ResponseData, bytes], tuple[ResponseData, bytes]]
"""Replaces an answer in a replay: given its request record, request, response and body."""


def as_recorded(
    _record: Record, _request: RequestData, response: ResponseData, body: bytes
) -> tuple[ResponseData, bytes]:
    """The answer as it was."""
    return response, body


class ReplayLane:
    """A lane that reads its records back. See :class:`~aiconform.engine.lane.Lane`."""

    def __init__(
        self,
        name: str,
        run: str,
        records: Sequence[Record],
        blob: Callable[[str], bytes],
        substitute: Substitute = as_recorded,
    ) -> None:
        self.name = name
        self.run = run
        self._records = records
        self._next = 0
        self._blob = blob
        self._substitute = substitute
        self._now = 0.0
        self.started = records[0].mono / 1e6 if records else 0.0

    @property
    def now(self) -> float:
        """See :class:`~aiconform.engine.lane.Lane`."""
        return self._now

    def write(self, payload: BaseModel) -> None:
        """Compare what is stated now with what was stated then."""
        if isinstance(payload, DeadlineData | NoteData) and self._ends_probe():
            self._next += 1
            return
        recorded = self._take(type(payload))
        if recorded != payload:
            raise Divergence(f"{self._where()}: {_difference(recorded, payload)}")

    async def exchange(self, ask: Ask) -> Answer:
        """See :class:`~aiconform.engine.lane.Lane`."""
        record, request = self._asked(ask, stream=False)
        response = self._take(ResponseData)
        if response.error == CUT:
            raise ProbeCut(self._why_cut())
        body = self._blob(response.body) if response.body else b""
        response, body = self._substitute(record, request, response, body)
        retry_after = 0.0
        return Answer(record.n, response.status, body, response.content_type, response.error, retry_after)

    def stream(self, ask: Ask) -> AbstractAsyncContextManager[Stream]:
        """See :class:`~aiconform.engine.lane.Lane`."""
        return self._stream(ask)

    @asynccontextmanager
    async def _stream(self, ask: Ask) -> AsyncIterator[Stream]:
        record, request = self._asked(ask, stream=True)
        response = self._take(ResponseData)
        if response.error == CUT:
            raise ProbeCut(self._why_cut())
        response, body = self._substitute(record, request, response, b"")
        stream = ReplayStream(self, record.n, response.status, body)
        try:
            yield stream
        finally:
            if not stream.ended:
                self._left()

    async def pause(self, seconds: float, *, limit: float, waiting_for: str) -> None:  # noqa: ARG002 - time stands still
        """See :class:`~aiconform.engine.lane.Lane`. Takes no time."""
        self.check_deadline(waiting_for)

    def check_deadline(self, waiting_for: str) -> None:
        """Raise :class:`TimeUp` if the recorded wait gave up here."""
        self._cut_here()
        record = self._peek()
        if record is not None and record.type == "deadline":
            recorded = self._take(DeadlineData)
            if recorded.waiting_for != waiting_for:
                raise Divergence(f"{self._where()}: waits for {waiting_for!r}, the log for {recorded.waiting_for!r}")
            raise TimeUp

    def piece(self) -> Piece:
        """The next recorded piece of the open stream."""
        chunk = self._take(ChunkData)
        if chunk.end == CUT:
            raise ProbeCut(self._why_cut())
        return Piece(self._blob(chunk.body) if chunk.body else b"", chunk.end)

    def finish(self) -> None:
        """Check that nothing recorded is left over.

        Raises:
            Divergence: records remain that this code did not ask for.
        """
        if self._next != len(self._records):
            rest = len(self._records) - self._next
            raise Divergence(f"{self.name}: the log goes on with {rest} records that the check did not make")

    def _asked(self, ask: Ask, *, stream: bool) -> tuple[Record, RequestData]:
        self._cut_here()
        record = self._peek()
        recorded = self._take(RequestData)
        assert record is not None  # noqa: S101 - _take has raised otherwise
        body = self._blob(recorded.body) if recorded.body else None
        asked = (ask.method, ask.path, ask.query, ask.accept, ask.body, stream)
        logged = (recorded.method, recorded.path, tuple(recorded.query), recorded.accept, body, recorded.stream)
        if asked != logged:
            raise Divergence(
                f"{self._where()}: asks {ask.method} {ask.path}, the log has {recorded.method} {recorded.path}"
            )
        if recorded.audit_id != expected_audit_id(self.run, self.name, record.n):
            raise Divergence(f"{self._where()}: Audit-ID {recorded.audit_id} is not of this run and place")
        return record, recorded

    def _left(self) -> None:
        chunk = self._take(ChunkData)
        # an interrupt may have come while the stream was being left
        if not chunk.end:
            raise Divergence(f"{self._where()}: leaves a stream that the log goes on reading")

    def _take(self, kind: type[Payload]) -> Payload:
        record = self._peek()
        if record is None:
            raise Divergence(f"{self.name}: the log ends where the check goes on with a {kind.__name__}")
        try:
            payload = kind.model_validate(record.data)
        except ValueError as problem:
            raise Divergence(
                f"{self._where()}: the log has a {record.type}, the check makes a {kind.__name__}"
            ) from problem
        self._next += 1
        self._now = record.mono / 1e6
        return payload

    def _peek(self) -> Record | None:
        return self._records[self._next] if self._next < len(self._records) else None

    def _ends_probe(self) -> bool:
        record = self._peek()
        if record is None:
            return False
        return (record.type == "deadline" and record.data.get("waiting_for") == PROBE_LIMIT) or (
            record.type == "note" and record.data.get("text") == INTERRUPTED
        )

    def _cut_here(self) -> None:
        if self._ends_probe():
            raise ProbeCut(self._why_cut())

    def _why_cut(self) -> str:
        record = self._peek()
        return PROBE_LIMIT if record is not None and record.type == "deadline" else INTERRUPTED

    def _where(self) -> str:
        return f"{self.name} record {self._next}"


class ReplayStream:
    """A recorded watch or log."""

    def __init__(self, lane: ReplayLane, n: int, status: int, substituted: bytes) -> None:
        self._lane = lane
        self._n = n
        self._status = status
        self._substituted = substituted
        self.ended = False

    @property
    def n(self) -> int:
        """Number of the request record."""
        return self._n

    @property
    def status(self) -> int:
        """HTTP status; 0 where no answer came."""
        return self._status

    async def next(self, *, limit: float, waiting_for: str) -> Piece:  # noqa: ARG002 - the log knows the limit
        """See :class:`~aiconform.engine.lane.Stream`."""
        if self._substituted:
            body, self._substituted = self._substituted, b""
            return Piece(body)
        try:
            self._lane.check_deadline(waiting_for)
            piece = self._lane.piece()
        except (TimeUp, ProbeCut):
            self.ended = True
            raise
        self.ended = bool(piece.end)
        return piece


def _difference(recorded: BaseModel, made: BaseModel) -> str:
    for field in type(made).model_fields:
        before, now = getattr(recorded, field, None), getattr(made, field)
        if before != now:
            return f"{field} was {before!r}, the replay gives {now!r}"
    return "another kind of record"
