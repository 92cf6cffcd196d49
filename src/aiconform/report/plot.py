"""Plots as geometry: values over time, one panel for each unit, all panels on one axis of time.

A series of few whole numbers (replicas, nodes) is drawn in steps, everything else as a line. A series whose name begins
with ``target``, ``limit`` or ``maximum`` is drawn dashed: what the others are measured against.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from aiconform.report.series import MAX_COLUMNS, Point, Tidy, number, thinned, told
from aiconform.report.timeline import time_ticks

STYLES = 6
"""How many ways of drawing a line there are; further series begin again with the first."""
MAX_POINTS = 400
MAX_DOTS = 24
MAX_PANELS = 6
MAX_STEPS = 64
TOP = 18
PANEL = 96
GAP = 30
AXIS = 20
WIDE, HIGH = 1000, 100
LEVELS = ("target", "limit", "maximum")


@dataclass(frozen=True)
class Piece:
    """One series as one probe saw it; pieces of the same name and unit make one curve."""

    probe: str
    series: Tidy


@dataclass(frozen=True)
class Curve:
    """A drawn series: ``path`` in a box of 1000 by 100, ``dots`` in percent of the width and pixels."""

    name: str
    style: int
    level: bool
    path: str
    dots: tuple[tuple[str, int], ...]
    said: str


@dataclass(frozen=True)
class Panel:
    """What is drawn in one unit; ``y`` is its upper edge in pixels."""

    unit: str
    y: int
    grid: tuple[tuple[int, str], ...]
    curves: tuple[Curve, ...]


@dataclass(frozen=True)
class Band:
    """The time in which one probe measured, in percent of the width."""

    x: str
    width: str
    label: str
    fits: bool


@dataclass(frozen=True)
class Plot:
    """A drawing."""

    id: str
    title: str
    description: str
    height: int
    axis: tuple[tuple[str, str, str], ...]
    bands: tuple[Band, ...]
    panels: tuple[Panel, ...]
    left_out: int


@dataclass(frozen=True)
class _Window:
    """The part of time that is drawn."""

    start: float
    end: float

    def share(self, at: float) -> float:
        return min(max((at - self.start) / max(self.end - self.start, 1e-3), 0.0), 1.0)

    def percent(self, at: float) -> str:
        return f"{self.share(at) * 100:.2f}%"


@dataclass(frozen=True)
class _Scale:
    """The values of a panel."""

    low: float
    high: float
    step: float

    def down(self, value: float) -> float:
        """How far below the upper edge, as a share of the height."""
        return 1 - (value - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class _Frame:
    """Where a panel's values go."""

    y: int
    scale: _Scale
    window: _Window

    def pixel(self, value: float) -> int:
        return round(self.y + PANEL * self.scale.down(value))

    def path(self, points: Sequence[Point], *, stepped: bool) -> str:
        """The path of one piece; the pen is lifted between pieces, where nobody looked."""
        corners = [
            (f"{self.window.share(at) * WIDE:.1f}", f"{self.scale.down(value) * HIGH:.1f}") for at, value in points
        ]
        (x, y), *rest = corners
        return f"M{x} {y}" + "".join(f"H{x}V{y}" if stepped else f"L{x} {y}" for x, y in rest)


def plot(identity: str, title: str, pieces: Sequence[Piece]) -> Plot | None:
    """Work out a plot.

    Args:
        identity: prefix of the ids of its title and description, unique on the page.
        title: its accessible name.
        pieces: what was measured, in the order of the probes.

    Returns:
        The drawing, or None where nothing can be drawn.
    """
    pieces = [piece for piece in pieces if piece.series.points]
    if not pieces:
        return None
    times = [at for piece in pieces for at, _ in piece.series.points]
    window = _Window(min(times), max(times))
    joined = _joined(pieces)
    units = list(dict.fromkeys(unit for _, unit in joined))
    shown = {key: parts for key, parts in joined.items() if key[1] in units[:MAX_PANELS]}
    styles = {key: index % STYLES for index, key in enumerate(shown)}
    panels = []
    for index, unit in enumerate(units[:MAX_PANELS]):
        mine = {key: parts for key, parts in shown.items() if key[1] == unit}
        mine = dict(list(mine.items())[:MAX_COLUMNS])
        panels.append(_panel(unit, TOP + index * (PANEL + GAP) + GAP - 8, mine, styles, window))
    drawn = [curve for panel in panels for curve in panel.curves]
    return Plot(
        id=identity,
        title=title,
        description=" ".join(curve.said for curve in drawn),
        height=TOP + len(panels) * (PANEL + GAP) + AXIS,
        axis=time_ticks(round(window.start * 1e6), round(window.end * 1e6)),
        bands=_bands(pieces, window),
        panels=tuple(panels),
        left_out=len(joined) - len(drawn),
    )


_Key = tuple[str, str]


def _joined(pieces: Sequence[Piece]) -> dict[_Key, list[Tidy]]:
    found: dict[_Key, list[Tidy]] = {}
    for piece in pieces:
        found.setdefault((piece.series.name, piece.series.unit), []).append(piece.series)
    return found


def _bands(pieces: Sequence[Piece], window: _Window) -> tuple[Band, ...]:
    bands = []
    for probe in dict.fromkeys(piece.probe for piece in pieces):
        times = [at for piece in pieces if piece.probe == probe for at, _ in piece.series.points]
        width = max(window.share(max(times)) - window.share(min(times)), 0.0025)
        fits = width * WIDE > 9 * len(probe)
        bands.append(Band(window.percent(min(times)), f"{width * 100:.2f}%", probe, fits))
    return tuple(bands)


def _panel(unit: str, y: int, parts: dict[_Key, list[Tidy]], styles: dict[_Key, int], window: _Window) -> Panel:
    values = [value for found in parts.values() for part in found for _, value in part.points]
    scale = _scale(values, whole=_whole(values))
    frame = _Frame(y, scale, window)
    steps = round((scale.high - scale.low) / scale.step)
    marks = [scale.low + n * scale.step for n in range(steps + 1)]
    grid = tuple((frame.pixel(at), number(at)) for at in marks)
    return Panel(unit, y, grid, tuple(_curve(key, found, styles[key], frame) for key, found in parts.items()))


def _curve(key: _Key, parts: Sequence[Tidy], style: int, frame: _Frame) -> Curve:
    whole = Tidy(*key, tuple(point for part in parts for point in part.points))
    values = [value for _, value in whole.points]
    level = key[0].lower().startswith(LEVELS)
    stepped = level or (_whole(values) and max(values) - min(values) <= MAX_STEPS)
    most = max(MAX_POINTS // len(parts), 4)
    path = "".join(frame.path(thinned(part.points, most), stepped=stepped) for part in parts)
    few = whole.points if len(whole.points) <= (1 if level else MAX_DOTS) else ()
    dots = tuple((frame.window.percent(at), frame.pixel(value)) for at, value in few)
    return Curve(key[0], style, level, path, dots, told(whole))


def _whole(values: Sequence[float]) -> bool:
    return all(value == int(value) for value in values)


def _scale(values: Sequence[float], *, whole: bool) -> _Scale:
    """Round bounds around the values: from zero where none is below, with about four steps."""
    low, high = min(*values, 0.0), max(*values, 0.0)
    span = high - low
    if span < 1e-12:
        return _Scale(0, 1, 1)
    rough = span / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    if whole:
        step = max(step, 1.0)
    return _Scale(math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step, step)
