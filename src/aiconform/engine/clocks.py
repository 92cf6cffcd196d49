"""How far the API server's clock is from ours, by the Date of its answers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

FAR_S: Final = 60.0
"""Seconds between both clocks from which on a run says so: its times and the cluster's no longer compare."""


def moment(date: str) -> datetime | None:
    """What a Date header says; None where it says nothing."""
    try:
        found = parsedate_to_datetime(date)
    except (ValueError, TypeError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def skew_s(date: str, asked: datetime, answered: datetime) -> tuple[float, float] | None:
    """How far the server's clock is ahead, as least and most, in seconds; None where its answer does not tell.

    Args:
        date: the answer's Date header.
        asked: when the question was sent, by our clock.
        answered: when the answer was there, by our clock.
    """
    stamp = moment(date)
    if stamp is None:
        return None
    # the header is cut to whole seconds, and was written some time between the question and the answer
    return (stamp - answered).total_seconds(), (stamp - asked).total_seconds() + 1


def recorded_skew_s(date: str, asked: str, answered: str) -> tuple[float, float] | None:
    """The same from the times of two records, which a bundle that somebody else made may say in any way."""
    try:
        sent, there = datetime.fromisoformat(asked), datetime.fromisoformat(answered)
    except ValueError:
        return None
    return skew_s(date, sent, there) if sent.tzinfo and there.tzinfo else None


def ahead_s(skews_s: Sequence[tuple[float, float]]) -> float:
    """Seconds that the server's clock is ahead at least, or behind if less than 0, by all answers together.

    0 where both are the same as far as whole seconds can tell, or where no answer told.
    """
    least, most = max((low for low, _ in skews_s), default=0), min((high for _, high in skews_s), default=0)
    if least <= 0 <= most or least > most:  # clocks that were set meanwhile leave nothing between
        return 0.0
    return least if least > 0 else most


def words(ahead: float) -> str:
    """``ahead by 4.0 s at least``."""
    return f"{'ahead' if ahead > 0 else 'behind'} by {abs(ahead):.1f} s at least"
