"""A run in a process of its own, as a user starts it, from which its disk and its screen can be taken."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
_DISK = "8m"
_BLOCK = b"\0" * 65536
_LOOK_EVERY_S = 0.02
_ON_ITS_OWN_DISK = """\
set -e
mount -t tmpfs -o size=$1 faults-disk "$2"
shift 2
exec "$@"
"""


class Victim:
    """The process of one run.

    Args:
        disk: an empty directory for all that the run writes; only the run sees what is in it if it has a small disk
            of its own there.
        own_disk: whether it has.
    """

    def __init__(self, disk: Path, *, own_disk: bool) -> None:
        self.disk = disk
        self._own_disk = own_disk
        self._process: asyncio.subprocess.Process | None = None
        self._screen: asyncio.ReadTransport | None = None
        self._said: asyncio.Task[bytes] | None = None

    async def start(self, arguments: list[str], environment: dict[str, str]) -> None:
        """Start it."""
        command = [sys.executable, "-m", "tests.faults.subject", *arguments]
        if self._own_disk:
            apart = ["unshare", "--mount"] + (["--map-root-user"] if os.geteuid() else [])
            command = [*apart, "sh", "-c", _ON_ITS_OWN_DISK, "sh", _DISK, str(self.disk), *command]
        theirs, its = os.pipe()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=its,
                cwd=TOP,
                env={**os.environ, **environment},
            )
        finally:
            os.close(its)
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        self._screen, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(theirs, "rb", 0)
        )
        self._said = asyncio.ensure_future(reader.read())

    @property
    def code(self) -> int:
        """Its exit code; that of a signal below 0."""
        assert self._process is not None
        return -1 if self._process.returncode is None else self._process.returncode

    async def ended(self, within_s: float) -> bool:
        """Wait for its end, and end it where it does not come; whether it came."""
        assert self._process is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._process.wait()
                return True
        self.send(signal.SIGKILL)
        await self._process.wait()
        return False

    async def said(self) -> str:
        """What it wrote on its screen, once it has ended."""
        assert self._said is not None
        return (await self._said).decode(errors="replace")

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it is there."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, number)

    def fill_disk(self) -> None:
        """Write until nothing more can be written to its disk."""
        assert self._process is not None
        path = Path(f"/proc/{self._process.pid}/root{self.disk}/filler")
        with contextlib.suppress(FileNotFoundError):
            filler = os.open(path, os.O_WRONLY | os.O_CREAT)
            try:
                with contextlib.suppress(OSError):
                    while True:
                        os.write(filler, _BLOCK)
            finally:
                os.close(filler)

    def close_screen(self) -> None:
        """Leave nobody to read what it writes on its screen."""
        assert self._screen is not None
        self._screen.close()

    async def stopped(self) -> bool:
        """Wait until it has stopped itself; False where it ended instead."""
        assert self._process is not None
        while self._process.returncode is None:
            if _state(self._process.pid) == "T":
                return True
            await asyncio.sleep(_LOOK_EVERY_S)
        return False


def _state(pid: int) -> str:
    """The letter of proc(5) for what a process does."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return ""
