"""Bodies as a reader can take them in: server-printed tables, readable objects, text, streams; long ones cut."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiconform.errors import BundleError
from aiconform.report.readable import readable
from aiconform.report.state import name_of, state_of
from aiconform.report.text import clock, decode, one_line, size

if TYPE_CHECKING:
    from aiconform.report.exchanges import Chunk

MAX_CHARACTERS = 3_000
MAX_LINES = 60
MAX_ROWS = 40
MAX_EVENTS = 12
MAX_CELL = 200
MAX_PRETTY = 200_000
"""Largest body, in bytes, that is indented: of more, only the beginning is shown anyway."""


@dataclass(frozen=True)
class Shown:
    """A body as shown: a table where ``columns`` is not empty, else text.

    ``left_out`` says what was left out, in words, and is empty where nothing was.
    """

    label: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    text: str = ""
    left_out: str = ""


def shown_body(data: bytes, label: str) -> Shown:
    """Show one body, by what it holds rather than by what its header claims.

    Args:
        data: the exact bytes.
        label: what it is, such as ``answer``.
    """
    parsed = _parse(data)
    if isinstance(parsed, dict) and parsed.get("kind") == "Table":
        table = _table(parsed, label)
        if table is not None:
            return table
    listed = _listed(parsed, label) if isinstance(parsed, dict) else None
    if listed is not None:
        return listed
    if isinstance(parsed, dict | list) and len(data) <= MAX_PRETTY:
        with suppress(RecursionError):
            # This changes the length, so what is left out is counted in what is shown.
            return _cut(readable(_status_first(parsed)), label)
    return _cut(decode(data), label)


def shown_stream(chunks: Sequence[Chunk], blob: Callable[[str], bytes]) -> Shown | None:
    """Show a stream: a watch as a table of events, a followed log as text.

    Args:
        chunks: its pieces in order.
        blob: gives the bytes of a digest.
    """
    pieces = [(chunk.at_us, blob_or_reason(blob, chunk.data.body)) for chunk in chunks if chunk.data.body]
    events = [(at, event) for at, event in ((at, _parse(data)) for at, data in pieces) if _is_event(event)]
    if pieces and len(events) == len(pieces):
        return _events(events)
    if pieces:
        return _cut(decode(b"".join(data.rstrip(b"\n") + b"\n" for _, data in pieces)), "stream")
    return None


def blob_or_reason(blob: Callable[[str], bytes], digest: str) -> bytes:
    """The bytes of a digest, or the reason why they cannot be shown: a report never fails on one bad blob."""
    try:
        return blob(digest)
    except (BundleError, KeyError, OSError) as error:
        return f"(not shown: {error})".encode()


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _parse(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _cut(text: str, label: str) -> Shown:
    kept = "\n".join(text[:MAX_CHARACTERS].split("\n")[:MAX_LINES])
    missing = len(text.encode("utf-8", "backslashreplace")) - len(kept.encode("utf-8", "backslashreplace"))
    return Shown(label=label, text=kept, left_out=f"{size(missing)} left out" if missing else "")


def _table(body: Mapping[str, Any], label: str) -> Shown | None:
    columns = [column for column in _items(body.get("columnDefinitions")) if isinstance(column, dict)]
    visible = [index for index, column in enumerate(columns) if not column.get("priority")]
    if not visible:
        return None
    rows = [_items(row.get("cells")) for row in _items(body.get("rows")) if isinstance(row, dict)]
    shown = [tuple(_cell(cells[index]) if index < len(cells) else "" for index in visible) for cells in rows]
    names = tuple(str(columns[index].get("name", "")) for index in visible)
    more = len(shown) - MAX_ROWS
    return Shown(
        label=label,
        columns=names,
        rows=tuple(shown[:MAX_ROWS]),
        left_out=f"{more} rows left out" if more > 0 else "",
    )


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return one_line(value, MAX_CELL)
    return one_line(json.dumps(value, ensure_ascii=False), MAX_CELL)


def _is_event(parsed: Any) -> bool:
    return isinstance(parsed, dict) and isinstance(parsed.get("type"), str) and isinstance(parsed.get("object"), dict)


def _events(events: Sequence[tuple[int, Any]]) -> Shown:
    header: tuple[str, ...] = ("Object", "State")
    rows: list[tuple[str, ...]] = []
    columns: Any = None
    for at, event in events:
        body = event["object"]
        if body.get("kind") == "Table":
            # Only the first event of a watch for tables names the columns.
            columns = body.get("columnDefinitions") or columns
            table = _table({**body, "columnDefinitions": columns}, "")
            if table is not None:
                header = table.columns
                rows += [(clock(at), event["type"], *row) for row in table.rows]
                continue
        rows.append((clock(at), event["type"], name_of(body), state_of(body)))
    width = 2 + len(header)
    even = [row + ("",) * (width - len(row)) if len(row) <= width else row[:width] for row in rows]
    head, tail = even[: MAX_EVENTS // 3], even[MAX_EVENTS // 3 :][-(MAX_EVENTS * 2 // 3) :]
    more = len(even) - len(head) - len(tail)
    return Shown(
        label="stream",
        columns=("At", "Event", *header),
        rows=tuple(head + tail),
        left_out=f"{more} events left out after the first {len(head)}" if more else "",
    )


def _listed(body: Mapping[str, Any], label: str) -> Shown | None:
    """A list of objects as a table of their states, where they have any."""
    items = [item for item in _items(body.get("items")) if isinstance(item, dict)]
    kind = str(body.get("kind", "")).removesuffix("List")
    rows = [(name_of({"kind": kind, **item}), state_of(item)) for item in items]
    if not any(state for _, state in rows):
        return None
    more = len(rows) - MAX_ROWS
    return Shown(
        label=f"{label}, the state of {len(rows)} {'object' if len(rows) == 1 else 'objects'}",
        columns=("Object", "State"),
        rows=tuple(rows[:MAX_ROWS]),
        left_out=f"{more} rows left out" if more > 0 else "",
    )


def _status_first(body: Any) -> Any:
    """The same object with its status before its specification, where a cut would hide it."""
    if not isinstance(body, dict) or "status" not in body or "spec" not in body:
        return body
    rest = {name: value for name, value in body.items() if name not in {"status", "spec"}}
    return {**rest, "status": body["status"], "spec": body["spec"]}
