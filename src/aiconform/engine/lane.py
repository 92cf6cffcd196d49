"""Lanes: the only way anything in a run talks to the world.

A lane is a strictly sequential stream of records. :class:`~aiconform.engine.live.LiveLane` talks to a cluster and
writes records; :class:`~aiconform.engine.replay.ReplayLane` reads them back. Code above cannot tell which it has.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pydantic import BaseModel

JSON = "application/json"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
TEXT = "text/plain, */*"
MERGE_PATCH = "application/merge-patch+json"
IMPORT = "IMPORT"
"""Method of a request that asks no cluster, but for a file that the user gave; the path is its name."""
CUT = "cut off"
"""What a response or a stream says that was in flight when its probe was ended."""
LEFT = "left"
"""What a stream says that was closed because enough was seen."""
PROBE_LIMIT = "the probe's own time limit"
INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Ask:
    """A request as the code above sees it: pseudonyms, no credentials."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    accept: str = JSON
    body: bytes | None = None

    @property
    def content_type(self) -> str:
        """What the body is; every PATCH of ours is a merge patch (RFC 7396)."""
        if self.body is None:
            return ""
        return MERGE_PATCH if self.method == "PATCH" else JSON


@dataclass(frozen=True)
class Answer:
    """What came back, redacted. ``status`` 0 and ``error`` where no answer came. ``n`` numbers the request record.

    ``skew_s`` is how far the server's clock is ahead, as least and most, where the answer tells.
    """

    n: int
    status: int
    body: bytes = b""
    content_type: str = ""
    error: str = ""
    retry_after_s: float = 0.0
    skew_s: tuple[float, float] | None = None


@dataclass(frozen=True)
class Piece:
    """One piece of a stream; ``end`` is set on the last one and says why the stream ended."""

    body: bytes = b""
    end: str = ""


class TimeUp(Exception):  # noqa: N818 - an end, not an error
    """The limit of a wait was reached; the ``deadline`` record is written."""


class ProbeCut(Exception):  # noqa: N818
    """A replay came to the place where the probe's own time limit, or an interrupt, ended it."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Divergence(Exception):  # noqa: N818
    """A replay asked something else than the log holds: not the code that ran, or not the log of this run."""


class Stream(Protocol):
    """An open watch or followed log."""

    @property
    def n(self) -> int:
        """Number of the request record."""

    @property
    def status(self) -> int:
        """HTTP status; 0 where no answer came."""

    async def next(self, *, limit: float, waiting_for: str) -> Piece:
        """The next piece.

        Raises:
            TimeUp: at ``limit`` (seconds since the run began), after recording it.
        """


class Lane(Protocol):
    """See the module's text."""

    name: str
    run: str

    @property
    def now(self) -> float:
        """Seconds since the run began, as of the last record of this lane. Stands still between records."""

    async def exchange(self, ask: Ask) -> Answer:
        """Send a request and get its whole answer. A failure to get one is an answer too (status 0)."""

    def stream(self, ask: Ask) -> AbstractAsyncContextManager[Stream]:
        """Send a request whose answer comes in pieces."""

    async def pause(self, seconds: float, *, limit: float, waiting_for: str) -> None:
        """Let time pass between two tries.

        Raises:
            TimeUp: if ``limit`` comes first, after recording it.
        """

    def write(self, payload: BaseModel) -> None:
        """Record an observation, a note, a verdict or a clean-up; a replay compares it with what was recorded."""


async def lines(stream: Stream, *, limit: float, waiting_for: str) -> AsyncIterator[Piece]:
    """The pieces of a stream up to and including its end."""
    while True:
        piece = await stream.next(limit=limit, waiting_for=waiting_for)
        yield piece
        if piece.end:
            return


def audit_id(run: str, lane: str, n: int) -> str:
    """The Audit-ID that we send with a request, so that an operator's audit log can confirm each line."""
    return f"{run}.{lane}.{n}"
