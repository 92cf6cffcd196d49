"""How long work tells whoever watches what it is doing.

Library code reports to a :class:`Progress`; the command line turns the reports into a screen. Without one,
:class:`Silent` swallows them.
"""

from __future__ import annotations

import sys
import time
from typing import Protocol

_STILL_S = 30.0


class Progress(Protocol):
    """Receives progress. Every call is cheap and may come from any thread."""

    def update(self, what: str, done: int = 0, total: int = 0, waiting: str = "") -> None:
        """Say what is being worked on now.

        Args:
            what: the work in a few words, for example ``building containerd``.
            done: how many of ``total`` are finished; 0 with ``total`` 0 when there is nothing to count.
            total: how many there are.
            waiting: what it waits for, in the words of the thing waited for.
        """

    def finished(self, what: str, detail: str = "") -> None:
        """Say that something is finished; this line stays on the screen."""


class Silent:
    """A :class:`Progress` that nobody watches."""

    def update(self, what: str, done: int = 0, total: int = 0, waiting: str = "") -> None:
        """Do nothing."""

    def finished(self, what: str, detail: str = "") -> None:
        """Do nothing."""


class Lines:
    """A :class:`Progress` of lines on standard error: what begins, what is finished, and that it still goes on."""

    def __init__(self) -> None:
        self._last = ""
        self._told = 0.0

    def update(self, what: str, done: int = 0, total: int = 0, waiting: str = "") -> None:
        """Print what begins, and every half minute that it has not ended."""
        now = time.monotonic()
        if what == self._last and now - self._told < _STILL_S:
            return
        count = f"[{done + 1}/{total}] " if total else ""
        sys.stderr.write(f"{count}{what} {waiting}".rstrip() + "\n")
        self._last, self._told = what, now

    def finished(self, what: str, detail: str = "") -> None:
        """Print what is finished."""
        sys.stderr.write(f"{what}{f' ({detail})' if detail else ''}\n")
