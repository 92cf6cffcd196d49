"""What a release asks otherwise than another: requirements added and removed, levels and conditions changed."""

from __future__ import annotations

from dataclasses import dataclass, field

from aiconform import catalog
from aiconform.catalog import Requirement


@dataclass(frozen=True)
class Changed:
    """A value that differs between two releases; an empty condition is none."""

    id: str
    old: str
    new: str


@dataclass(frozen=True)
class Changes:
    """All that differs; each part in the order of the newer form, removed ones in that of the older."""

    old: str
    new: str
    added: tuple[Requirement, ...] = ()
    removed: tuple[Requirement, ...] = ()
    levels: tuple[Changed, ...] = ()
    conditions: tuple[Changed, ...] = ()
    totals: dict[str, dict[str, int]] = field(default_factory=dict)


def between(old: str, new: str) -> Changes:
    """Compare two releases, in either direction.

    Raises:
        UsageError: a release is not known.
    """
    before = {requirement.id: requirement for requirement in catalog.requirements(old)}
    after = {requirement.id: requirement for requirement in catalog.requirements(new)}
    both = [(before[name], now) for name, now in after.items() if name in before]
    return Changes(
        old,
        new,
        added=tuple(now for name, now in after.items() if name not in before),
        removed=tuple(was for name, was in before.items() if name not in after),
        levels=tuple(Changed(now.id, was.level, now.level) for was, now in both if was.level != now.level),
        conditions=tuple(
            Changed(now.id, was.condition, now.condition) for was, now in both if was.condition != now.condition
        ),
        totals={old: _totals(before), new: _totals(after)},
    )


def _totals(asked: dict[str, Requirement]) -> dict[str, int]:
    levels = [requirement.level for requirement in asked.values()]
    return {level: levels.count(level) for level in ("MUST", "SHOULD")}
