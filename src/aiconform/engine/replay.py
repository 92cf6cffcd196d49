"""Lanes that read a recorded run back: the same code must ask the same and reach the same.

A replay needs no network and no clock, and takes as long as it takes to read the answers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel

from aiconform.engine.clocks import recorded_skew_s
from aiconform.engine.lane import (
    CUT,
    INTERRUPTED,
    LEFT,
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
from aiconform.engine.undecidable import NoAnswerError
from aiconform.evidence.records import PAYLOADS, ChunkData, DeadlineData, NoteData, RequestData, ResponseData

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiconform.evidence.records import Record

Payload = TypeVar("Payload", bound=BaseModel)


class Substitution:
    """Replaces answers in a replay, to see what comes of it; this one replaces nothing.

    With a substitution a replay is lenient: what the code states is not compared with what it stated then, and where it
    goes on to ask something else, there simply is no answer.
    """

    def response(
        self,
        lane: str,  # noqa: ARG002 - for those who override
        request: RequestData,  # noqa: ARG002
        response: ResponseData,
        body: bytes,
    ) -> tuple[ResponseData, bytes]:
        """The answer to a request; for a stream, its headers and no body."""
        return response, body

    def piece(self, lane: str, request: RequestData, body: bytes) -> bytes:  # noqa: ARG002
        """A piece of a stream: a watch event, a line of a log."""
        return body


class ReplayLane:
    """A lane that reads its records back. See :class:`~aiconform.engine.lane.Lane`."""

    def __init__(
        self,
        name: str,
        run: str,
        records: Sequence[Record],
        blob: Callable[[str], bytes],
        substitution: Substitution | None = None,
    ) -> None:
        self.name = name
        self.run = run
        self._records = records
        self._next = 0
        self._blob = blob
        self._substitution = substitution or Substitution()
        self._lenient = substitution is not None
        self._now = 0.0

    @property
    def now(self) -> float:
        """See :class:`~aiconform.engine.lane.Lane`."""
        return self._now

    def write(self, payload: BaseModel) -> None:
        """Compare what is stated now with what was stated then."""
        if isinstance(payload, DeadlineData | NoteData) and self._ends_probe():
            self._next += 1
            return
        if self._lenient:
            self._skip_to(type(payload))
            return
        recorded = self._take(type(payload))
        if recorded != payload:
            raise Divergence(f"{self._where()}: {_difference(recorded, payload)}")

    async def exchange(self, ask: Ask) -> Answer:
        """See :class:`~aiconform.engine.lane.Lane`."""
        record, request = self._asked(ask, stream=False)
        answered = self._peek()
        response = self._take(ResponseData)
        assert answered is not None  # noqa: S101 - _take has raised otherwise
        if response.error == CUT:
            raise ProbeCut(self._why_cut())
        body = self._blob(response.body) if response.body else b""
        skew = recorded_skew_s(response.server_date, record.wall, answered.wall)
        response, body = self._substitution.response(self.name, request, response, body)
        return Answer(record.n, response.status, body, response.content_type, response.error, skew_s=skew)

    def stream(self, ask: Ask) -> AbstractAsyncContextManager[Stream]:
        """See :class:`~aiconform.engine.lane.Lane`."""
        return self._stream(ask)

    @asynccontextmanager
    async def _stream(self, ask: Ask) -> AsyncIterator[Stream]:
        record, request = self._asked(ask, stream=True)
        response = self._take(ResponseData)
        if response.error == CUT:
            raise ProbeCut(self._why_cut())
        response, body = self._substitution.response(self.name, request, response, b"")
        stream = ReplayStream(self, record.n, request, response.status, body)
        try:
            yield stream
        finally:
            if not stream.ended and not self._lenient:
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
            if recorded.waiting_for != waiting_for and not self._lenient:
                raise Divergence(f"{self._where()}: waits for {waiting_for!r}, the log for {recorded.waiting_for!r}")
            raise TimeUp

    def piece(self, request: RequestData) -> Piece:
        """The next recorded piece of the open stream."""
        chunk = self._take(ChunkData)
        if chunk.end == CUT:
            raise ProbeCut(self._why_cut())
        if chunk.end == LEFT:
            # only a replay with other answers reads on where enough was seen: nothing more came
            raise TimeUp
        body = self._blob(chunk.body) if chunk.body else b""
        return Piece(self._substitution.piece(self.name, request, body) if body else b"", chunk.end)

    def finish(self) -> None:
        """Check that nothing recorded is left over.

        Raises:
            Divergence: records remain that this code did not ask for.
        """
        if self._next != len(self._records):
            rest = len(self._records) - self._next
            raise Divergence(f"{self.name}: the log goes on with {rest} records that the check did not make")

    def _asked(self, ask: Ask, *, stream: bool) -> tuple[Record, RequestData]:
        if self._lenient:
            self._skip_to(RequestData)
        self._cut_here()
        record = self._peek()
        recorded = self._take(RequestData)
        assert record is not None  # noqa: S101 - _take has raised otherwise
        body = self._blob(recorded.body) if recorded.body else None
        asked = (ask.method, ask.path, ask.query, ask.accept, ask.body, stream)
        logged = (recorded.method, recorded.path, tuple(recorded.query), recorded.accept, body, recorded.stream)
        if asked != logged:
            if self._lenient:
                raise NoAnswerError(f"{ask.method} {ask.path} was never asked, so there is no answer")
            raise Divergence(
                f"{self._where()}: asks {ask.method} {ask.path}, the log has {recorded.method} {recorded.path}"
            )
        if recorded.audit_id != expected_audit_id(self.run, self.name, record.n):
            raise Divergence(f"{self._where()}: Audit-ID {recorded.audit_id} is not of this run and place")
        return record, recorded

    def _skip_to(self, kind: type[BaseModel]) -> None:
        """Pass over what this replay does not come to, up to the next record of a kind."""
        wanted = next(name for name, model in PAYLOADS.items() if model is kind)
        while (record := self._peek()) is not None and record.type != wanted and not self._ends_probe():
            self._next += 1

    def _left(self) -> None:
        chunk = self._take(ChunkData)
        # an interrupt may have come while the stream was being left
        if not chunk.end:
            raise Divergence(f"{self._where()}: leaves a stream that the log goes on reading")

    def _take(self, kind: type[Payload]) -> Payload:
        record = self._peek()
        if record is None and self._lenient:
            raise NoAnswerError(f"the log of {self.name} ends here")
        if record is None:
            raise Divergence(f"{self.name}: the log ends where the check goes on with a {kind.__name__}")
        try:
            payload = kind.model_validate(record.data)
        except ValueError as problem:
            if self._lenient:
                raise NoAnswerError(f"{self._where()}: the log has no answer here") from problem
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

    def __init__(self, lane: ReplayLane, n: int, request: RequestData, status: int, substituted: bytes) -> None:
        self._lane = lane
        self._n = n
        self._request = request
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
            piece = self._lane.piece(self._request)
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
