"""The one line that says what a check measured, from the pattern that the check gave in the plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from string import Formatter


def names(pattern: str) -> list[str]:
    """The figures that a pattern names: ``asked`` in ``asked {asked}``.

    Raises:
        ValueError: its braces do not match.
    """
    return [name for _, name, _, _ in Formatter().parse(pattern) if name]


def headline(pattern: str, observed: Iterable[Mapping[str, str]]) -> str:
    """The pattern with the first value of each figure that it names; empty where one was not measured.

    Args:
        pattern: of a check, such as ``asked {asked}, measured {measured}``.
        observed: the figures of its observations, in their order.
    """
    first: dict[str, str] = {}
    for figures in observed:
        for name, value in figures.items():
            first.setdefault(name, value)
    if not pattern or any(name not in first for name in names(pattern)):
        return ""
    return "".join(text + first.get(name or "", "") for text, name, _, _ in Formatter().parse(pattern))
