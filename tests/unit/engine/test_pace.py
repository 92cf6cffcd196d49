"""How fast we ask."""

from __future__ import annotations

import time

import anyio

from aiconform.engine.pace import Pace


def asked(pace: Pace, number: int, takes_s: float = 0.0) -> tuple[float, int]:
    """Ask so often at once; returns the seconds it took and how many were on their way at the same time."""
    now = most = 0

    async def one() -> None:
        nonlocal now, most
        async with pace.turn():
            now += 1
            most = max(most, now)
            await anyio.sleep(takes_s)
            now -= 1

    async def work() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(number):
                group.start_soon(one)

    start = time.monotonic()
    anyio.run(work)
    return time.monotonic() - start, most


def test_no_more_than_four_are_on_their_way() -> None:
    assert asked(Pace(), 12, takes_s=0.01)[1] == 4


def test_on_average_they_are_few_a_second() -> None:
    took, _ = asked(Pace(per_second=50, burst=5), 30)
    assert took >= (30 - 5) / 50 - 0.02


def test_a_burst_after_a_quiet_time_does_not_wait() -> None:
    pace = Pace(per_second=1000, burst=40)
    assert asked(pace, 40)[0] < 0.5
    time.sleep(0.05)
    assert pace._taken() == 0
