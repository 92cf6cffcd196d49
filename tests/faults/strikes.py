"""Signals to a run at one of its requests: before it reaches the API server, or once it is done and its answer lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable

from tests.faults.proxy import Exchange, Fault

BEFORE, AFTER = "before", "after"
WHEN = (BEFORE, AFTER)
SIGNALS: dict[str, tuple[signal.Signals, ...]] = {
    "int": (signal.SIGINT,),
    "term": (signal.SIGTERM,),
    "hup": (signal.SIGHUP,),
    "kill": (signal.SIGKILL,),
    "int-int": (signal.SIGINT, signal.SIGINT),
}
"""By name; the signals are sent one after another."""
MERCIFUL = frozenset({"int", "term", "hup"})
"""After these the run itself leaves nothing; after the others it is a later clean-up that must."""
_BETWEEN_S = 0.3


def strike(name: str, when: str, pid: Callable[[], int]) -> Fault:
    """A fault that sends signals to a process and loses the answer."""

    async def fault(x: Exchange) -> None:
        if when == AFTER:
            await x.ask()
        for number, each in enumerate(SIGNALS[name]):
            if number:
                await asyncio.sleep(_BETWEEN_S)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid(), each)
        await asyncio.sleep(0.1)
        x.reset()

    return fault
