"""Whether the records of each lane follow one another as an engine writes them: no answer without a question."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from aiconform.evidence import layout
from aiconform.evidence.reader import Bundle, payload
from aiconform.evidence.records import ChunkData, ObservationData, Record, RequestData, ResponseData

CUT = "cut off"
"""The error of a response that was in flight when its probe was ended: nothing of a stream follows it."""


def lane_findings(bundle: Bundle) -> Iterator[tuple[str, str]]:
    """What is out of order in the lanes: file and what is wrong."""
    requests = {(record.lane, record.n) for record in bundle.records if record.type == "request"}
    for lane, records in sorted(bundle.lanes.items()):
        yield from _paired(records)
        for record in records:
            data = payload(record)
            if isinstance(data, RequestData) and data.audit_id != layout.audit_id(bundle.plan.run, lane, record.n):
                yield _line(record), "has an Audit-ID that is not of this run and place"
            if isinstance(data, ObservationData):
                for rests in data.rests_on:
                    if (rests.lane, rests.n) not in requests:
                        yield _line(record), f"rests on request {rests.n} of lane {rests.lane}, which is not in the log"


class _Order:
    """Follows one lane: which question waits for its answer, which stream is open."""

    def __init__(self) -> None:
        self._asked: Record | None = None
        self._open: Record | None = None
        self._streams = False

    def step(self, record: Record) -> Iterator[tuple[str, str]]:
        """Take the next record; what is wrong with its place."""
        data = payload(record)
        if self._asked is not None and not isinstance(data, ResponseData):
            yield _line(self._asked), f"asks, and {_line(record)} follows in the lane instead of the answer"
            self._asked = None
        if self._open is not None and record.type not in ("chunk", "deadline"):
            yield _line(record), f"stands within the stream that {_line(self._open)} opens"
            self._open = None
        if isinstance(data, RequestData):
            self._asked, self._streams = record, data.stream
        elif isinstance(data, ResponseData):
            if self._asked is None:
                yield _line(record), "answers nothing that was asked"
            self._open = self._asked if self._streams and data.error != CUT else None
            self._asked = None
        elif isinstance(data, ChunkData) and self._open is None:
            yield _line(record), "is a piece of no open stream"
        if record.type == "deadline" or (isinstance(data, ChunkData) and data.end):
            self._open = None

    def end(self) -> Iterator[tuple[str, str]]:
        """The lane is over; what is still open."""
        if self._asked is not None:
            yield _line(self._asked), "asks, and the lane ends without the answer"
        if self._open is not None:
            yield _line(self._open), "opens a stream that the lane does not end"


def _paired(records: Sequence[Record]) -> Iterator[tuple[str, str]]:
    order = _Order()
    for record in records:
        yield from order.step(record)
    yield from order.end()


def _line(record: Record) -> str:
    return f"{layout.LOG} line {record.seq + 1}"
