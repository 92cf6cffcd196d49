"""The screen: finished lines that never move, and one live block at the bottom that shows what is being waited for.

Off a terminal, or with AICONFORM_NO_PROGRESS, every change is a line with its time, and what takes long says so every
30 s. Everything goes to standard error; standard output is left to documents.
"""

from __future__ import annotations

import os
import threading
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
    from pathlib import Path

    from rich.console import RenderableType

    from aiconform.cli.screen import Row
    from aiconform.evidence.documents import CheckVerdict, Plan

STILL_S = 30.0
_TICK_S = 1.0
_REFRESH_S = 0.125
_MAX_DOING = 8


@dataclass
class _Doing:
    """One thing that is going on: a line of the live block."""

    what: str
    since: float
    number: str = ""
    waiting: str = ""
    observed: str = ""
    deadline: float = 0.0
    told: float = 0.0

    def left(self, now: float) -> str:
        """How much time it has left, if it has a limit."""
        return f"{self.deadline - now:.0f}s left" if self.deadline > now else ""


@dataclass
class Screen:
    """Shows a run, and implements :class:`~aiconform.progress.Progress` for what comes before it.

    Use as a context manager. ``now`` and ``wall`` can be replaced so that tests see the same screen every time, and
    ``console`` to pin width and colour.
    """

    file: IO[str]
    now: Callable[[], float] = time.monotonic
    wall: Callable[[], datetime] = lambda: datetime.now(UTC)
    console: Console | None = None
    _doing: dict[str, _Doing] = field(default_factory=dict)
    _later: list[CheckVerdict] = field(default_factory=list)
    _plan: Plan | None = None
    _ended: events.RunFinished | None = None
    _live: Live | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        """Decide how to draw."""
        self._out = self.console or Console(file=self.file, highlight=False)
        self._drawn = self._out.is_terminal and not os.environ.get("AICONFORM_NO_PROGRESS")

    def __enter__(self) -> Screen:
        """Start the live block, or what takes its place off a terminal."""
        if self._drawn:
            # refreshed by our own thread: rich's does not hold our lock, and would draw between a line and its block
            self._live = self._new_live()
            self._live.start()
        threading.Thread(target=self._go_on, name="screen", daemon=True).start()
        return self

    def _new_live(self) -> Live:
        return Live(console=self._out, transient=True, auto_refresh=False, get_renderable=self.block)

    def __exit__(self, *_exc: object) -> None:
        """Remove the live block."""
        self._stop.set()
        with self._lock:
            self._doing.clear()
            if self._live is not None:
                self._live.stop()
                self._live = None

    # -- progress of builds and of the local cluster -------------------------------------------------------------

    def update(self, what: str, done: int = 0, total: int = 0, waiting: str = "") -> None:
        """See :class:`~aiconform.progress.Progress`."""
        with self._lock:
            self._change("", _Doing(what, self._since("", what), f"{done} of {total}" if total else "", waiting))

    def finished(self, what: str, detail: str = "") -> None:
        """See :class:`~aiconform.progress.Progress`."""
        with self._lock:
            self._doing.pop("", None)
            line = Text.assemble(("✓ ", "green"), visible(what))
            if detail:
                line.append(f"  {visible(detail)}", style="dim")
            self._line(line)

    # -- events of a run -----------------------------------------------------------------------------------------

    def handle(self, event: events.Event) -> None:
        """Show an event."""
        with self._lock:
            self._handle(event)

    def conclude(self, report: Path | None) -> None:
        """Show how the run ended, if it did; the last lines of the screen.

        Args:
            report: the page, if it was written.
        """
        with self._lock:
            self._doing.clear()
            if self._ended is not None:
                self._rows(screen.summary(self._ended, report))

    def _handle(self, event: events.Event) -> None:
        match event:
            case events.RunStarted():
                self._doing.clear()
                self._plan = event.plan
                self._rows(screen.header(event.plan, event.bundle))
            case events.ClusterFound():
                self._rows(screen.cluster(event, self._plan.run if self._plan is not None else ""))
            case events.CheckAwaits():
                since = self._since(event.requirement, event.requirement)
                self._change(event.requirement, _Doing(event.requirement, since, "", event.state))
            case events.ProbeStarted():
                number = f"{event.number} of {event.total}"
                since = self._since(event.requirement, event.requirement)
                self._change(event.requirement, _Doing(event.requirement, since, number, event.title))
            case events.Waiting():
                self._wait(event)
            case events.CheckFinished():
                self._checked(event.verdict)
            case events.CleaningUp():
                self._cleaning(event)
            case events.RunFinished():
                self._end(event)
            case _:
                self._talk(event)

    def _talk(self, event: events.Event) -> None:
        """What credential plugins have to say to a person."""
        match event:
            case events.Told():
                self._rows([screen.row("note", event.text, "yellow")])
            case events.PluginAsks():
                self._aside(event.plugin)
            case events.PluginDone():
                self._resume()
            case _:
                pass

    def _aside(self, plugin: str) -> None:
        """Leave the terminal to a plugin that asks a person: the live block would draw over its question."""
        self._rows([screen.row("log in", f"by credential plugin {plugin}")])
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _resume(self) -> None:
        if self._drawn and not self._stop.is_set():
            self._live = self._new_live()
            self._live.start()

    def _checked(self, verdict: CheckVerdict) -> None:
        self._doing.pop(verdict.requirement, None)
        if verdict.started_us is None:
            # what was never started is told after what was
            self._later.append(verdict)
        elif self._plan is not None:
            self._rows(screen.check(verdict, self._plan))

    def _end(self, event: events.RunFinished) -> None:
        self._doing.clear()
        self._ended = event
        if self._plan is not None:
            order = [planned.requirement for planned in self._plan.checks]
            for verdict in sorted(self._later, key=lambda found: order.index(found.requirement)):
                self._rows(screen.check(verdict, self._plan))

    def _cleaning(self, event: events.CleaningUp) -> None:
        if not event.remaining:
            self._doing.pop("cleanup", None)
            return
        left = f", {len(event.remaining) - 3} more" if len(event.remaining) > 3 else ""
        held = f": {event.held_by[0]}" if event.held_by else ""
        waiting = f"removing {', '.join(event.remaining[:3])}{left}{held}"
        self._change("cleanup", _Doing("cleanup", self._since("cleanup", "cleanup"), "", waiting))

    def _wait(self, event: events.Waiting) -> None:
        doing = self._doing.get(event.requirement)
        if doing is not None:
            doing.waiting, doing.observed = event.waiting_for, event.observed
            doing.deadline = self.now() + event.limit_s - event.elapsed_s

    def _since(self, key: str, what: str) -> float:
        doing = self._doing.get(key)
        return doing.since if doing is not None and doing.what == what else self.now()

    def _change(self, key: str, doing: _Doing) -> None:
        before = self._doing.get(key)
        self._doing[key] = doing
        same = before is not None and (before.what, before.number) == (doing.what, doing.number)
        if before is not None and same:
            doing.told = before.told
        elif not self._drawn:
            doing.told = self.now()
            number = f" {doing.number}" if doing.number else ""
            self._stamped(f"{doing.what}{number}" + (f": {doing.waiting}" if doing.waiting else ""))

    # -- drawing -------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Off a terminal, say of everything that takes long that it is still going on."""
        with self._lock:
            now = self.now()
            for doing in self._doing.values():
                if now - max(doing.told, doing.since) >= STILL_S:
                    doing.told = now
                    number = f" {doing.number}" if doing.number else ""
                    what = f": {doing.waiting}" if doing.waiting else ""
                    what += f"; now: {doing.observed}" if doing.observed else ""
                    times = ", ".join(part for part in (duration(now - doing.since), doing.left(now)) if part)
                    self._stamped(f"still waiting: {doing.what}{number}{what} ({times})")

    def _go_on(self) -> None:
        while not self._stop.wait(_REFRESH_S if self._drawn else _TICK_S):
            with self._lock:
                if self._live is not None:
                    self._live.refresh()
            if not self._drawn:
                self.tick()

    def _stamped(self, text: str) -> None:
        self._line(Text(f"{self.wall():%H:%M:%S} {visible(text)}", style="dim"))

    def _rows(self, rows: list[Row]) -> None:
        for row in rows:
            beside = self._out.is_terminal and 0 < len(row.lead.plain) <= self._out.width * 2 // 3
            if not beside:
                self._line(row.joined())
                continue
            grid = Table.grid()
            grid.add_column(no_wrap=True)
            grid.add_column(overflow="fold")
            grid.add_row(row.lead, row.rest)
            self._out.print(grid)

    def _line(self, line: Text) -> None:
        # off a terminal nobody knows the width: a line of ours stays a line
        self._out.print(line, soft_wrap=not self._out.is_terminal)

    def block(self) -> RenderableType:
        """The live block: a line for each thing going on."""
        doing = list(self._doing.values())
        if not doing:
            return Text("")
        table = Table.grid(padding=(0, 2, 0, 0))
        room = max(16, self._out.width - 54)
        now = self.now()
        for thing in doing[:_MAX_DOING]:
            left = f", {thing.left(now)}" if thing.left(now) else ""
            table.add_row(
                Spinner("dots"),
                Text(cut(thing.what, 28), no_wrap=True),
                Text(thing.number, no_wrap=True),
                Text(duration(now - thing.since), no_wrap=True),
                Text(cut(thing.observed or thing.waiting, room - len(left)) + left, style="dim", no_wrap=True),
            )
        more = len(doing) - _MAX_DOING
        return Group(table, Text(f"  {more} more", style="dim")) if more > 0 else table
