"""JSON as the YAML that Kubernetes people read: same values, scripts as blocks of lines.

For reading only: what was sent or answered is the blob. The result is YAML 1.2 that loads as the same value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from aiconform.report.text import visible

MAX_FLAT = 88
"""Longest line, in characters, on which a list of plain values stays."""

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*(?: [A-Za-z0-9_./,()-]+)*")
_RESERVED = {"true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf"}


def readable(value: Any) -> str:
    """A JSON object or list as YAML, without a final newline.

    Raises:
        RecursionError: it is nested too deeply.
    """
    return "\n".join(_lines(value, ""))


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _RESERVED:
        return value
    return json.dumps(value, ensure_ascii=False)


def _is_block(value: Any) -> bool:
    """Whether a text reads better as lines: several of them, none that a block could not hold as they are."""
    return (
        isinstance(value, str)
        and "\n" in value.rstrip("\n")
        and not value[0].isspace()
        and not value.endswith("\n\n")
        and "\t" not in value
        and visible(value) == value
        and all(line == line.rstrip() for line in value.split("\n"))
    )


def _inline(value: Any, indent: str) -> str | None:
    """The value on the line of its key, or None where it needs lines of its own."""
    if not isinstance(value, dict | list):
        return None if _is_block(value) else _scalar(value)
    if not value:
        return "{}" if isinstance(value, dict) else "[]"
    if isinstance(value, list) and not any(isinstance(item, dict | list) or _is_block(item) for item in value):
        flat = json.dumps(value, ensure_ascii=False)
        if len(indent) + len(flat) <= MAX_FLAT:
            return flat
    return None


def _block(value: str, indent: str) -> Iterator[str]:
    yield from (f"{indent}{line}" if line else "" for line in value.removesuffix("\n").split("\n"))


def _entry(head: str, value: Any, indent: str, inner: str) -> Iterator[str]:
    """One key or one dash with what belongs to it."""
    inline = _inline(value, inner)
    if inline is not None:
        yield f"{indent}{head} {inline}"
    elif isinstance(value, str):
        yield f"{indent}{head} |" + ("" if value.endswith("\n") else "-")
        yield from _block(value, inner)
    elif head == "-":
        first, *rest = _lines(value, inner)
        yield f"{indent}- {first.removeprefix(inner)}"
        yield from rest
    else:
        yield f"{indent}{head}"
        yield from _lines(value, indent if isinstance(value, list) else inner)


def _lines(value: Any, indent: str) -> Iterator[str]:
    inner = indent + "  "
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from _entry(f"{_scalar(name)}:", item, indent, inner)
    elif isinstance(value, list) and value:
        for item in value:
            yield from _entry("-", item, indent, inner)
    else:
        yield indent + (_inline(value, indent) or _scalar(value))
