"""Whether a requirement can be examined on a cluster, and why not: a pure function of what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from aiconform.engine import access
from aiconform.engine.diagnosis import Readiness
from aiconform.engine.examine import unmet

if TYPE_CHECKING:
    from aiconform.catalog import Requirement
    from aiconform.engine.access import Access
    from aiconform.engine.facts import Facts
    from aiconform.engine.model import Check, Unmet
    from aiconform.engine.rights import Right

NO_CHECK: Final = "this version of aiconform has no check for it"
UNREAD: Final = "the cluster cannot be read"


@dataclass(frozen=True)
class Known:
    """What was found.

    Attributes:
        facts: of discovery; None where the cluster cannot be read.
        access: what may be done.
        needed: rights that each requirement's check needs.
        stuck: why no run may begin, whatever it is asked; empty where it may.
    """

    facts: Facts | None
    access: Access
    needed: Mapping[str, Sequence[Right]]
    stuck: str


def readiness(asked: Requirement, check: Check | None, known: Known) -> Readiness:
    """Whether it can be examined."""
    if check is None:
        return _not(asked, "cannot run", NO_CHECK)
    if known.facts is None:
        return _not(asked, "undecided", UNREAD)
    gap = unmet(check, known.facts)
    if gap is not None:
        return _not(asked, _state(gap), gap.reason)
    reason = _kept_by(asked.id, known)
    if reason:
        return _not(asked, "cannot run", reason)
    in_part = [f"{probe.id}: {why.reason}" for probe in check.probes if (why := unmet(probe, known.facts))]
    return Readiness(
        requirement=asked.id,
        level=asked.level,
        state="in part" if in_part else "can run",
        in_part=in_part,
        holds=sorted(check.holds(known.facts)),
        usual_s=check.usual_s,
        at_most_s=round(sum(probe.timeout_s for probe in check.probes)),
    )


def together_s(all_: Sequence[Readiness]) -> int:
    """Seconds that they usually take side by side, but one after another where they hold the same accelerator."""
    running = [one for one in all_ if one.state in ("can run", "in part")]
    queues: dict[str, int] = {}
    for one in running:
        for lock in one.holds:
            queues[lock] = queues.get(lock, 0) + one.usual_s
    return max([0, *queues.values(), *(one.usual_s for one in running)])


def _kept_by(requirement: str, known: Known) -> str:
    """What keeps a check from running on a cluster that has what it needs."""
    needed = known.needed[requirement]
    lost = [right for right in (*access.of_engine(), *needed) if right in known.access.missing and not right.sometimes]
    return access.words(lost) if lost else known.stuck


def _state(gap: Unmet) -> Literal["cannot run", "n/a", "undecided"]:
    return "cannot run" if gap.outcome == "not run" else gap.outcome


def _not(asked: Requirement, state: Literal["cannot run", "n/a", "undecided"], reason: str) -> Readiness:
    return Readiness(requirement=asked.id, level=asked.level, state=state, reason=reason)
