"""A lane that talks to a cluster and records nothing: for commands outside a run, which are evidence of nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING

import anyio

from aiconform.cluster.http import ClusterHttp, RawRequest, RawStream
from aiconform.engine.clocks import moment, skew_s
from aiconform.engine.lane import Answer, Ask, Piece, Stream, TimeUp, audit_id
from aiconform.engine.live import Clock, seconds_to_wait
from aiconform.engine.pace import Pace

if TYPE_CHECKING:
    from pydantic import BaseModel


class UnrecordedLane:
    """See :class:`~aiconform.engine.lane.Lane`.

    Attributes:
        took_s: seconds from the last question to its answer's end; None before, and where none came.
        server_time: the API server's clock as of the last answer that told it; None before.
    """

    def __init__(self, http: ClusterHttp, run: str, name: str = "cleanup", pace: Pace | None = None) -> None:
        self.name = name
        self.run = run
        self.took_s: float | None = None
        self.server_time: datetime | None = None
        self._http = http
        self._clock = Clock()
        self._pace = pace or Pace()
        self._n = 0

    @property
    def now(self) -> float:
        """Seconds since the lane was made."""
        return self._clock.seconds()

    def write(self, payload: BaseModel) -> None:
        """Nothing is recorded."""

    async def exchange(self, ask: Ask) -> Answer:
        """See :class:`~aiconform.engine.lane.Lane`."""
        request = self._request(ask)
        async with self._pace.turn():
            before, asked = self._clock.seconds(), self._clock.wall()
            raw = await self._http.send(request)
        date = raw.headers.get("date", "")
        if raw.status:
            self.took_s = self._clock.seconds() - before
            self.server_time = moment(date) or self.server_time
        wait = seconds_to_wait(raw.headers.get("retry-after", ""))
        skew = skew_s(date, asked, self._clock.wall())
        return Answer(self._n, raw.status, raw.body, raw.headers.get("content-type", ""), raw.error, wait, skew)

    def stream(self, ask: Ask) -> AbstractAsyncContextManager[Stream]:
        """See :class:`~aiconform.engine.lane.Lane`."""
        return self._stream(ask)

    @asynccontextmanager
    async def _stream(self, ask: Ask) -> AsyncIterator[Stream]:
        async with self._http.stream(self._request(ask)) as raw:
            yield _OpenStream(raw, self._n, self._clock)

    async def pause(self, seconds: float, *, limit: float, waiting_for: str) -> None:  # noqa: ARG002 - nobody is told
        """See :class:`~aiconform.engine.lane.Lane`."""
        left = limit - self._clock.seconds()
        await anyio.sleep(max(0.0, min(seconds, left)))
        if left <= seconds:
            raise TimeUp

    def _request(self, ask: Ask) -> RawRequest:
        self._n += 1
        headers = {"Accept": ask.accept, "Audit-ID": audit_id(self.run, self.name, self._n)}
        if ask.body is not None:
            headers["Content-Type"] = ask.content_type
        return RawRequest(ask.method, ask.path, ask.query, headers, ask.body)


class _OpenStream:
    """An open watch."""

    def __init__(self, raw: RawStream, n: int, clock: Clock) -> None:
        self.n = n
        self._raw = raw
        self._clock = clock

    @property
    def status(self) -> int:
        """HTTP status; 0 where no answer came."""
        return self._raw.answer.status

    async def next(self, *, limit: float, waiting_for: str) -> Piece:  # noqa: ARG002 - nobody is told
        """See :class:`~aiconform.engine.lane.Stream`."""
        line, end = b"", ""
        with anyio.move_on_after(max(0.0, limit - self._clock.seconds())) as scope:
            line, end = await self._raw.next_line()
        if scope.cancelled_caught:
            raise TimeUp
        return Piece(line, end)
