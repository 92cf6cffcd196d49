"""Waits: watch a selection of objects until a condition holds, or for as long as it must not.

Nothing is sampled: a list, then a watch from its resourceVersion, and again when the watch ends.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiconform.engine.api import Api, Obj, selectors
from aiconform.engine.lane import TEXT, Ask, Piece, Stream, TimeUp
from aiconform.engine.model import State
from aiconform.engine.undecidable import RefusedError, UndecidableError, UnusableError
from aiconform.evidence.strictjson import StrictJSONError, loads

if TYPE_CHECKING:
    from aiconform.engine.kinds import Kind

Condition = Callable[[list[Obj]], State]
Tell = Callable[[str], None]

SILENCE_S = 60.0
"""A watch that says nothing for so long may be dead: everything is read anew."""
_EARLY_S = 0.1
"""A wait may end so much before its limit, as clocks go."""
_TRY_AGAIN = (410, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Target:
    """A selection of objects to watch."""

    kind: Kind
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    fields: str = ""


@dataclass(frozen=True)
class WaitEnd:
    """How a wait ended: by the condition (``limit_reached`` False) or by its limit, and what was seen last.

    ``sure`` is False where the state says that what was seen last cannot be relied on.
    """

    state: State
    objects: list[Obj]
    limit_reached: bool
    sure: bool = True


async def watch(
    api: Api, target: Target, condition: Condition, *, limit: float, waiting_for: str, tell: Tell
) -> WaitEnd:
    """Watch until the condition is met or wrong, or until ``limit`` (seconds since the run began).

    Raises:
        UndecidableError: the selection cannot be watched.
    """
    state = State("nothing", "nothing was seen")
    objects: list[Obj] = []
    try:
        # closed explicitly: a watch left open by an abandoned generator would end at an unrecorded moment
        async with aclosing(_snapshots(api, target, limit=limit, waiting_for=waiting_for)) as snapshots:
            async for seen in snapshots:
                objects = seen
                state = condition(objects)
                tell(state.observed)
                if state.outcome in ("met", "wrong"):
                    return WaitEnd(state, objects, limit_reached=False)
    except TimeUp:
        pass
    return WaitEnd(state, objects, limit_reached=True)


async def confirmed(api: Api, target: Target, condition: Condition, end: WaitEnd, *, limit: float) -> WaitEnd:
    """What a wait came to, read anew where it ended at its limit and would count as failed.

    A watch that tells nothing may have broken off unnoticed, and what it told last may be long past. Nothing tells
    since when a condition is met that only reading anew shows: in time or not, so that is left undecided.
    """
    # a replay with other answers ends where the log has nothing more: the limit was not reached, and nothing read anew
    at_limit = end.limit_reached and api.lane.now >= limit - _EARLY_S
    if not at_limit or end.state.outcome != "waiting":
        return end
    try:
        objects, _ = await api.list(target.kind, target.namespace, labels=target.labels, fields=target.fields)
    except UndecidableError as problem:
        doubt = State("nothing", f"{end.state.observed} when last told of (reading it anew: {problem.cause})")
        return WaitEnd(doubt, end.objects, limit_reached=True, sure=False)
    state = condition(objects)
    if state.outcome == "met":
        doubt = State("blocked", f"{state.observed} when read anew at the end, of which no watch had told")
        return WaitEnd(doubt, objects, limit_reached=True, sure=False)
    return WaitEnd(state, objects, limit_reached=True)


async def _snapshots(api: Api, target: Target, *, limit: float, waiting_for: str) -> AsyncGenerator[list[Obj], None]:
    while True:
        items, version = await api.list(target.kind, target.namespace, labels=target.labels, fields=target.fields)
        known = {item["metadata"]["uid"]: item for item in items}
        yield _sorted(known)
        remaining = max(1, int(limit - api.lane.now) + 1)
        query = (
            *selectors(target.labels, target.fields),
            ("watch", "true"),
            ("resourceVersion", version),
            ("allowWatchBookmarks", "true"),
            ("timeoutSeconds", str(remaining)),
        )
        ask = Ask("GET", target.kind.path(target.namespace), query)
        async with api.lane.stream(ask) as stream:
            api.asked.append(stream.n)
            ended = False
            while not ended:
                piece = await _next(api, stream, limit=limit, waiting_for=waiting_for)
                if piece is None or stream.status in _TRY_AGAIN:
                    break
                if piece.body:
                    if stream.status != 200:
                        raise RefusedError(f"watch {target.kind.plural}", stream.status, "", "")
                    changed, ended = _apply(api, target, known, piece.body)
                    if changed:
                        yield _sorted(known)
                ended = ended or bool(piece.end)
        await api.lane.pause(0.2, limit=limit, waiting_for=waiting_for)


async def _next(api: Api, stream: Stream, *, limit: float, waiting_for: str) -> Piece | None:
    """The next piece of a watch; None where it was silent for too long."""
    patience = api.lane.now + SILENCE_S
    if limit <= patience:
        return await stream.next(limit=limit, waiting_for=waiting_for)
    try:
        return await stream.next(limit=patience, waiting_for="a word from the watch")
    except TimeUp:
        # a replay with other answers reads on where the log has nothing more: that is no silence
        if api.lane.now < patience - 0.5:
            raise
        return None


def _apply(api: Api, target: Target, known: dict[str, Obj], line: bytes) -> tuple[bool, bool]:
    """Apply a watch event to what is known; returns whether that changed, and whether the watch is over."""
    try:
        event = loads(line)
    except StrictJSONError as problem:
        raise UnusableError(f"watch of {target.kind.plural}: an event is no JSON: {problem}") from problem
    if not isinstance(event, dict) or not isinstance(event.get("object"), dict):
        raise UnusableError(f"watch of {target.kind.plural}: an event has no object")
    what, obj = event.get("type"), event["object"]
    if what == "BOOKMARK":
        return False, False
    if what == "ERROR":
        if obj.get("code") in _TRY_AGAIN:
            return False, True
        raise RefusedError(f"watch {target.kind.plural}", int(obj.get("code") or 0), str(obj.get("reason")), "")
    # a DELETED event carries the object's last state; its labels may be gone with it, so they are not asked for
    labels = target.labels if what != "DELETED" else None
    api.verified(obj, target.kind, target.namespace, labels=labels)
    if what == "DELETED":
        known.pop(obj["metadata"]["uid"], None)
    elif what in ("ADDED", "MODIFIED"):
        known[obj["metadata"]["uid"]] = obj
    else:
        raise UnusableError(f"watch of {target.kind.plural}: unknown event type {what}")
    return True, False


def _sorted(known: dict[str, Obj]) -> list[Obj]:
    return sorted(known.values(), key=lambda obj: (obj["metadata"].get("namespace", ""), obj["metadata"]["name"]))


async def follow_log(api: Api, path: str, query: tuple[tuple[str, str], ...], *, end: str, limit: float) -> str | None:
    """Follow a log until the line ``end``; returns the text before it, or None if the log ended without it.

    Raises:
        TimeUp: at the limit.
        UndecidableError: the log cannot be read.
    """
    text: list[str] = []
    async with api.lane.stream(Ask("GET", path, (*query, ("follow", "true")), TEXT)) as stream:
        api.asked.append(stream.n)
        while True:
            piece = await stream.next(limit=limit, waiting_for="the log's last line")
            if stream.status != 200:
                raise UndecidableError(
                    f"log {path}: answered {stream.status or 'nothing'}: {piece.body.decode(errors='replace')}"
                )
            line = piece.body.decode("utf-8", "replace").rstrip("\n")
            if line == end:
                return "\n".join(text)
            if piece.end:
                return None
            text.append(line)
