"""Timelines as geometry: what to draw where, in percent of the width, for an SVG that text never shrinks in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ROW = 34
"""Height of a row in pixels: its label above its bar."""
AXIS = 22
"""Height of the axis in pixels."""


@dataclass(frozen=True)
class Span:
    """Something that lasted, in microseconds since the run began."""

    start_us: int
    end_us: int
    outcome: str
    label: str


@dataclass(frozen=True)
class Mark:
    """Something that happened at one moment.

    ``kind`` is ``request``, ``write``, ``key`` (an observation rests on it) or ``deadline``.
    """

    at_us: int
    kind: str
    label: str


@dataclass(frozen=True)
class Lane:
    """A row before it is drawn."""

    label: str
    note: str
    outcome: str
    spans: tuple[Span, ...] = ()
    streams: tuple[Span, ...] = ()
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True)
class Box:
    """A drawn bar: ``x`` and ``width`` in percent as they stand in the SVG."""

    x: str
    width: str
    outcome: str
    label: str


@dataclass(frozen=True)
class Tick:
    """A drawn mark."""

    x: str
    kind: str
    label: str


@dataclass(frozen=True)
class Row:
    """A drawn row; ``y`` is its upper edge in pixels."""

    y: int
    label: str
    note: str
    outcome: str
    bars: tuple[Box, ...]
    streams: tuple[Box, ...]
    ticks: tuple[Tick, ...]


@dataclass(frozen=True)
class Timeline:
    """A drawing."""

    id: str
    title: str
    description: str
    height: int
    axis: tuple[tuple[str, str, str], ...]
    rows: tuple[Row, ...]


def _step(span_us: int) -> int:
    """A round distance between axis labels, so that there are four to eight of them."""
    steps_s = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
    for fraction_us in (1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000):
        if span_us / fraction_us <= 6:
            return fraction_us
    for step_s in steps_s:
        if span_us / (step_s * 1_000_000) <= 6:
            return step_s * 1_000_000
    hour = 3_600_000_000
    return -(-span_us // (6 * hour)) * hour


def _label(us: int, step_us: int) -> str:
    if step_us < 1_000_000:
        digits = 1 if step_us >= 100_000 else 2 if step_us >= 10_000 else 3
        return f"{us // 60_000_000}:{us % 60_000_000 / 1_000_000:0{3 + digits}.{digits}f}"
    seconds = us // 1_000_000
    return f"{seconds // 60}:{seconds % 60:02d}"


def time_ticks(start_us: int, end_us: int) -> tuple[tuple[str, str, str], ...]:
    """Labels of an axis of time: where each stands in percent, what it says, and how it is aligned there."""
    whole = max(end_us - start_us, 1)
    step = _step(whole)
    return tuple(
        (
            f"{(at - start_us) / whole * 100:.2f}%",
            _label(at, step),
            "start" if at - start_us < whole * 0.04 else "end" if end_us - at < whole * 0.06 else "middle",
        )
        for at in range(-(-start_us // step) * step, end_us + 1, step)
    )


def draw(identity: str, title: str, description: str, lanes: Sequence[Lane]) -> Timeline | None:
    """Work out a timeline.

    Args:
        identity: prefix of the ids of its title and description, unique on the page.
        title: its accessible name.
        description: what a reader who cannot see it should know.
        lanes: its rows, from top to bottom.

    Returns:
        The drawing, or None where nothing ran.
    """
    spans = [span for lane in lanes for span in lane.spans]
    if not spans:
        return None
    start, end = min(span.start_us for span in spans), max(span.end_us for span in spans)
    whole = max(end - start, 1)

    def percent(us: int) -> str:
        return f"{min(max((us - start) / whole * 100, 0), 100):.2f}%"

    def box(span: Span) -> Box:
        low, high = max(span.start_us, start), min(max(span.end_us, start), end)
        width = max((high - low) / whole * 100, 0.25)
        return Box(f"{min((low - start) / whole * 100, 99.75):.2f}%", f"{width:.2f}%", span.outcome, span.label)

    rows = tuple(
        Row(
            y=AXIS + index * ROW,
            label=lane.label,
            note=lane.note,
            outcome=lane.outcome,
            bars=tuple(box(span) for span in lane.spans),
            streams=tuple(box(span) for span in lane.streams),
            ticks=tuple(Tick(percent(mark.at_us), mark.kind, mark.label) for mark in lane.marks),
        )
        for index, lane in enumerate(lanes)
    )
    return Timeline(identity, title, description, AXIS + len(lanes) * ROW + 4, time_ticks(start, end), rows)
