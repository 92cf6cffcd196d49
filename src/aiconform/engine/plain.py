"""A lane that looks and records nothing: for commands that make no bundle.

Its answers are not redacted: what is shown stays with whoever asked. It asks one thing at a time and never more often
than it is told.
"""

from __future__ import annotations

import time
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import anyio

from aiconform.cluster.http import ClusterHttp, RawRequest
from aiconform.engine.lane import Answer, Ask, Stream, TimeUp, audit_id
from aiconform.errors import InternalError

if TYPE_CHECKING:
    from pydantic import BaseModel

PER_SECOND = 10
"""Requests in any second, at most."""


@dataclass
class Seen:
    """What was noticed beside the answers.

    Attributes:
        requests: how many were sent.
        skews_s: per answer with a Date, the server's time less ours, in seconds, as least and most it can be.
        fastest_s: the quickest answer, in seconds.
    """

    requests: int = 0
    skews_s: list[tuple[float, float]] = field(default_factory=list)
    fastest_s: float = float("inf")


class PlainLane:
    """See the module's text; see :class:`~aiconform.engine.lane.Lane` for its methods."""

    def __init__(self, http: ClusterHttp, run: str, *, per_second: float | None = None) -> None:
        self.name = "doctor"
        self.run = run
        self.seen = Seen()
        self._http = http
        self._start = time.monotonic()
        self._next = 0.0
        rate = PER_SECOND if per_second is None else per_second
        self._apart = 1 / rate if rate else 0.0

    @property
    def now(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._start

    async def exchange(self, ask: Ask) -> Answer:
        """Send a request, once its turn has come."""
        await anyio.sleep(max(0.0, self._next - self.now))
        self._next = max(self._next, self.now) + self._apart
        number = self.seen.requests
        self.seen.requests += 1
        headers = {"Accept": ask.accept, "Audit-ID": audit_id(self.run, self.name, number)}
        if ask.body is not None:
            headers["Content-Type"] = ask.content_type
        before, wall = self.now, time.time()
        raw = await self._http.send(RawRequest(ask.method, ask.path, ask.query, headers, ask.body))
        if raw.status:
            self.seen.fastest_s = min(self.seen.fastest_s, self.now - before)
            self._notice(raw.headers.get("date", ""), wall, time.time())
        retry = raw.headers.get("retry-after", "")
        wait = float(retry) if retry.isdigit() else 0.0
        return Answer(number, raw.status, raw.body, raw.headers.get("content-type", ""), raw.error, wait)

    def _notice(self, date: str, before: float, after: float) -> None:
        try:
            server = parsedate_to_datetime(date)
        except (ValueError, TypeError):
            return
        stamp = _seconds(server)
        # the header is cut to whole seconds, and was written some time between the question and the answer
        self.seen.skews_s.append((stamp - after, stamp + 1 - before))

    def stream(self, ask: Ask) -> AbstractAsyncContextManager[Stream]:
        """Not for looking."""
        raise InternalError(f"a plain lane follows nothing: {ask.path}")

    async def pause(self, seconds: float, *, limit: float, waiting_for: str) -> None:  # noqa: ARG002 - nothing is recorded
        """Let time pass between two tries."""
        left = limit - self.now
        await anyio.sleep(max(0.0, min(seconds, left)))
        if left <= seconds:
            raise TimeUp

    def write(self, payload: BaseModel) -> None:
        """Nothing is recorded."""


def _seconds(moment: datetime) -> float:
    return moment.timestamp()
