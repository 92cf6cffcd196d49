"""Lists page by page: for kinds of which there may be so many that one answer would be too large."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from aiconform.engine.api import PAGE, Api, Obj, selectors
from aiconform.engine.undecidable import RefusedError

if TYPE_CHECKING:
    from aiconform.engine.kinds import Kind

Objects = list[Obj]
_STALE: Final = 3
_GONE: Final = 410


async def pages(api: Api, kind: Kind, *, size: int = PAGE, fields: str = "") -> AsyncIterator[Objects]:
    """The objects of a kind of all namespaces, so many at a time, each held against what was asked.

    Raises:
        UndecidableError: they cannot be read.
    """
    query, token = selectors(None, fields), ""
    while True:
        items, _, token = await api.page_of_list(kind, "", query, token=token, size=size)
        yield [api.verified({"apiVersion": kind.api_version, "kind": kind.kind, **item}, kind, "") for item in items]
        if not token:
            return


async def every(api: Api, kind: Kind, *, size: int = PAGE, without: frozenset[str] = frozenset()) -> Objects:
    """All objects of a kind, without these fields of their status; begun anew where the list went stale (410).

    Raises:
        UndecidableError: they cannot be read, or the list went stale three times.
    """
    for turn in range(_STALE):
        try:
            return [_slim(item, without) async for page in pages(api, kind, size=size) for item in page]
        except RefusedError as refused:
            if refused.status != _GONE or turn == _STALE - 1:
                raise
    return []


def _slim(obj: Obj, without: frozenset[str]) -> Obj:
    meta = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    status = {key: value for key, value in (obj.get("status") or {}).items() if key not in without}
    return {**obj, "metadata": meta, "status": status}
