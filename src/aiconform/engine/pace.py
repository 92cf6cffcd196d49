"""How fast we ask: few requests at a time, and few a second on average, so that no API server notices us.

A whole local run asks three requests a second with peaks of thirty; only a large cluster or a loop meets the limit.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio

IN_FLIGHT = 4
PER_SECOND = 10.0
BURST = 40
"""Requests that may come at once after a quiet time."""


class Pace:
    """Turns to send a request; streams take none.

    Args:
        in_flight: requests at the same time.
        per_second: on average.
        burst: how many of the average may be saved up.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        in_flight: int = IN_FLIGHT,
        per_second: float = PER_SECOND,
        burst: int = BURST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._in_flight = in_flight
        self._places: anyio.Semaphore | None = None
        self._rate = per_second
        self._burst = float(burst)
        self._saved = float(burst)
        self._clock = clock
        self._at = clock()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until it is our turn, and hold the place while the request is on its way."""
        if self._places is None:  # made inside the event loop it belongs to
            self._places = anyio.Semaphore(self._in_flight)
        async with self._places:
            wait = self._taken()
            if wait > 0:
                await anyio.sleep(wait)
            yield

    def _taken(self) -> float:
        """Take one of what was saved up; returns how long to wait where nothing was."""
        now = self._clock()
        self._saved = min(self._burst, self._saved + (now - self._at) * self._rate) - 1
        self._at = now
        return max(0.0, -self._saved / self._rate)
