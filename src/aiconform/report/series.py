"""Values over time, made fit to be shown: only numbers, in order, and few enough to draw or to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiconform.report.text import clock, plural

if TYPE_CHECKING:
    from aiconform.evidence.records import SeriesData

Point = tuple[float, float]

MAX_COLUMNS = 8
"""Most series of one observation that are shown side by side."""
MAX_SIZE = 1e15
"""What is larger is no measurement."""
MAX_TIME = 1e7
"""No run lasts longer, in seconds."""
_TINY = 1e-12


@dataclass(frozen=True)
class Tidy:
    """A series without what cannot be shown; ``dropped`` counts that."""

    name: str
    unit: str
    points: tuple[Point, ...]
    dropped: int = 0


@dataclass(frozen=True)
class SeriesTable:
    """Series as a table: the first column is the time; ``left_out`` says what is not in it."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left_out: str


def tidy(series: SeriesData) -> Tidy:
    """A series in the order of time, without what is no number or beyond any measurement."""
    points = [(at, value) for at, value in series.points if 0 <= at <= MAX_TIME and abs(value) <= MAX_SIZE]
    points.sort(key=lambda point: point[0])
    return Tidy(series.name, series.unit, tuple(points), len(series.points) - len(points))


def number(value: float) -> str:
    """A number for people: at most six digits that say something, no ``-0``."""
    return f"{0 if abs(value) < _TINY else value:.6g}"


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """At most about ``most`` points: of each stretch of time the first, the lowest and the highest; and the last."""
    if len(points) <= most:
        return list(points)
    stretch = -(-3 * len(points) // most)
    kept: list[Point] = []
    for start in range(0, len(points), stretch):
        part = range(start, min(start + stretch, len(points)))
        low = min(part, key=lambda index: points[index][1])
        high = max(part, key=lambda index: points[index][1])
        kept += [points[index] for index in sorted({part[0], low, high})]
    return [*kept, points[-1]] if kept[-1] != points[-1] else kept


def told(series: Tidy) -> str:
    """A series in a sentence, for who cannot see the drawing."""
    if not series.points:
        return f"{series.name}: no values."
    unit = f" {series.unit}" if series.unit else ""
    first, last = series.points[0], series.points[-1]
    values = [value for _, value in series.points]
    return (
        f"{series.name}{unit}: {number(first[1])} at {_at(first[0])}, {number(last[1])} at {_at(last[0])}, "
        f"lowest {number(min(values))}, highest {number(max(values))}, {plural(len(values), 'value')}."
    )


def table(series: Sequence[Tidy], most: int) -> SeriesTable:
    """Series side by side, a row for each moment; at most ``most`` rows, evenly spread, the first and last kept."""
    shown = series[:MAX_COLUMNS]
    moments = sorted({at for one in shown for at, _ in one.points})
    values = [dict(one.points) for one in shown]
    picked = _spread(moments, most)
    rows = tuple((_at(at), *(number(found[at]) if at in found else "" for found in values)) for at in picked)
    columns = ("time", *(f"{one.name} ({one.unit})" if one.unit else one.name for one in shown))
    notes = []
    if len(picked) < len(moments):
        notes.append(f"{len(picked)} of {len(moments)} moments; all are in the bundle and in the JSON report")
    if len(series) > len(shown):
        notes.append(f"{plural(len(series) - len(shown), 'further series', 'further series')} in the bundle")
    dropped = sum(one.dropped for one in series)
    if dropped:
        notes.append(f"{plural(dropped, 'value')} left out: not a number that can be shown")
    return SeriesTable(columns, rows, "; ".join(notes))


def _spread(moments: Sequence[float], most: int) -> list[float]:
    if len(moments) <= most:
        return list(moments)
    return [moments[index * (len(moments) - 1) // (most - 1)] for index in range(most)]


def _at(seconds: float) -> str:
    return clock(max(0, round(seconds * 1_000_000)))
