"""Exchanges: requests of a lane with what came back for each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiconform.evidence.records import ChunkData, DeadlineData, RequestData, ResponseData

if TYPE_CHECKING:
    from aiconform.evidence.records import Record


@dataclass(frozen=True)
class Chunk:
    """One piece of a stream and when it arrived (microseconds since the run began)."""

    at_us: int
    data: ChunkData


@dataclass(frozen=True)
class Exchange:
    """A request, its answer if there was one, and the pieces of its stream."""

    lane: str
    n: int
    seq: int
    wall: str
    started_us: int
    request: RequestData
    ended_us: int
    response: ResponseData | None = None
    chunks: tuple[Chunk, ...] = ()

    @property
    def target(self) -> str:
        """Path and query as sent, readable: values are not percent-encoded again."""
        if not self.request.query:
            return self.request.path
        return self.request.path + "?" + "&".join(f"{name}={value}" for name, value in self.request.query)

    @property
    def status(self) -> int:
        """HTTP status, 0 where no answer came."""
        return self.response.status if self.response else 0

    @property
    def is_write(self) -> bool:
        """Whether it changes something on the cluster."""
        return self.request.method not in {"GET", "HEAD", "OPTIONS", "IMPORT"}


@dataclass(frozen=True)
class Wait:
    """A wait that reached its limit."""

    at_us: int
    waiting_for: str


@dataclass
class _Open:
    record: Record
    request: RequestData
    ended_us: int
    response: ResponseData | None = None
    chunks: list[Chunk] | None = None

    def closed(self) -> Exchange:
        return Exchange(
            lane=self.record.lane,
            n=self.record.n,
            seq=self.record.seq,
            wall=self.record.wall,
            started_us=self.record.mono,
            request=self.request,
            ended_us=self.ended_us,
            response=self.response,
            chunks=tuple(self.chunks or ()),
        )


def exchanges(records: Iterable[Record]) -> list[Exchange]:
    """The exchanges of one lane, in order.

    A lane is strictly sequential, so an answer and the pieces of a stream belong to the last request before them.
    """
    found: list[_Open] = []
    for record in records:
        if record.type == "request":
            found.append(_Open(record, RequestData.model_validate(record.data), record.mono))
        elif not found:
            continue
        elif record.type == "response":
            found[-1].response = ResponseData.model_validate(record.data)
            found[-1].ended_us = record.mono
        elif record.type == "chunk":
            last = found[-1]
            last.chunks = [*(last.chunks or []), Chunk(record.mono, ChunkData.model_validate(record.data))]
            last.ended_us = record.mono
    return [entry.closed() for entry in found]


def waits(records: Iterable[Record]) -> list[Wait]:
    """The waits of one lane that reached their limit, in order."""
    found = []
    for record in records:
        if record.type == "deadline":
            data = DeadlineData.model_validate(record.data)
            found.append(Wait(record.mono, data.waiting_for))
    return found


@dataclass(frozen=True)
class Run:
    """Neighbouring exchanges that asked the same and were answered with the same status."""

    members: tuple[Exchange, ...]

    @property
    def first(self) -> Exchange:
        """The first of them."""
        return self.members[0]


def runs(found: Sequence[Exchange], apart: frozenset[tuple[str, int]]) -> list[Run]:
    """Group what differs only in its time, as polling makes it: neighbours, and rounds of several requests.

    Args:
        found: exchanges of a lane in order.
        apart: (lane, n) of exchanges that always stand alone, because an observation rests on them.
    """
    groups: list[list[Exchange]] = []
    round_of: dict[tuple[str, str, int], list[Exchange]] = {}
    for exchange in found:
        same = (exchange.request.method, exchange.target, exchange.status)
        alone = exchange.is_write or exchange.request.stream
        if alone:
            round_of = {}  # what comes after a change is looked at anew
        if alone or (exchange.lane, exchange.n) in apart:
            groups.append([exchange])
        elif same in round_of:
            round_of[same].append(exchange)
        else:
            groups.append([exchange])
            round_of[same] = groups[-1]
    return [Run(tuple(group)) for group in groups]
