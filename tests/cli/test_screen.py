"""The screen of a run, as a whole, on a terminal and off it."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console
from tests.support import runs, snapshots

from aiconform.cli.console import Screen
from aiconform.cli.screen import again, cluster, summary
from aiconform.cli.text import visible
from aiconform.engine.events import ClusterFound, RunFinished


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


def test_a_clean_up_that_is_over_is_waited_for_no_more() -> None:
    hand = Hand(terminal=False)
    hand.screen.handle(runs.events.CleaningUp(0, ["pod/a"]))
    hand.screen.handle(runs.events.CleaningUp(1, []))
    hand.seconds = 100
    hand.screen.tick()
    assert "still waiting" not in hand.out.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_what_is_unusual_in_the_way_to_the_cluster_is_told_first(terminal: bool) -> None:
    hand = Hand(terminal=terminal)
    plan = runs.PLAN.model_copy(update={"unusual": ["the API server's certificate is not checked"]})
    hand.screen.handle(runs.events.RunStarted(plan, runs.BUNDLE))
    assert "note       the API server's certificate is not checked" in hand.out.getvalue()


def test_what_a_reader_should_know_of_the_cluster_is_told() -> None:
    hand = Hand(terminal=False)
    words = "the API server's clock is ahead by 90.0 s at least"
    facts = runs.CLUSTER.model_copy(update={"remarks": [words]})
    hand.screen.handle(runs.events.ClusterFound(facts, simulated=True, namespace=""))
    assert f"note       {words}" in hand.out.getvalue()


@pytest.mark.parametrize("keep", [False, True])
def test_a_namespace_that_is_kept_is_not_said_to_be_removed(*, keep: bool) -> None:
    hand = Hand(terminal=False)
    hand.screen.handle(runs.events.RunStarted(runs.PLAN, runs.BUNDLE))
    hand.screen.handle(runs.events.ClusterFound(runs.CLUSTER, simulated=True, namespace="aiconform-x", keep=keep))
    ends = f"kept: aiconform cleanup --run {runs.RUN} removes it" if keep else "removed at the end"
    assert f"writes     namespace aiconform-x, {ends}\n" in hand.out.getvalue()


def test_a_plugin_that_asks_has_the_terminal_until_it_is_answered() -> None:
    hand = Hand(terminal=True)
    with hand.screen:
        hand.screen.update("building kubernetes", 1, 9)
        hand.screen.handle(runs.events.PluginAsks("aws"))
        begun = len(hand.out.getvalue())
        time.sleep(0.5)
        assert len(hand.out.getvalue()) == begun, "nothing is drawn while it asks"
        hand.screen.handle(runs.events.PluginDone())
        time.sleep(0.5)
        assert len(hand.out.getvalue()) > begun, "and then it goes on"
        hand.screen.handle(runs.events.Told("credential plugin aws: token \x1b[2Jis old"))
    assert "log in     by credential plugin aws" in hand.out.getvalue()
    assert "note       credential plugin aws: token \\x1b[2Jis old" in hand.out.getvalue()


PLAY = """
import sys, time
from pathlib import Path
from aiconform.cli.console import Screen
from tests.support import runs

with Screen(sys.stderr) as screen:
    for event in [*runs.beginning(), *runs.middle()]:
        screen.handle(event)
    time.sleep(0.5)
    for event in runs.ending():
        screen.handle(event)
    screen.conclude(Path("report.html"))
"""


def test_the_live_block_leaves_only_finished_lines_on_a_real_terminal() -> None:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 60, 94, 0, 0))
    environment = {"PATH": "/usr/bin:/bin", "TERM": "xterm-256color", "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, "-c", PLAY], stderr=slave, stdout=slave, env=environment) as process:
        os.close(slave)
        seen = b""
        with contextlib.suppress(OSError):  # how a pseudo-terminal says that nobody writes any more
            while piece := os.read(master, 65536):
                seen += piece
    os.close(master)
    text = seen.decode()
    assert process.returncode == 0, text
    assert re.search(r"\d+s left", text), "the live block was drawn"
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l"), "the cursor is shown again"
    snapshots.same("run-pty", terminal_shows(text))


def terminal_shows(text: str) -> str:
    """What a terminal shows in the end, of the few movements that the live block makes."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[[0-9;?]*[a-zA-Z]|.", text, re.DOTALL):
        if part == "\r":
            column = 0
        elif part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part.startswith("\x1b"):
            row -= int(part[2:-1] or 1) if part.endswith("A") else 0
            if part == "\x1b[2K":
                lines[row] = ""
        else:
            lines[row] = lines[row].ljust(column)[:column] + part + lines[row][column + 1 :]
            column += 1
    return "\n".join(lines).rstrip()


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


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (["run"], "aiconform run gpu_sharing --keep"),
        (["run", "--local", "--format", "json"], "aiconform run gpu_sharing --local --keep"),
        (["run", "a", "--context", "my ctx"], "aiconform run gpu_sharing --context 'my ctx' --keep"),
        (["run", "--release=1.36"], "aiconform run gpu_sharing --release=1.36 --keep"),
        (
            ["run", "--output", "o", "--gateway-class", "istio"],
            "aiconform run gpu_sharing --gateway-class istio --keep",
        ),
        (["run", "--image", "probe=x", "--name=n"], "aiconform run gpu_sharing --image probe=x --name=n --keep"),
    ],
)
def test_again_is_against_the_same_cluster(given: list[str], shown: str) -> None:
    assert again(runs.PLAN.model_copy(update={"command": given}), "gpu_sharing") == shown


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


def test_of_many_accelerators_that_were_left_alone_a_few_are_named() -> None:
    many = runs.CLUSTER.model_copy(
        update={"left_alone": [f"1 acme.example/npu on n{number}" for number in range(5000)]}
    )
    rows = cluster(ClusterFound(many, simulated=False, namespace=""), runs.RUN)
    (told,) = [row.rest.plain for row in rows if "left alone" in row.rest.plain]
    assert told.startswith("left alone: 1 acme.example/npu on n0; ")
    assert told.endswith("on n2; and 4997 more, on the page")


@pytest.mark.parametrize("char", ["\x00", "\x07", "\x1b", "\x7f", "\x9b", "\u200b", "\u202e", "\u2066", "\ufeff"])
def test_controls_are_shown_instead_of_obeyed(char: str) -> None:
    assert char not in visible(f"a{char}b")
    assert visible(f"a{char}b").startswith("a\\")


def test_what_is_left_comes_with_the_command_that_removes_it() -> None:
    verdicts = runs.VERDICTS.model_copy(update={"left_behind": ["namespace/aiconform-x (held)"]})
    told = [one.plain for one in summary(RunFinished(verdicts, runs.BUNDLE, "0" * 64, 1.0), None)]
    assert any("left: namespace/aiconform-x (held)" in line for line in told)
    assert any(f"aiconform cleanup --run {runs.RUN}" in line for line in told)
    told = [one.plain for one in summary(RunFinished(runs.VERDICTS, runs.BUNDLE, "0" * 64, 1.0), None)]
    assert not any("aiconform cleanup" in line for line in told)
