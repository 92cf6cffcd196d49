from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiconform.local.pool.wire import Message, encode


def test_known_bytes() -> None:
    assert encode({1: 150}) == b"\x08\x96\x01"
    assert encode({2: "testing"}) == b"\x12\x07testing"
    assert encode({1: -1}) == b"\x08" + b"\xff" * 9 + b"\x01"


def test_nested_and_repeated() -> None:
    inner = [encode({1: "a"}), encode({1: "b", 2: 3})]
    seen = Message(encode({1: inner, 3: "x"}))
    assert [(m.text(1), m.number(2)) for m in seen.messages(1)] == [("a", 0), ("b", 3)]
    assert (seen.text(3), seen.text(9), seen.number(9)) == ("x", "", 0)


def test_fields_that_we_do_not_know_are_passed_over() -> None:
    assert Message(b"\x19" + b"\0" * 8 + b"\x25" + b"\0" * 4 + b"\x08\x01").number(1) == 1


@pytest.mark.parametrize("data", [b"\x08", b"\x12\x05ab", b"\x0b", b"\x08" + b"\xff" * 11])
def test_what_is_cut_or_strange_is_refused(data) -> None:
    with pytest.raises(ValueError, match=r"cut short|wire type"):
        Message(data)


@given(st.integers(-(2**63), 2**63 - 1), st.text())
def test_there_and_back(number, text) -> None:
    seen = Message(encode({1: number, 2: text}))
    assert (seen.number(1), seen.text(2)) == (number, text)
