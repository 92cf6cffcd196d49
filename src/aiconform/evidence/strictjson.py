"""JSON as evidence needs it: strict on the way in, canonical (RFC 8785) on the way out.

The standard library keeps the last of two equal keys, accepts ``NaN``, and dies of deep nesting. An answer that two
readers can read in two ways is no evidence, so all three are refused here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final, NoReturn

import rfc8785

MAX_DEPTH: Final = 100
"""Levels of nesting that are accepted. Kubernetes objects, schemas included, stay far below."""

MAX_SIZE: Final = 64 * 2**20
"""Bytes that are accepted in one document."""

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
# What the standard encoder writes otherwise than RFC 8785: fractions, exponents, integers beyond 2^53, and the order
# of keys with characters beyond U+FFFF. A hit inside a string only costs time.
_ENCODED_OTHERWISE = re.compile(r'(?:^|":|[\[,])-?\d+[.eE]|\d{16}|[\ud800-\U0010ffff]')
_NO_BRACKET = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[^"\[\]{}]++', re.DOTALL)
_EMPTY = re.compile(r"\[\]|\{\}")
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)


class StrictJSONError(ValueError):
    """The bytes are not strict JSON; the text says why."""


def loads(
    data: bytes | str,
    *,
    max_depth: int = MAX_DEPTH,
    max_size: int = MAX_SIZE,
    on_object: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
) -> Any:
    """Parse strict JSON (RFC 8259, UTF-8, no byte order mark).

    Args:
        data: the document.
        max_depth: how many levels of arrays and objects may be open at once.
        max_size: how many bytes are accepted (characters, where ``data`` is text).
        on_object: is shown every object as it is complete, innermost first, and says what to put in its place.

    Returns:
        The value, of dict, list, str, int, float, bool and None.

    Raises:
        StrictJSONError: not JSON, not UTF-8, a key twice in an object, NaN or Infinity, a number out of range, a lone
            surrogate, nested too deep, or too long.
    """
    if len(data) > max_size:
        raise StrictJSONError(f"longer than {max_size} bytes")
    try:
        text = data.decode("utf-8") if isinstance(data, bytes) else data
    except UnicodeDecodeError as problem:
        raise StrictJSONError(f"not UTF-8 at byte {problem.start}") from None
    _limit_depth(text, max_depth)
    hook = _unique if on_object is None else lambda pairs: on_object(_unique(pairs))
    try:
        value = json.loads(text, object_pairs_hook=hook, parse_constant=_refuse_constant, parse_float=_finite)
        if "\\u" in text:
            _refuse_surrogates(text)
    except StrictJSONError:
        raise
    except (ValueError, RecursionError) as problem:
        raise StrictJSONError(str(problem) or "not JSON") from None
    return value


def canonical(value: Any) -> bytes:
    """The canonical form of a JSON value: RFC 8785.

    Raises:
        StrictJSONError: the value has no such form (NaN, integers beyond 2^53, lone surrogates, other types).
    """
    try:
        text = _ENCODER.encode(value)
        if _ENCODED_OTHERWISE.search(text):
            return rfc8785.dumps(value)
        return text.encode()
    except (ValueError, TypeError, RecursionError) as problem:
        raise StrictJSONError(str(problem)) from None


def _limit_depth(text: str, max_depth: int) -> None:
    """Look at the brackets outside strings, before the parser recurses into them."""
    if text.count("[") + text.count("{") <= max_depth:
        return
    brackets = _NO_BRACKET.sub("", text)
    for _ in range(max_depth):  # each round takes away the innermost level
        brackets = _EMPTY.sub("", brackets)
        if not brackets:
            return
    depth = 0
    for char in brackets:
        depth += 1 if char in "[{" else -1
        if depth > 0:
            raise StrictJSONError(f"nested deeper than {max_depth} levels")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise StrictJSONError(f"the key {twice!r} twice in one object")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise StrictJSONError(f"{name} is not JSON")


def _finite(literal: str) -> float:
    number = float(literal)
    if number in (float("inf"), float("-inf")):
        raise StrictJSONError(f"the number {literal[:40]} is out of range")
    return number


def _refuse_surrogates(text: str) -> None:
    """Half of a surrogate pair, escaped, decodes to a character that cannot be written as UTF-8 again."""
    for token in _STRING.finditer(text):
        literal = token.group()
        if "\\u" in literal:
            try:
                json.loads(literal, strict=False).encode("utf-8")
            except UnicodeEncodeError:
                raise StrictJSONError("a lone surrogate in a string") from None
