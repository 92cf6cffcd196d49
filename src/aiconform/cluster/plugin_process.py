"""Runs a credential plugin: what it gives on standard output, and what it says to a person meanwhile."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import anyio
from anyio.abc import Process

from aiconform.cluster.plugin_answer import CredentialError

LIMIT_S = 180.0
"""For a plugin: some open a browser and wait for a person."""
_QUIET_S = 5.0
"""What a plugin says is passed on after this time, since it may ask a person to do something."""
_MOST_BYTES = 1024 * 1024
_MOST_LINES = 50
_LONGEST_LINE = 400


@dataclass(frozen=True)
class Aside:
    """How a plugin talks to a person.

    Attributes:
        says: hears a line that a plugin says on standard error.
        terminal: holds back whatever else draws on the terminal while a plugin has it; is given the plugin's name.
    """

    says: Callable[[str], None] = lambda _line: None
    terminal: Callable[[str], AbstractContextManager[None]] = lambda _name: nullcontext()


NO_ASIDE = Aside()
"""A plugin that nobody hears."""


@dataclass(frozen=True)
class Ended:
    """How a plugin ended; ``words`` are the lines on standard error that were not passed on meanwhile."""

    output: bytes
    code: int
    words: tuple[str, ...]


async def output_of(
    command: list[str], environment: Mapping[str, str], *, interactive: bool, says: Callable[[str], None]
) -> Ended:
    """Run a plugin to its end.

    Args:
        command: program and arguments.
        environment: all of its variables.
        interactive: it has our standard input, and our standard error if that is a terminal too. A file or a pipe it
            is not given: what it says there could be anything.
        says: hears what it says, where it takes long.

    Raises:
        CredentialError: it cannot be started, does not end, or says too much.
    """
    try:
        process = await anyio.open_process(
            command,
            env=environment,
            stdin=None if interactive else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=None if interactive and os.isatty(2) else subprocess.PIPE,
            # a session of its own, so that what it starts ends with it; whoever asks a person keeps the terminal
            start_new_session=not interactive,
        )
    except OSError as problem:
        raise CredentialError(f"it cannot be started: {problem.strerror}") from None
    said = _Said(says)
    output = bytearray()
    try:
        with anyio.move_on_after(LIMIT_S) as limit:
            async with anyio.create_task_group() as group:
                group.start_soon(said.listen, process)
                await _collect(process, output)
                await process.wait()
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process, group_too=not interactive)
    if limit.cancelled_caught:
        raise CredentialError(f"no answer within {LIMIT_S:.0f} s")
    if len(output) > _MOST_BYTES:
        raise CredentialError("its answer is larger than 1 MiB")
    return Ended(bytes(output), process.returncode or 0, tuple(said.lines))


class _Said:
    """What a plugin says on standard error."""

    def __init__(self, says: Callable[[str], None]) -> None:
        self.lines: list[str] = []
        self._says = says
        self._since = anyio.current_time()

    async def listen(self, process: Process) -> None:
        if process.stderr is None:
            return
        text = ""
        async with anyio.create_task_group() as group:
            group.start_soon(self._pass_on)
            async for part in process.stderr:
                *lines, text = (text + part.decode("utf-8", "replace")).split("\n")
                text = text[-_LONGEST_LINE:]
                self._hear(lines)
            group.cancel_scope.cancel()
        self._hear([text])

    async def _pass_on(self) -> None:
        while True:
            await anyio.sleep(_QUIET_S)
            self._hear([])

    def _hear(self, lines: list[str]) -> None:
        heard = [printable(line)[:_LONGEST_LINE] for line in lines]
        self.lines = [*self.lines, *(line for line in heard if line)][-_MOST_LINES:]
        if anyio.current_time() - self._since >= _QUIET_S:
            for line in self.lines:
                self._says(line)
            self.lines = []


async def _collect(process: Process, output: bytearray) -> None:
    assert process.stdout is not None  # noqa: S101 - it was opened with a pipe
    async for part in process.stdout:
        if len(output) <= _MOST_BYTES:
            output += part


async def _end(process: Process, *, group_too: bool) -> None:
    """See that it and what it started are gone, and close its pipes."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            if group_too:
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
    await process.aclose()


def printable(text: str) -> str:
    """The text without what could steer a terminal."""
    return "".join(char if char.isprintable() else " " for char in text).strip()
