"""The screen: finished lines that never move, and one live block at the bottom that shows what is being waited for.

Off a terminal, or with AICONFORM_NO_PROGRESS, every change is a line with its time, and a wait says so every 30 s.
Everything goes to standard error; standard output is left to documents.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from aiconform.cli import screen
from aiconform.cli.text import cut, duration, visible
from aiconform.engine import events

if TYPE_CHECKING:
    from rich.console import RenderableType

    from aiconform.evidence.documents import Plan

STILL_S = 30.0
_WIDTH_OFF_TERMINAL = 120


@dataclass
class _Doing:
    """One thing that is going on: a line of the live block."""

    what: str
    since: float
    number: str = ""
    waiting: str = ""
    limit: float = 0.0
    told: float = 0.0


@dataclass
class Screen:
    """Shows a run, and implements :class:`~aiconform.progress.Progress` for what comes before it.

    Use as a context manager. ``now`` and ``wall`` can be replaced so that tests see the same screen every time.
    """

    file: IO[str]
    now: Callable[[], float] = time.monotonic
    wall: Callable[[], datetime] = lambda: datetime.now(UTC)
    console: Console = field(init=False)
    _doing: dict[str, _Doing] = field(default_factory=dict)
    _plan: Plan | None = None
    _live: Live | None = None

    def __post_init__(self) -> None:
        """Decide how to draw."""
        self.console = Console(file=self.file, highlight=False, soft_wrap=False)
        if not self.console.is_terminal:
            self.console = Console(file=self.file, highlight=False, width=_WIDTH_OFF_TERMINAL, soft_wrap=True)
        self.drawn = self.console.is_terminal and not os.environ.get("AICONFORM_NO_PROGRESS")

    def __enter__(self) -> Screen:
        """Start the live block, on a terminal."""
        if self.drawn:
            self._live = Live(console=self.console, transient=True, refresh_per_second=8, get_renderable=self._block)
            self._live.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        """Remove the live block."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    # -- progress of builds and of the local cluster -------------------------------------------------------------

    def update(self, what: str, done: int = 0, total: int = 0, waiting: str = "") -> None:
        """See :class:`~aiconform.progress.Progress`."""
        self._change("", _Doing(what, self._since("", what), f"{done} of {total}" if total else "", waiting))

    def finished(self, what: str, detail: str = "") -> None:
        """See :class:`~aiconform.progress.Progress`."""
        self._doing.pop("", None)
        line = Text("✓ ", style="green") + Text(visible(what))
        if detail:
            line.append(f"  {visible(detail)}", style="dim")
        self._line(line)

    # -- events of a run -----------------------------------------------------------------------------------------

    def handle(self, event: events.Event) -> None:
        """Show an event."""
        match event:
            case events.RunStarted():
                self._plan = event.plan
                self._lines(screen.header(event.plan, event.bundle))
            case events.ClusterFound():
                self._lines(screen.cluster(event))
            case events.ProbeStarted():
                number = f"{event.number} of {event.total}"
                since = self._since(event.requirement, event.requirement)
                self._change(event.requirement, _Doing(event.requirement, since, number, event.title))
            case events.Waiting():
                self._wait(event)
            case events.CheckFinished():
                self._doing.pop(event.verdict.requirement, None)
                if self._plan is not None:
                    self._lines(screen.check(event.verdict, self._plan))
            case events.CleaningUp():
                self._cleaning(event)
            case events.RunFinished():
                self._doing.clear()
                if self._plan is not None:
                    self._lines(screen.summary(event))
            case _:
                pass

    def _cleaning(self, event: events.CleaningUp) -> None:
        waiting = f"removing {', '.join(event.remaining[:3])}"
        self._change("cleanup", _Doing("cleanup", self._since("cleanup", "cleanup"), "", waiting))

    def _wait(self, event: events.Waiting) -> None:
        doing = self._doing.get(event.requirement)
        if doing is None:
            return
        doing.waiting, doing.limit = f"{event.waiting_for}; now: {event.observed}", event.limit_s - event.elapsed_s
        if not self.drawn and self.now() - max(doing.told, doing.since) >= STILL_S:
            doing.told = self.now()
            left = f"{doing.limit:.0f}s left"
            self._stamped(f"still waiting: {event.requirement}: {doing.waiting} ({left})")

    def _since(self, key: str, what: str) -> float:
        doing = self._doing.get(key)
        return doing.since if doing is not None and doing.what == what else self.now()

    def _change(self, key: str, doing: _Doing) -> None:
        before = self._doing.get(key)
        self._doing[key] = doing
        if self.drawn or (before is not None and (before.what, before.waiting) == (doing.what, doing.waiting)):
            if before is not None:
                doing.told = before.told
            return
        if key == "cleanup" and before is not None:
            return
        number = f" {doing.number}" if doing.number else ""
        self._stamped(f"{doing.what}{number}" + (f": {doing.waiting}" if doing.waiting else ""))

    def _stamped(self, text: str) -> None:
        self.console.print(Text(f"{self.wall():%H:%M:%S} {visible(text)}", style="dim"))

    def _lines(self, lines: list[Text]) -> None:
        for line in lines:
            self._line(line)

    def _line(self, line: Text) -> None:
        self.console.print(line)

    def _block(self) -> RenderableType:
        """The live block: a line for each thing going on."""
        if not self._doing:
            return Text("")
        table = Table.grid(padding=(0, 2, 0, 0))
        room = max(20, self.console.width - 50)
        for doing in list(self._doing.values()):
            left = f", {doing.limit:.0f}s left" if doing.limit > 0 else ""
            table.add_row(
                Spinner("dots"),
                Text(cut(doing.what, 28)),
                Text(doing.number),
                Text(duration(self.now() - doing.since)),
                Text(cut(doing.waiting, room - len(left)) + left, style="dim"),
            )
        return Group(table)
