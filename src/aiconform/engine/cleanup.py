"""Removing what a run made: exactly that, by uid, and named where it will not go."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiconform.engine import waits
from aiconform.engine.api import Api, Handle, Obj
from aiconform.engine.blockers import blockers
from aiconform.engine.events import CleaningUp
from aiconform.engine.lane import TimeUp
from aiconform.engine.model import State
from aiconform.engine.undecidable import RefusedError, UndecidableError
from aiconform.evidence.records import CleanupData

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from aiconform.engine.events import Emit
    from aiconform.engine.lane import Lane

GONE_WITHIN_S = 120.0
EXPLAINED_AFTER_S = 30.0
"""What is still there then is explained while we go on waiting."""
_AGAIN_AFTER_S = (1.0, 2.0, 4.0, 8.0)
"""Pauses before what was refused is asked for again."""


async def remove(lane: Lane, handles: Sequence[Handle], emit: Emit, *, within_s: float = GONE_WITHIN_S) -> CleanupData:
    """Delete these objects, last made first, and watch until they are gone.

    What cannot be deleted, or is still there at the limit, is named in the result with what holds it; nothing is raised
    for it and no finalizer is touched.
    """
    api = Api(lane)
    limit = lane.now + within_s
    fates = _Fates(api)
    refused: list[Handle] = []
    pending: list[Handle] = []
    for handle in reversed(handles):
        try:
            await api.delete(handle)
            pending.append(handle)
        except UndecidableError:
            refused.append(handle)
    soon = min(limit, lane.now + EXPLAINED_AFTER_S)
    for number, handle in enumerate(pending):
        emit(CleaningUp(len(fates.removed), [str(waiting) for waiting in pending[number:]]))
        why_not = await _gone(api, handle, soon)
        if why_not and soon < limit:
            held = await _held_by(api, handle, why_not)
            emit(CleaningUp(len(fates.removed), [str(waiting) for waiting in pending[number:]], held))
            why_not = await _gone(api, handle, limit)
        await fates.note(handle, why_not)
    await _insist(fates, refused, limit)
    emit(CleaningUp(len(fates.removed), []))
    return CleanupData(removed=fates.removed, left=fates.left)


@dataclass
class _Fates:
    """What became of objects: the names of those that are gone, and of the others with what holds them."""

    api: Api
    removed: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    async def note(self, handle: Handle, why_not: str) -> None:
        """Put down that an object is gone or, after it was waited for in vain, what holds it."""
        held = await _held_by(self.api, handle, why_not) if why_not else ()
        if held:
            self.left.append(f"{handle} ({'; '.join(held)})")
        else:
            self.removed.append(str(handle))


async def _insist(fates: _Fates, refused: Sequence[Handle], limit: float) -> None:
    """Delete what was refused again and again for a while.

    An answer that was lost may have been a yes, and one that makes no sense is seldom given for long.
    """
    api = fates.api
    causes: dict[Handle, str] = dict.fromkeys(refused, "")
    async for _ in tries(api.lane, limit):
        for handle in list(causes):
            try:
                why_not = "" if await _is_gone(api, handle) else await _deleted(api, handle)
            except UndecidableError as problem:
                causes[handle] = problem.cause
                continue
            del causes[handle]
            await fates.note(handle, why_not)
        if not causes:
            break
    fates.left += [f"{handle} ({cause})" for handle, cause in causes.items()]


async def _deleted(api: Api, handle: Handle) -> str:
    """Delete an object and wait until it is gone; returns why it is not.

    Raises:
        UndecidableError: its deletion was refused.
    """
    await api.delete(handle)
    return await _gone(api, handle, api.lane.now + EXPLAINED_AFTER_S)


async def tries(lane: Lane, limit: float) -> AsyncIterator[None]:
    """Now, and again after pauses of seconds, until ``limit``: for what must not fail by one answer without sense."""
    yield
    for pause_s in _AGAIN_AFTER_S:
        try:
            await lane.pause(pause_s, limit=limit, waiting_for="another try to remove what is left")
        except TimeUp:
            return
        yield


async def _is_gone(api: Api, handle: Handle) -> bool:
    try:
        found = await api.read(handle.kind, handle.name, handle.namespace)
    except RefusedError as missing:
        return missing.status == 404
    except UndecidableError:
        return False
    return bool(found["metadata"]["uid"] != handle.uid)


async def _held_by(api: Api, handle: Handle, why_not: str) -> tuple[str, ...]:
    """What holds an object, or at least how it was last seen; nothing if it is gone after all."""
    try:
        found = await blockers(api, handle)
    except UndecidableError as problem:
        return (f"what holds it is not known: {problem.cause}",)
    return () if found is None else tuple(found or [why_not])


async def _gone(api: Api, handle: Handle, limit: float) -> str:
    """Wait until an object is gone; returns why it is not, or is not known to be."""
    target = waits.Target(handle.kind, handle.namespace, {}, f"metadata.name={handle.name}")

    def absent(objects: list[Obj]) -> State:
        mine = [obj for obj in objects if obj["metadata"]["uid"] == handle.uid]
        if not mine:
            return State("met", "gone")
        finalizers = mine[0]["metadata"].get("finalizers") or []
        return State("waiting", f"still there, finalizers: {', '.join(finalizers) or 'none'}")

    why_not = ""
    async for _ in tries(api.lane, limit):
        try:
            end = await waits.watch(
                api, target, absent, limit=limit, waiting_for=f"{handle} to be gone", tell=lambda _: None
            )
        except UndecidableError as problem:
            why_not = problem.cause
        else:
            return "" if end.state.outcome == "met" else end.state.observed
    return why_not
