"""Re-derives every verdict of a bundle by replay, offline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import anyio

from aiconform import catalog
from aiconform.engine.conduct import compose, conduct
from aiconform.engine.examine import KEPT
from aiconform.engine.lane import Divergence
from aiconform.engine.planner import check_digest, judge_digest
from aiconform.engine.preflight import PreflightError
from aiconform.engine.replanned import Replanned, replanned
from aiconform.engine.stage import ReplayStage
from aiconform.evidence.writer import END_LANE

if TYPE_CHECKING:
    from aiconform.engine.model import Check
    from aiconform.engine.replay import Substitution
    from aiconform.evidence.documents import Verdicts
    from aiconform.evidence.reader import Bundle


@dataclass(frozen=True)
class Rejudged:
    """What a replay came to.

    Attributes:
        outcome: ``same``: every verdict was re-derived. ``differs``: the log does not give these verdicts, or the plan
            is not what its release asks. ``other code``: the log does not give them, but the code that judged then was
            another than this.
        problems: where the log gives something else.
        verdicts: what the replay gives, if it came to an end.
        other_code: what has other code than the run had.
        plan: what the plan has otherwise than this version plans it.
    """

    outcome: Literal["same", "differs", "other code"]
    problems: tuple[str, ...]
    verdicts: Verdicts | None
    other_code: tuple[str, ...]
    plan: Replanned


def rejudge(bundle: Bundle, checks: Mapping[str, Check]) -> Rejudged:
    """Replay a bundle through the checks of this version; compare every verdict with the sealed ones, and the plan."""
    other = tuple(_other_code(bundle, checks))
    if bundle.plan.release not in catalog.releases():
        unknown = f"the checklist of release {bundle.plan.release!r} is not known to this version"
        return Rejudged("other code" if "the checklist" in other else "differs", (unknown,), None, other, Replanned())
    plan = replanned(bundle.plan, checks)
    derived: Verdicts | None = None
    problems: list[str] = []
    try:
        derived = replay(bundle, checks)
    except Divergence as divergence:
        problems.append(str(divergence))
    except PreflightError as refused:
        problems.append(f"the replay ends in its preflight: {refused.cause}")
    if derived is not None:
        problems += _differences(bundle.verdicts, derived)
    outcome: Literal["same", "differs", "other code"] = "same"
    if plan.refuted or (problems and not other):
        outcome = "differs"
    elif problems:
        outcome = "other code"
    return Rejudged(outcome, tuple(problems), derived, other, plan)


def replay(bundle: Bundle, checks: Mapping[str, Check], substitution: Substitution | None = None) -> Verdicts:
    """The verdicts that the log of a bundle gives, with answers replaced where a substitution says so.

    Raises:
        Divergence: the checks ask something else than the log holds.
        PreflightError: the log's discovery cannot be read.
    """
    stage = ReplayStage(bundle, substitution)
    kept = any(record.data.get("text") == KEPT for record in bundle.lanes.get("cleanup", []))
    planned = {
        check.requirement: checks[check.requirement]
        for check in bundle.plan.checks
        if check.probes and check.requirement in checks
    }

    async def work() -> Verdicts:
        outcome = await conduct(stage, bundle.plan, planned, lambda _: None, keep=kept, side_by_side=False)
        ended = next((r.wall for r in bundle.lanes.get(END_LANE, [])), bundle.records[-2].wall)
        return compose(bundle.plan, outcome, started=bundle.records[0].wall, ended=ended, keep=kept)

    verdicts = anyio.run(work)
    if substitution is None:
        for lane in stage.lanes.values():
            lane.finish()
    return verdicts


def _other_code(bundle: Bundle, checks: Mapping[str, Check]) -> list[str]:
    other = []
    if bundle.plan.judge_sha256 != judge_digest():
        other.append("the engine")
    if bundle.plan.catalog_sha256 != catalog.digest():
        other.append("the checklist")
    for planned in bundle.plan.checks:
        check = checks.get(planned.requirement)
        if planned.code_sha256 and (check is None or check_digest(check) != planned.code_sha256):
            other.append(planned.requirement)
    return other


def _differences(sealed: Verdicts, derived: Verdicts) -> list[str]:
    found = []
    mine = {check.requirement: check for check in derived.checks}
    for check in sealed.checks:
        again = mine.get(check.requirement)
        if again is None or again.outcome != check.outcome:
            gives = again.outcome if again else "nothing"
            found.append(f"{check.requirement}: sealed as {check.outcome}, the log gives {gives}")
        elif again != check:
            found.append(f"{check.requirement}: the sealed verdict's details are not what the log gives")
    if not found and sealed != derived:
        fields = [name for name in type(sealed).model_fields if getattr(sealed, name) != getattr(derived, name)]
        found.append(f"verdicts.json: {', '.join(fields)} not as the log gives")
    return found
