"""Names of cases: what can be typed is what is printed, and the same seed gives the same."""

from __future__ import annotations

import pytest
from tests.faults import cases, strikes, sweep
from tests.faults.bench import Result
from tests.faults.cases import Case, parse
from tests.faults.kinds import KINDS

KNOWN = {
    "good": Result("clean@0", "r", requests=["GET /"] * 60, writes=[5, 9], creations=[9]),
    "bad": Result("bad:clean@0", "r", requests=["GET /"] * 40, writes=[5], creations=[]),
}


@pytest.mark.parametrize(
    "text",
    [
        *("500@12", "bad:html@3", "409-own@1", "mix@7", "etcd-paused@6"),
        *("kill-after@20", "int-int-before@0", "disk-full-journal@4", "screen-gone-before@8"),
    ],
)
def test_a_name_is_read_as_it_is_written(text: str) -> None:
    assert str(parse(text)) == text


@pytest.mark.parametrize("text", ["500", "teapot@1", "bad:@3", "500@-1", "quit-after@3", "good;500@1"])
def test_other_names_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no case|no kind"):
        parse(text)


def test_signals_are_told_from_faults() -> None:
    assert parse("int-int-after@3").strike == ("int-int", "after")
    assert parse("429-after@3").strike is None


def test_everything_is_every_kind_at_every_request_and_every_signal_at_every_write() -> None:
    found = sweep.everything(KNOWN, mixes=10)
    assert len(found) == 24 * (60 + 40) + len(strikes.NAMES) * (2 * 2 + 1) + 10 + 2 * 5
    assert len(set(found)) == len(found)
    assert all(parse(str(case)) == case for case in found)


def test_a_seed_decides_everything() -> None:
    case = Case(cases.MIX, 3)
    assert case.strikes(1, 60) == case.strikes(1, 60)
    assert case.run(1) == case.run(1) != case.run(2)
    assert sweep.sample(KNOWN, 20, 1) == sweep.sample(KNOWN, 20, 1) != sweep.sample(KNOWN, 20, 2)
    mixes = [Case(cases.MIX, number).strikes(1, 60) for number in range(200)]
    assert {kind for mix in mixes for kind in mix.values()} == set(KINDS)
    assert {len(mix) for mix in mixes} >= {2, 3, 4, 5}


def test_problems_are_printed_with_what_repeats_them() -> None:
    found = sweep.Sweep(7, results=[Result("500@3", "r", wall_s=2.5, struck=1)])
    found.problems = [("500@3", "left: x"), ("", "touched: y")]
    lines = "\n".join(sweep.table(found))
    assert "PROBLEM left: x\n    tools/faults.py --case 500@3 --seed 7" in lines
    assert "PROBLEM touched: y\n    seed 7" in lines
    assert "2.5 s (500@3)" in lines
