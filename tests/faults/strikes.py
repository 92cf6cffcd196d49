"""What befalls a run on its own machine at one of its requests: signals, a full disk, nobody at the screen.

It comes before the request reaches the API server, once the request is done and its answer lost, or before the journal
knows of what is to be created.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

from tests.faults.proxy import Exchange, Fault
from tests.faults.victim import Victim

BEFORE, AFTER, JOURNAL = "before", "after", "journal"
AT_THE_PROXY = (BEFORE, AFTER)
WHEN = (*AT_THE_PROXY, JOURNAL)
SIGNALS: dict[str, tuple[signal.Signals, ...]] = {
    "int": (signal.SIGINT,),
    "term": (signal.SIGTERM,),
    "hup": (signal.SIGHUP,),
    "kill": (signal.SIGKILL,),
    "int-int": (signal.SIGINT, signal.SIGINT),
}
"""By name; the signals are sent one after another."""
DISK_FULL, SCREEN_GONE = "disk-full", "screen-gone"
NAMES = (*SIGNALS, DISK_FULL, SCREEN_GONE)
MERCIFUL = frozenset({"int", "term", "hup", DISK_FULL, SCREEN_GONE})
"""After these the run itself leaves nothing; after the others it is a later clean-up that must."""
_BETWEEN_S = 0.3


async def strike(name: str, victim: Victim) -> None:
    """Let it happen."""
    if name == DISK_FULL:
        victim.fill_disk()
    elif name == SCREEN_GONE:
        victim.close_screen()
    for number, each in enumerate(SIGNALS.get(name, ())):
        if number:
            await asyncio.sleep(_BETWEEN_S)
        victim.send(each)


def at_request(name: str, when: str, victim: Victim) -> Fault:
    """A fault that lets it happen at a request; with a signal, the answer is lost too."""

    async def fault(x: Exchange) -> None:
        answer = await x.ask() if when == AFTER else None
        await strike(name, victim)
        await asyncio.sleep(0.1)
        if name in SIGNALS:
            x.reset()
        elif answer is None:
            await x.passed_on()
        else:
            await x.answer(answer.head, answer.body)

    return fault


async def at_stop(name: str, victim: Victim) -> bool:
    """Let it happen once the run stops itself, and let the run go on; whether it stopped."""
    if not await victim.stopped():
        return False
    await strike(name, victim)
    victim.send(signal.SIGCONT)
    return True


def stopping(creation: int, creating: Callable[..., None]) -> Callable[..., None]:
    """What writes the journal, which stops its own process before it writes down the creation of that number."""
    seen = 0

    def stopped(*arguments: object) -> None:
        nonlocal seen
        if seen == creation:
            os.kill(os.getpid(), signal.SIGSTOP)
        seen += 1
        creating(*arguments)

    return stopped
