"""The preflight of a run, before anything is written: what it may do, and whether what it makes could be removed again.

All rights that are missing are said at once. What a reader should know of the cluster goes into the bundle.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from aiconform.engine import api_services, clocks
from aiconform.engine.access import ENGINE, Access, costs, of_check, of_engine, review, told, words
from aiconform.engine.api import Api
from aiconform.engine.api_services import Services
from aiconform.engine.lane import INTERRUPTED
from aiconform.engine.rights import together
from aiconform.engine.undecidable import UndecidableError
from aiconform.evidence.records import NoteData

if TYPE_CHECKING:
    from aiconform.engine.facts import Facts
    from aiconform.engine.lane import Lane
    from aiconform.engine.model import Check
    from aiconform.engine.rights import Right
    from aiconform.engine.stage import Stage

Answered = TypeVar("Answered")

LANE: Final = "preflight"
_BEGINS: Final = "begins"
_LIMIT_S: Final = 60.0
_SLOW: Final = f"not every access review was answered within {_LIMIT_S:g} s"


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


@dataclass(frozen=True)
class Cleared:
    """What a run may begin with.

    Attributes:
        barred: why checks cannot be examined for want of rights, by requirement.
        remarks: what a reader should know of the cluster as the run began.
    """

    barred: Mapping[str, str]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Found:
    access: Access
    services: Services | UndecidableError
    ahead_s: float


async def cleared(stage: Stage, checks: Mapping[str, Check], facts: Facts | None, *, namespace: str) -> Cleared:
    """Look whether a run may begin, and for which checks.

    Args:
        stage: where the run takes place.
        checks: those that would be examined, by requirement.
        facts: what discovery found; None where it was refused.
        namespace: the name of the one the run will make.

    Raises:
        PreflightError: nothing can be examined, or what the run makes could not be removed.
    """
    if not checks or not stage.has(LANE):
        return Cleared({})
    # of a check whose parts are still to come all rights are asked, for what they serve is not served yet
    needed = {name: of_check(check, None if stage.awaits(name) else facts) for name, check in checks.items()}
    found = await _looked(stage, needed, namespace)
    if found is None:
        return Cleared({})
    barred = _barred(found.access, needed)
    # a part of the cluster that is coming up may have its API service already, and no server yet
    if isinstance(found.services, Services) and not any(map(stage.awaits, checks)):
        _removable(found.services)
    return Cleared(barred, tuple(_remarks(found)))


def _barred(access: Access, needed: Mapping[str, tuple[Right, ...]]) -> dict[str, str]:
    if access.unknown:
        return {}  # then the first refusal will tell
    prices = costs(access.missing, needed)
    if any(names == (ENGINE,) for names in prices.values()):
        none, number = len(access.missing) == len(access.asked), len(access.asked)
        some = f"{len(access.missing)} of {number} rights are missing, and without some of them nothing can run"
        raise PreflightError(
            f"none of the {number} rights that are needed is given" if none else some,
            details=() if none else told(prices),
            hint="aiconform doctor --rbac prints the least role, for somebody who may create it",
        )
    return {
        name: words(lost)
        for name, rights in needed.items()
        if (lost := [right for right in rights if right in access.missing and not right.sometimes])
    }


def _removable(services: Services) -> None:
    if services.silent:
        details = tuple(f"API service {one}" for one in services.silent)
        raise PreflightError(f"API services: {services.said}", details=details, hint=api_services.HINT)


def _remarks(found: _Found) -> Iterator[str]:
    if abs(found.ahead_s) > clocks.FAR_S:
        yield f"the API server's clock is {clocks.words(found.ahead_s)}: its times and ours do not compare"
    if found.access.unknown:
        yield f"whether all rights are given is not known: {found.access.unknown}"
    if isinstance(found.services, UndecidableError):
        yield f"{api_services.NOT_KNOWN}: {found.services.cause}"


async def _looked(stage: Stage, needed: Mapping[str, tuple[Right, ...]], namespace: str) -> _Found | None:
    """Look at all of it, each within its own limit; None if the run was interrupted."""
    lane = stage.lane(LANE)
    lane.write(NoteData(text=_BEGINS))
    api = Api(lane)
    wanted = together(of_engine(), *needed.values())
    ended_by, access = await _within(stage, lane, lambda: _reviewed(api, wanted, namespace))
    if ended_by == INTERRUPTED:
        return None
    ended_by, services = await _within(stage, lane, lambda: _services(api))
    if ended_by == INTERRUPTED:
        return None
    if services is None:
        raise PreflightError(f"the API server did not say within {_LIMIT_S:g} s whether its API services are available")
    return _Found(access or Access(wanted, (), _SLOW), services, clocks.ahead_s(api.skews_s))


async def _within(stage: Stage, lane: Lane, ask: Callable[[], Awaitable[Answered]]) -> tuple[str, Answered | None]:
    """What ended it early, if anything did, and else what came of it."""
    found: list[Answered] = []

    async def work() -> None:
        found.append(await ask())

    ended_by = await stage.bounded(lane, work, limit_s=_LIMIT_S)
    return ended_by, None if ended_by else found[0]


async def _reviewed(api: Api, wanted: Sequence[Right], namespace: str) -> Access:
    try:
        return await review(api, wanted, namespace=namespace)
    except UndecidableError as undecidable:
        raise PreflightError(f"cannot ask what we may do: {undecidable.cause}") from undecidable


async def _services(api: Api) -> Services | UndecidableError:
    """All API services, or why they are not known: that alone keeps no run from its work."""
    try:
        return await api_services.look(api)
    except UndecidableError as problem:
        return problem
