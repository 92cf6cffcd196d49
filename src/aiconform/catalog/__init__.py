"""The checklists as data: ids, levels, categories, KAR numbers, per release."""

from __future__ import annotations

import difflib
import hashlib
import json
from dataclasses import asdict, dataclass

from aiconform.catalog.releases import DESCRIPTIONS, LEVELS, Level
from aiconform.errors import UsageError

__all__ = ["CATEGORIES", "Level", "Requirement", "digest", "get", "releases", "requirements"]

CATEGORIES = ("accelerators", "networking", "schedulingOrchestration", "observability", "security", "operator")
"""The form's categories, in its order."""


@dataclass(frozen=True)
class Requirement:
    """A requirement as one release has it."""

    id: str
    title: str
    category: str
    level: Level
    kar: str
    asks: str


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
    found = [_requirement(name, level) for name, level in LEVELS[release].items()]
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
        hint = f"release {' and '.join(elsewhere)} asks it; choose one with --release"
    else:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "aiconform catalog lists them"
    raise UsageError(f"release {release} asks no requirement {name!r}", hint=hint)


def digest() -> str:
    """SHA-256 of the checklist data, for a run's plan."""
    data = {release: [asdict(found) for found in requirements(release)] for release in releases()}
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def _requirement(name: str, level: Level) -> Requirement:
    about = DESCRIPTIONS[name]
    return Requirement(name, about.title, about.category, level, about.kar, about.asks)
