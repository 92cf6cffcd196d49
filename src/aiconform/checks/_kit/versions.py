"""Comparing versions that were written with different precision."""

from __future__ import annotations

import re

_NUMERIC = re.compile(r"\d+(\.\d+)*")


def numeric(text: str) -> bool:
    """Whether this is a version made of numbers and dots alone."""
    return bool(_NUMERIC.fullmatch(text))


def equal(one: str, other: str) -> bool:
    """Whether two numeric versions agree at the precision both have: 580.65.06 is 580.65.6, and 12.9 is 12.9.0."""
    if not (numeric(one) and numeric(other)):
        return False
    left, right = [int(part) for part in one.split(".")], [int(part) for part in other.split(".")]
    shared = min(len(left), len(right))
    return left[:shared] == right[:shared] and not any(left[shared:] + right[shared:])
