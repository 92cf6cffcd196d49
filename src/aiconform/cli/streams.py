"""What becomes of output that nobody reads any more, because a terminal was closed or a pipe broke.

Without a reader of standard error a run or a clean-up goes on to its end in silence: what it removes from a cluster and
what it seals is worth more than its screen. Without one of standard output a command ends, as others do.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

import click


class _Watched:
    """A text stream that tells of the first write that fails; from then on what is written goes nowhere."""

    def __init__(self, stream: TextIO, lost: Callable[[], None]) -> None:
        self._stream = stream
        self._lost = lost

    def write(self, text: str) -> int:
        """Write if it can be written."""
        self._tried(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Flush if it can be flushed."""
        self._tried(self._stream.flush)

    def _tried(self, do: Callable[[], object]) -> None:
        try:
            do()
        except OSError:
            # what is still in the stream's buffer must find a place, or every later write would fail too
            with suppress(OSError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self._stream.fileno())
                os.close(nowhere)
            self._lost()

    def __getattr__(self, name: str) -> Any:
        """Everything else is the stream's own."""
        return getattr(self._stream, name)


@contextmanager
def watched(code: int) -> Iterator[None]:
    """Watch both streams inside the block.

    Args:
        code: exit code of a command that lost the reader of its standard output.
    """

    def end() -> None:
        # not as an OSError: click has an answer of its own to that
        raise click.exceptions.Exit(code)

    before = sys.stdout, sys.stderr
    sys.stdout = cast("TextIO", _Watched(sys.stdout, end))
    sys.stderr = cast("TextIO", _Watched(sys.stderr, lambda: None))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
