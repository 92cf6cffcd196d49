from __future__ import annotations

import contextlib
import json
import math
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from aiconform.evidence.strictjson import StrictJSONError, canonical, loads

texts = st.text(st.characters(codec="utf-8"), max_size=20)
whole = st.integers(-(2**53) + 1, 2**53 - 1)
floats = st.floats(allow_nan=False, allow_infinity=False)


def nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """JSON values with these leaves."""
    return st.recursive(
        st.none() | st.booleans() | whole | texts | leaves,
        lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=5),
        max_leaves=30,
    )


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b'{"a":1,"a":2}', "the key 'a' twice"),
        (b'[{"b":{"a":1,"b":2,"a":3}}]', "the key 'a' twice"),
        (b'{"a":1,"\\u0061":2}', "the key 'a' twice"),
        (b"NaN", "NaN is not JSON"),
        (b"[-Infinity]", "-Infinity is not JSON"),
        (b"1e999", "out of range"),
        (b"9" * 5000, "limit"),
        (b"[" * 101 + b"]" * 101, "nested deeper than 100"),
        (b'{"a":[' * 51 + b"]}" * 51, "nested deeper than 100"),
        (b"[" * 200_000, "nested deeper than 100"),
        (b'{"a":' * 200_000, "nested deeper than 100"),
        (b"]" * 300 + b"[" * 300, "Expecting value"),
        (b'"\\ud800"', "surrogate"),
        (b'{"\\udfff":1}', "surrogate"),
        (b"\xff", "not UTF-8"),
        (b"\xed\xa0\x80", "not UTF-8"),
        (b"\xef\xbb\xbf{}", "BOM"),
        (b"", "Expecting value"),
        (b"[1,]", "Expecting value"),
        (b"{'a':1}", "Expecting property name"),
        (b"[1] [2]", "Extra data"),
        (b"01", "Extra data"),
        (b'"\n"', "control character"),
        (b'"a', "Unterminated"),
        (b'"\\', "Unterminated"),
        (b"<html>", "Expecting value"),
    ],
)
def test_what_is_not_strict_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(StrictJSONError, match=why.replace("[", "\\[")):
        loads(data)


def test_limits_are_those_asked_for() -> None:
    assert loads(b"[" * 100 + b"]" * 100)
    assert loads('{"a":[' * 50 + "]}" * 50)
    with pytest.raises(StrictJSONError, match="nested deeper than 3"):
        loads(b"[[[[]]]]" + b" " * 10, max_depth=3)
    with pytest.raises(StrictJSONError, match="longer than 4 bytes"):
        loads(b"[1,2]", max_size=4)


def test_brackets_in_text_are_no_levels() -> None:
    assert loads(json.dumps(["[{" * 500, '"[' * 500])) == ["[{" * 500, '"[' * 500]


def test_surrogate_pairs_are_characters() -> None:
    assert loads(b'"\\ud83d\\ude00"') == "\N{GRINNING FACE}"


def test_objects_can_be_replaced_while_parsing() -> None:
    value = loads(b'{"a":{"drop":1,"b":{"drop":2}}}', on_object=lambda o: {k: v for k, v in o.items() if k != "drop"})
    assert value == {"a": {"b": {}}}


@given(nested(floats))
def test_canonical_is_what_the_reference_library_writes(value: Any) -> None:
    assert canonical(value) == rfc8785.dumps(value)


@given(nested(floats.filter(lambda number: abs(number) < 2**53)))
def test_canonical_comes_back_as_the_same_value(value: Any) -> None:
    assert loads(canonical(value)) == value


@pytest.mark.parametrize("value", [math.nan, math.inf, 2**53, "\ud800", {1: 2, "a": 1}, b"bytes", [{"a": {1, 2}}]])
def test_what_has_no_canonical_form_is_refused(value: Any) -> None:
    with pytest.raises(StrictJSONError):
        canonical(value)


@given(st.binary(max_size=60))
def test_only_one_kind_of_error_comes_of_any_bytes(data: bytes) -> None:
    with contextlib.suppress(StrictJSONError):
        loads(data)


@given(st.text(st.sampled_from('[]{},:"\\u01d8e-.atn \n'), max_size=60))
def test_only_one_kind_of_error_comes_of_almost_json(text: str) -> None:
    try:
        value = loads(text)
    except StrictJSONError:
        return
    assert json.loads(text) == value
