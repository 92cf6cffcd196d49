"""Versions written with different precision."""

from __future__ import annotations

import pytest

from aiconform.checks._kit import versions


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("580.126.20", "580.126.20", True),
        ("580.65.06", "580.65.6", True),
        ("12.9", "12.9.0", True),
        ("13.0", "13", True),
        ("580.126.20", "580.126.2", False),
        ("12.9", "12.9.1", False),
        ("580.126.20", "", False),
        ("", "", False),
        ("N/A", "N/A", False),
        ("580.126.20 ", "580.126.20", False),
        ("580.126.20-forged", "580.126.20", False),
    ],
)
def test_equal(one: str, other: str, same: bool) -> None:
    assert versions.equal(one, other) is same
    assert versions.equal(other, one) is same
