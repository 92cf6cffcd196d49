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
        return self.request.method not in {"GET", "HEAD", "OPTIONS"}


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
    """Group neighbours that differ only in their time, as polling makes them.

    Args:
        found: exchanges of a lane in order.
        apart: (lane, n) of exchanges that always stand alone, because an observation rests on them.
    """
    groups: list[list[Exchange]] = []
    for exchange in found:
        last = groups[-1][-1] if groups else None
        if (
            last is not None
            and not exchange.is_write
            and (exchange.lane, exchange.n) not in apart
            and (last.lane, last.n) not in apart
            and (last.request.method, last.target, last.status)
            == (exchange.request.method, exchange.target, exchange.status)
        ):
            groups[-1].append(exchange)
        else:
            groups.append([exchange])
    return [Run(tuple(group)) for group in groups]
