"""The checklists as data: ids, levels, categories, KAR numbers, per release."""

from __future__ import annotations

import difflib
import hashlib
import json
from dataclasses import asdict, dataclass

from aiconform.catalog.releases import CONDITIONS, DESCRIPTIONS, FORM_SHA256, LEVELS, Condition, Level
from aiconform.errors import UsageError

__all__ = [
    "CATEGORIES",
    "Level",
    "Requirement",
    "digest",
    "form_known",
    "get",
    "releases",
    "requirements",
]

CATEGORIES = ("accelerators", "networking", "schedulingOrchestration", "observability", "security", "operator")
"""The form's categories, in its order."""


@dataclass(frozen=True)
class Requirement:
    """A requirement as one release has it.

    Attributes:
        condition: when it is asked at all, by its own wording; empty: always.
        why_na: what shows that the condition is false, for which alone ``n/a`` is an answer; empty: it never is one.
    """

    id: str
    title: str
    category: str
    level: Level
    kar: str
    asks: str
    condition: str = ""
    why_na: str = ""


def releases() -> tuple[str, ...]:
    """The releases known, oldest first."""
    return tuple(LEVELS)


def requirements(release: str) -> tuple[Requirement, ...]:
    """What a release asks, in the form's order of categories.

    Raises:
        UsageError: the release is not known.
    """
    if release not in LEVELS:
        raise UsageError(f"unknown release {release!r}", hint=f"known releases: {', '.join(releases())}")
    found = [_requirement(release, name, level) for name, level in LEVELS[release].items()]
    return tuple(sorted(found, key=lambda requirement: CATEGORIES.index(requirement.category)))


def get(release: str, name: str) -> Requirement:
    """One requirement of a release.

    Raises:
        UsageError: the release, or the requirement in it, is not known.
    """
    known = {requirement.id: requirement for requirement in requirements(release)}
    if name in known:
        return known[name]
    elsewhere = [other for other in releases() if name in LEVELS[other]]
    if elsewhere:
        hint = f"of release {', '.join(elsewhere)}; choose one with --release"
    else:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "aiconform catalog lists them"
    raise UsageError(f"release {release} asks no requirement {name!r}", hint=hint)


def digest() -> str:
    """SHA-256 of the checklist data, for a run's plan."""
    data = {release: [asdict(found) for found in requirements(release)] for release in releases()}
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def form_known(release: str) -> bool:
    """Whether a release's official form was at hand, with its words; else only a listing of what it asks was."""
    return release in FORM_SHA256


def _requirement(release: str, name: str, level: Level) -> Requirement:
    about, condition = DESCRIPTIONS[name], _condition(release, name)
    return Requirement(
        name,
        about.title,
        about.category,
        level,
        about.kar,
        about.asks,
        condition.holds_if if condition else "",
        condition.why_na if condition else "",
    )


def _condition(release: str, name: str) -> Condition | None:
    """The newest wording that is not newer than the release."""
    order = releases()
    worded = [one for one in CONDITIONS.get(name, ()) if order.index(one.since) <= order.index(release)]
    return max(worded, key=lambda one: order.index(one.since), default=None)
