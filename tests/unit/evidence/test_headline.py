from __future__ import annotations

import pytest

from aiconform.checks import all_checks
from aiconform.evidence.headline import headline, names


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        ("asked {asked}, measured {measured}", "asked 80/20, measured 79/21"),
        ("took {pod deleted to node gone}", "took 9 s"),
        ("the other's device: {other's device}", "the other's device: {not} a pattern"),
        ("{asked} of {never measured}", ""),
        ("", ""),
    ],
)
def test_a_line_of_the_first_values(pattern: str, line: str) -> None:
    seen = [
        {"asked": "80/20", "measured": "79/21"},
        {"asked": "50/50", "pod deleted to node gone": "9 s", "other's device": "{not} a pattern"},
    ]
    assert headline(pattern, seen) == line


@pytest.mark.parametrize("check", all_checks().values(), ids=lambda check: check.requirement)
def test_a_headline_rests_on_what_is_measured(check) -> None:
    assert not check.headline or names(check.headline)
