"""The preflight of a run: before anything is written, what it may do is asked, and all that is missing said at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from aiconform.engine.access import ENGINE, Access, costs, of_check, of_engine, review, told, words
from aiconform.engine.api import Api
from aiconform.engine.lane import INTERRUPTED, PROBE_LIMIT
from aiconform.engine.undecidable import UndecidableError
from aiconform.evidence.records import NoteData

if TYPE_CHECKING:
    from aiconform.engine.facts import Facts
    from aiconform.engine.model import Check
    from aiconform.engine.rights import Right
    from aiconform.engine.stage import Stage

LANE: Final = "preflight"
_BEGINS: Final = "begins"
_LIMIT_S: Final = 60.0


class PreflightError(UndecidableError):
    """The cluster cannot be read or written; nothing was changed, but for what ``left`` names.

    Attributes:
        left: what may be left on the cluster.
        details: further lines, such as every right that is missing.
        hint: the next step; empty for the usual one.
    """

    def __init__(self, cause: str, *, left: Sequence[str] = (), details: Sequence[str] = (), hint: str = "") -> None:
        super().__init__(cause)
        self.left = left
        self.details = details
        self.hint = hint


async def barred(stage: Stage, checks: Mapping[str, Check], facts: Facts | None, *, namespace: str) -> dict[str, str]:
    """Why checks cannot be examined for want of rights, by requirement.

    Args:
        stage: where the run takes place.
        checks: those that would be examined, by requirement.
        facts: what discovery found; None where it was refused.
        namespace: the name of the one the run will make.

    Raises:
        PreflightError: nothing can be examined.
    """
    if not checks or not stage.has(LANE):
        return {}
    # of a check whose parts are still to come all rights are asked, for what they serve is not served yet
    needed = {name: of_check(check, None if stage.awaits(name) else facts) for name, check in checks.items()}
    found = await _asked(stage, needed, namespace)
    if found is None or found.unknown:
        return {}  # then the first refusal will tell
    prices = costs(found.missing, needed)
    if any(names == (ENGINE,) for names in prices.values()):
        none, number = len(found.missing) == len(found.asked), len(found.asked)
        some = f"{len(found.missing)} of {number} rights are missing, and without some of them nothing can run"
        raise PreflightError(
            f"none of the {number} rights that are needed is given" if none else some,
            details=() if none else told(prices),
            hint="aiconform doctor --rbac prints the least role, for somebody who may create it",
        )
    return {
        name: words(lost)
        for name, rights in needed.items()
        if (lost := [right for right in rights if right in found.missing and not right.sometimes])
    }


async def _asked(stage: Stage, needed: Mapping[str, tuple[Right, ...]], namespace: str) -> Access | None:
    lane = stage.lane(LANE)
    lane.write(NoteData(text=_BEGINS))
    found: list[Access] = []

    async def work() -> None:
        wanted = [right for rights in (of_engine(), *needed.values()) for right in rights]
        try:
            found.append(await review(Api(lane), wanted, namespace=namespace))
        except UndecidableError as undecidable:
            raise PreflightError(f"cannot ask what we may do: {undecidable.cause}") from undecidable

    ended_by = await stage.bounded(lane, work, limit_s=_LIMIT_S)
    if ended_by == PROBE_LIMIT:
        raise PreflightError(f"access reviews were not answered within {_LIMIT_S:g} s")
    return None if ended_by == INTERRUPTED else found[0]
