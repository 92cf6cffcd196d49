# ruff: noqa: E501 - texts are kept whole
from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiconform.report.text import anchor, clock, duration, is_digest, one_line, plural, size, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ä 漢 ✓ 🎉\t\n", "plain ä 漢 ✓ 🎉\t\n"),
        ("\x1b[31m", "\\x1b[31m"),
        ("a\rb", "a\\x0db"),
        ("\u202egnp", "\\u202egnp"),
        ("\x85", "\\x85"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("\u200b", "\\u200b"),
    ],
)
def test_visible(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text())
def test_visible_leaves_nothing_hidden_and_is_stable(text: str) -> None:
    shown = visible(text)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]", shown)
    assert visible(shown) == shown


@given(st.lists(st.text(min_size=1), min_size=1, max_size=3), st.lists(st.text(min_size=1), min_size=1, max_size=3))
def test_anchors_are_plain_and_never_shared(first: list[str], second: list[str]) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_~-]*", anchor(*first))
    assert (anchor(*first) == anchor(*second)) == (first == second)


def test_the_anchor_of_a_requirement_is_its_id() -> None:
    assert anchor("gang_scheduling") == "gang_scheduling"


@pytest.mark.parametrize(
    ("us", "shown"),
    [(0, "0.0 s"), (900, "1 ms"), (12_000, "12 ms"), (400_000, "0.4 s"), (14_249_000, "14.2 s"), (59_960_000, "1 min 00 s"), (125_000_000, "2 min 05 s")],
)  # fmt: skip
def test_duration(us: int, shown: str) -> None:
    assert duration(us) == shown


def test_clock_and_size_and_plural() -> None:
    assert clock(62_345_678) == "1:02.345"
    assert [size(n) for n in (0, 999, 1000, 4096, 2_500_000)] == ["0 B", "999 B", "1.0 kB", "4.1 kB", "2.5 MB"]
    assert [plural(n, "probe") for n in (0, 1, 2)] == ["0 probes", "1 probe", "2 probes"]
    assert plural(2, "body", "bodies") == "2 bodies"


def test_one_line_cuts_with_an_ellipsis() -> None:
    assert one_line(" a\n b\tc ") == "a b c"
    assert one_line("abcdefgh", 5) == "abcd…"


def test_is_digest() -> None:
    assert is_digest("a" * 64)
    assert not is_digest("A" * 64)
    assert not is_digest("../" + "a" * 61)
