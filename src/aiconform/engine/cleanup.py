"""Removing what a run made: exactly that, by uid, and named where it will not go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiconform.engine import waits
from aiconform.engine.api import Api, Handle, Obj
from aiconform.engine.events import CleaningUp
from aiconform.engine.model import State
from aiconform.engine.undecidable import UndecidableError
from aiconform.evidence.records import CleanupData

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiconform.engine.events import Emit
    from aiconform.engine.lane import Lane

GONE_WITHIN_S = 120.0


async def remove(lane: Lane, handles: Sequence[Handle], emit: Emit, *, within_s: float = GONE_WITHIN_S) -> CleanupData:
    """Delete these objects, last made first, and watch until they are gone.

    What cannot be deleted, or is still there at the limit, is named in the result; nothing is raised for it and no
    finalizer is touched.
    """
    api = Api(lane)
    limit = lane.now + within_s
    removed: list[str] = []
    left: list[str] = []
    pending: list[Handle] = []
    for handle in reversed(handles):
        try:
            await api.delete(handle)
            pending.append(handle)
        except UndecidableError as problem:
            left.append(f"{handle} ({problem.cause})")
    for number, handle in enumerate(pending):
        emit(CleaningUp(len(removed), [str(waiting) for waiting in pending[number:]]))
        why_not = await _gone(api, handle, limit)
        if why_not:
            left.append(f"{handle} ({why_not})")
        else:
            removed.append(str(handle))
    emit(CleaningUp(len(removed), []))
    return CleanupData(removed=removed, left=left)


async def _gone(api: Api, handle: Handle, limit: float) -> str:
    """Wait until an object is gone; returns why it is not."""
    target = waits.Target(handle.kind, handle.namespace, {}, f"metadata.name={handle.name}")

    def absent(objects: list[Obj]) -> State:
        mine = [obj for obj in objects if obj["metadata"]["uid"] == handle.uid]
        if not mine:
            return State("met", "gone")
        finalizers = mine[0]["metadata"].get("finalizers") or []
        return State("waiting", f"still there, finalizers: {', '.join(finalizers) or 'none'}")

    try:
        end = await waits.watch(
            api, target, absent, limit=limit, waiting_for=f"{handle} to be gone", tell=lambda _: None
        )
    except UndecidableError as problem:
        return problem.cause
    return "" if end.state.outcome == "met" else end.state.observed
