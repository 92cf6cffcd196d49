"""Whether a plan is what its release asks: the plan is made again, from this version's checklist and checks.

A replay judges by the plan that it is given. Whoever lowers a level, or rewrites what a probe fails by, in the plan and
in all that follows from it, is found here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiconform import catalog
from aiconform.engine.planner import judge_digest, planned_check
from aiconform.errors import UsageError

if TYPE_CHECKING:
    from aiconform.engine.model import Check
    from aiconform.evidence.documents import Plan, PlannedCheck

_OF_THE_RELEASE = ("level", "category")
_OF_THE_CHECKLIST = ("title", "kar", "asks")
"""In our words, or from other sources than the official form: a later version may know them better."""
_OF_THE_CHECK = ("limits", "headline", "probes")


@dataclass(frozen=True)
class Replanned:
    """What a plan has otherwise than this version plans it.

    Attributes:
        refuted: what no version can have planned so: facts of a release, and what the same code gives otherwise.
        untold: what only the version of then can tell: words that came from another checklist or check.
    """

    refuted: tuple[str, ...] = ()
    untold: tuple[str, ...] = ()


def replanned(plan: Plan, checks: Mapping[str, Check]) -> Replanned:
    """Make every check of a plan again and compare."""
    refuted: list[str] = []
    untold: list[str] = []
    same_checklist = plan.catalog_sha256 == catalog.digest()
    same_engine = plan.judge_sha256 == judge_digest()
    for check in plan.checks:
        try:
            asked = catalog.get(plan.release, check.requirement)
        except UsageError as problem:
            refuted.append(problem.message)
            continue
        again = planned_check(asked, checks.get(check.requirement))
        same_check = same_engine and check.code_sha256 == again.code_sha256
        refuted += _facts(plan.release, check, again)
        (refuted if same_checklist else untold).extend(_words(check, again, _OF_THE_CHECKLIST))
        (refuted if same_check else untold).extend(_words(check, again, _OF_THE_CHECK))
    return Replanned(tuple(refuted), tuple(untold))


def _facts(release: str, planned: PlannedCheck, again: PlannedCheck) -> Iterator[str]:
    for field in _differing(planned, again, _OF_THE_RELEASE):
        was, should = getattr(planned, field), getattr(again, field)
        yield f"{planned.requirement}: planned with {field} {was}, which is {should} in release {release}"


def _words(planned: PlannedCheck, again: PlannedCheck, fields: Sequence[str]) -> Iterator[str]:
    if differing := _differing(planned, again, fields):
        yield f"{planned.requirement}: {', '.join(differing)} not as this version plans them"


def _differing(planned: PlannedCheck, again: PlannedCheck, fields: Sequence[str]) -> list[str]:
    return [field for field in fields if getattr(planned, field) != getattr(again, field)]
