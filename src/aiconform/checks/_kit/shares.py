"""How a backend's share of requests went, for plots.

The client's own clock tells how long before its report each request was answered; the run's clock, when it was read.
"""

from __future__ import annotations

from aiconform.checks._kit.workloads import Answers
from aiconform.engine import Context, Series

EVERY = 10
"""A plot has a point for each so many requests."""


def so_far(ctx: Context, seen: Answers, backend: str, *, percent: int) -> tuple[Series, ...]:
    """The share of a backend in all requests so far, beside the share that was asked for."""
    points = []
    for number in range(EVERY, len(seen.order) + 1, EVERY):
        share = 100 * sum(by == backend for by in seen.order[:number]) / number
        points.append((_moment(ctx, seen, number - 1), round(share, 2)))
    wanted = tuple((at, float(percent)) for at, _ in points)
    return (Series("share of the challenger, so far", "%", tuple(points)), Series("target", "%", wanted))


def passage(ctx: Context, during: Answers, after: Answers, backend: str, *, changed: float) -> tuple[Series, ...]:
    """The share of a backend in each few requests while weights changed from 20 to 100, and since.

    Args:
        ctx: the probe's context; the report was just read.
        during: requests sent while they were changed.
        after: those sent right after; the report ends with them.
        backend: whose share.
        changed: when the change was made, on the run's clock.
    """
    end = ctx.now - (after.at_s[-1] if after.at_s else 0.0) - (after.settled_s or 0.0)
    points = []
    for number in range(EVERY, len(during.order) + 1, EVERY):
        share = 100 * sum(by == backend for by in during.order[number - EVERY : number]) / EVERY
        points.append((max(0.0, round(end - during.at_s[-1] + during.at_s[number - 1], 3)), round(share, 2)))
    first, last = (points[0][0], points[-1][0]) if points else (changed, changed)
    wanted = ((min(first, changed), 20.0), (changed, 100.0), (max(last, changed), 100.0))
    return (Series(f"share of the challenger, of each {EVERY}", "%", tuple(points)), Series("target", "%", wanted))


def _moment(ctx: Context, seen: Answers, index: int) -> float:
    """When a request was answered, on the run's clock: the client's own clock tells how long before its report."""
    return max(0.0, round(ctx.now - seen.at_s[-1] + seen.at_s[index], 3))
