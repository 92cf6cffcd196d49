"""Signals outside a run: SIGTERM and SIGHUP end a command as Ctrl-C does, so that what it started is taken down."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def listen() -> None:
    """Let every ending signal raise KeyboardInterrupt. Only the main thread can; elsewhere this does nothing."""
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            signal.signal(number, _interrupt)


@contextmanager
def interruptible() -> Iterator[None]:
    """Let every ending signal raise KeyboardInterrupt inside the block."""
    with _restored():
        listen()
        yield


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let no ending signal cut a clean-up of a few seconds short."""
    with _restored():
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_IGN)
        yield


@contextmanager
def _restored() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
