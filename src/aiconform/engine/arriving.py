"""What a check is examined on: the facts of the run's beginning, or new ones where parts came up later."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiconform.engine.capabilities import merged
from aiconform.engine.discovery import discover
from aiconform.engine.events import CheckAwaits
from aiconform.engine.examine import BEGINS
from aiconform.engine.judge import Judgement
from aiconform.engine.lane import INTERRUPTED, PROBE_LIMIT
from aiconform.engine.undecidable import RefusedError, UndecidableError
from aiconform.evidence.records import NoteData

if TYPE_CHECKING:
    from aiconform.engine.examine import Examination
    from aiconform.engine.facts import Facts
    from aiconform.engine.stage import Stage
    from aiconform.evidence.documents import PlannedCheck

_LIMIT_S = 60.0
_FORBIDDEN = 403


@dataclass(frozen=True)
class Unread:
    """A cluster that cannot be read.

    Attributes:
        cause: why, in words.
        forbidden: whether that is for want of a right.
    """

    cause: str
    forbidden: bool = False


async def look(stage: Stage, lane_name: str, options: Mapping[str, str]) -> Facts | Unread | None:
    """Discover in a lane of its own; ``options`` are the plan's.

    Returns:
        What was found; why it could not be; or None if the run was interrupted.
    """
    lane = stage.lane(lane_name)
    lane.write(NoteData(text=BEGINS))
    found: list[Facts | Unread] = []

    async def work() -> None:
        try:
            found.append(await discover(lane, options))
        except UndecidableError as undecidable:
            refused = isinstance(undecidable, RefusedError) and undecidable.status == _FORBIDDEN
            found.append(Unread(undecidable.cause, forbidden=refused))

    ended_by = await stage.bounded(lane, work, limit_s=_LIMIT_S)
    if ended_by == INTERRUPTED:
        return None
    if ended_by == PROBE_LIMIT:
        return Unread(f"the cluster could not be read within {_LIMIT_S:g} s: the API server is slow, or silent")
    return found[0]


async def arrived(run: Examination, planned: PlannedCheck) -> Facts | Judgement:
    """Wait for the parts that a check needs, and discover anew.

    Returns:
        The facts to examine it on, or the verdict where there are none.
    """
    name = planned.requirement
    if not run.stage.awaits(name):
        return run.facts
    why_not = await run.stage.arrival(name, lambda state: run.emit(CheckAwaits(name, state)))
    if why_not:
        return Judgement("undecided", why_not)
    facts = await look(run.stage, f"discovery/{name}", run.facts.options)
    if facts is None:
        return Judgement("not run", INTERRUPTED)
    if isinstance(facts, Unread):
        return Judgement("undecided", facts.cause)
    run.found[name] = facts
    return facts


def all_seen(first: Facts, later: Sequence[Facts]) -> Facts:
    """The facts of the run's beginning, with the components and capabilities that were found later."""
    components = list(first.components)
    for facts in later:
        components += [found for found in facts.components if found not in components]
    simulated = sorted({because for facts in (first, *later) for because in facts.simulated})
    capabilities = first.capabilities
    for facts in later:
        capabilities = merged(capabilities, facts.capabilities)
    return dataclasses.replace(
        first, components=tuple(components), simulated=tuple(simulated), capabilities=capabilities
    )
