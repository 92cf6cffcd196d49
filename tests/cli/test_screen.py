"""The screen of a run, as a whole, on a terminal and off it."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console
from tests.support import runs, snapshots

from aiconform.cli.console import Screen
from aiconform.cli.text import visible


class Hand:
    """A screen whose clock is moved by hand."""

    def __init__(self, *, terminal: bool, colour: str | None = None, width: int = 94) -> None:
        self.out = io.StringIO()
        self.seconds = 0.0
        console = Console(
            file=self.out,
            force_terminal=terminal,
            width=width,
            color_system=colour,  # type: ignore[arg-type]
            highlight=False,
            get_time=lambda: 0.0,
        )
        start = datetime(2026, 11, 24, 9, 0, 0, tzinfo=UTC)
        self.screen = Screen(
            self.out, now=lambda: self.seconds, wall=lambda: start + timedelta(seconds=self.seconds), console=console
        )
        self.console = console

    def block(self) -> None:
        """Put what the live block shows now into the output."""
        self.console.print("[live block]", markup=False)
        self.console.print(self.screen.block())
        self.console.print("[end of live block]", markup=False)


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "AICONFORM_NO_PROGRESS", "COLUMNS", "TERM"):
        monkeypatch.delenv(name, raising=False)


def play(hand: Hand) -> None:
    hand.screen.update("building containerd", 3, 9, "linking")
    hand.seconds = 4
    hand.screen.finished("local cluster ready", "4.0 s")
    for event in runs.beginning():
        hand.screen.handle(event)
    hand.seconds = 12
    for event in runs.middle():
        hand.screen.handle(event)
    hand.seconds = 24
    if hand.screen._drawn:
        hand.block()
    hand.seconds = 45
    if not hand.screen._drawn:
        hand.screen.tick()
    for event in runs.ending():
        hand.screen.handle(event)
    hand.screen.conclude(Path("runs") / runs.RUN / "report.html")


@pytest.mark.parametrize(
    ("name", "terminal", "colour"),
    [("run-terminal", True, None), ("run-colour", True, "standard"), ("run-log", False, None)],
)
def test_a_run_looks_like_this(name: str, terminal: bool, colour: str | None) -> None:
    hand = Hand(terminal=terminal, colour=colour)
    play(hand)
    snapshots.same(name, hand.out.getvalue().replace("\x1b", "␛"))


def test_a_narrow_terminal_wraps_values_under_themselves() -> None:
    hand = Hand(terminal=True, width=60)
    play(hand)
    assert max(len(line) for line in hand.out.getvalue().splitlines()) <= 60
    snapshots.same("run-narrow", hand.out.getvalue())


@pytest.mark.parametrize("terminal", [True, False])
def test_nothing_a_cluster_says_reaches_the_terminal_as_a_control(terminal: bool) -> None:
    hand = Hand(terminal=terminal)
    play(hand)
    shown = hand.out.getvalue()
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "\\x1b[2Jcleared \\u202egnp.exe" in " ".join(shown.split())


def test_a_wait_off_a_terminal_is_told_every_thirty_seconds_and_not_more_often() -> None:
    hand = Hand(terminal=False)
    hand.screen.update("building kubernetes", 1, 9)
    for second in range(1, 100):
        hand.seconds = second
        hand.screen.update("building kubernetes", 1, 9, f"object {second}")
        hand.screen.tick()
    told = [line for line in hand.out.getvalue().splitlines() if "still waiting" in line]
    assert [line[:8] for line in told] == ["09:00:30", "09:01:00", "09:01:30"]
    assert "object 90" in told[-1]


def test_progress_can_be_switched_off_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AICONFORM_NO_PROGRESS", "1")
    hand = Hand(terminal=True)
    with hand.screen as screen:
        screen.update("building kubernetes", 1, 9)
    assert hand.out.getvalue() == "09:00:00 building kubernetes 1 of 9\n"


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    out = io.StringIO()
    screen = Screen(out, console=Console(file=out, force_terminal=True, width=94, highlight=False))
    for event in [*runs.beginning(), *runs.ending()]:
        screen.handle(event)
    assert "\x1b[3" not in out.getvalue()
    assert "\x1b[9" not in out.getvalue()


def test_every_verdict_has_a_word_beside_its_mark() -> None:
    hand = Hand(terminal=True)
    play(hand)
    for word in ("passed", "failed", "undecided", "not run", "n/a", "SIMULATED"):
        assert word in hand.out.getvalue()


def test_the_live_block_never_grows_beyond_its_limit() -> None:
    hand = Hand(terminal=True)
    for number in range(12):
        hand.screen._change(f"k{number}", hand.screen._doing.get("x") or _doing(f"check_{number}"))
    hand.block()
    assert "4 more" in hand.out.getvalue()
    assert "check_11" not in hand.out.getvalue()


def _doing(what: str):  # type: ignore[no-untyped-def]
    from aiconform.cli.console import _Doing

    return _Doing(what, 0.0)


@pytest.mark.parametrize("char", ["\x00", "\x07", "\x1b", "\x7f", "\x9b", "\u200b", "\u202e", "\u2066", "\ufeff"])
def test_controls_are_shown_instead_of_obeyed(char: str) -> None:
    assert char not in visible(f"a{char}b")
    assert visible(f"a{char}b").startswith("a\\")
