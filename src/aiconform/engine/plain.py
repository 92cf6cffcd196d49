"""A lane that looks and notices how the answers came: for commands that make no bundle.

Its answers are not redacted: what is shown stays with whoever asked. It asks one thing at a time and never more often
than it is told.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiconform.engine.pace import Pace
from aiconform.engine.unrecorded import UnrecordedLane
from aiconform.errors import InternalError

if TYPE_CHECKING:
    from aiconform.cluster.http import ClusterHttp
    from aiconform.engine.lane import Answer, Ask, Stream

PER_SECOND = 10.0
"""Requests in any second, at most."""
_AT_ONCE = 1e9


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


class PlainLane(UnrecordedLane):
    """See the module's text; see :class:`~aiconform.engine.lane.Lane` for its methods.

    Args:
        http: to ask with.
        run: a made-up id of a run, for the audit log.
        per_second: requests in a second; 0: no limit.
    """

    def __init__(self, http: ClusterHttp, run: str, *, per_second: float = PER_SECOND) -> None:
        super().__init__(http, run, "doctor", Pace(in_flight=1, per_second=per_second or _AT_ONCE, burst=1))
        self.seen = Seen()

    async def exchange(self, ask: Ask) -> Answer:
        """Send a request, once its turn has come."""
        self.seen.requests += 1
        self.took_s = None
        answer = await super().exchange(ask)
        if self.took_s is not None:
            self.seen.fastest_s = min(self.seen.fastest_s, self.took_s)
        if answer.skew_s is not None:
            self.seen.skews_s.append(answer.skew_s)
        return answer

    def stream(self, ask: Ask) -> AbstractAsyncContextManager[Stream]:
        """Not for looking."""
        raise InternalError(f"a plain lane follows nothing: {ask.path}")
