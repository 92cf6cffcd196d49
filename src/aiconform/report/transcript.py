"""Transcripts: from the lanes of the log to what the page shows of them, and the index of the blobs they name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiconform.evidence.records import NoteData, ResponseData
from aiconform.report.bodies import Shown, blob_or_reason, shown_body, shown_stream
from aiconform.report.exchanges import Exchange, Run, exchanges, runs
from aiconform.report.model import BlobLink, EvidenceView, ExchangeView, LaneView
from aiconform.report.paths import called
from aiconform.report.repeat import repeat_line
from aiconform.report.text import anchor, is_digest, size

if TYPE_CHECKING:
    from aiconform.evidence.records import Record
    from aiconform.report.source import Source

MAX_ENTRIES = 80
"""Most entries of a lane's transcript beside those that an observation rests on."""
BODY_BUDGET = 120_000
"""Most characters of bodies shown for one requirement."""
MAX_USES = 2
MAX_PIECES = 12
SMALL_ERROR = 4_000
ENDS = {"left": "closed once enough was seen", "cut off": "cut off when the probe ended"}
"""How the page says why a stream ended."""
SILENT_NOTES = frozenset({"begins", "ended"})
"""Notes that mark a place for a replay and tell a reader nothing."""


@dataclass
class Transcriber:
    """Turns lanes into transcripts and remembers which blobs they name.

    Attributes:
        source: the bundle.
        evidence_prefix: path from the page to the bundle's directory, empty or ending in a slash.
        keys: (lane, n) of the requests that observations rest on.
    """

    source: Source
    evidence_prefix: str
    keys: frozenset[tuple[str, int]]
    anchors: dict[tuple[str, int], tuple[str, str]] = field(default_factory=dict)
    _sizes: dict[str, int] = field(default_factory=dict)
    _used: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    _budget: int = BODY_BUDGET
    _seen: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._sizes = {file.path.rpartition("/")[2]: file.size for file in self.source.manifest.files}

    def new_requirement(self) -> None:
        """Start afresh with the budget for bodies."""
        self._budget = BODY_BUDGET
        self._seen = {}

    def lane(self, name: str, records: Sequence[Record], title: str) -> LaneView:
        """The transcript of one lane.

        Args:
            name: the lane.
            records: its records in order.
            title: how the page calls it.
        """
        found = exchanges(records)
        notes = (NoteData.model_validate(record.data).text for record in records if record.type == "note")
        grouped = runs(found, self.keys)
        kept = _keep(grouped, self.keys)
        return LaneView(
            lane=name,
            title=title,
            exchanges=tuple(self._entry(run) for run in kept),
            total=len(found),
            notes=tuple(text for text in notes if text not in SILENT_NOTES),
        )

    def evidence(self) -> tuple[EvidenceView, ...]:
        """Every blob that a transcript named, in the order of first use."""
        return tuple(
            EvidenceView(digest, self._sizes.get(digest, 0), tuple(uses[:MAX_USES]))
            for digest, uses in self._used.items()
        )

    def _entry(self, run: Run) -> ExchangeView:
        first, last = run.first, run.members[-1]
        own = anchor("x", first.lane, str(first.n))
        label = called(first.request)
        is_key = (first.lane, first.n) in self.keys
        for member in run.members:
            self.anchors[member.lane, member.n] = (own, f"{label} {member.status or 'no answer'}")
        response = first.response
        return ExchangeView(
            anchor=own,
            lane=first.lane,
            n=first.n,
            method=first.request.method,
            target=first.target,
            status=first.status,
            answer=_answer(first),
            at_us=first.started_us,
            took_us=first.ended_us - first.started_us,
            wall=first.wall,
            server_date=response.server_date if response else "",
            audit_id=first.request.audit_id,
            accept=first.request.accept,
            content_type=response.content_type if response else "",
            warnings=tuple(response.warnings) if response else (),
            request_body=self._link(first.request.body, own, f"{label}, request"),
            response_body=self._link(response.body if response else None, own, f"{label}, answer"),
            is_stream=first.request.stream,
            pieces=sum(1 for chunk in first.chunks if chunk.data.body),
            piece_bodies=self._pieces(first, own, label) if is_key else (),
            stream_end=_end(first),
            is_key=is_key,
            shown=tuple(self._shown(first, own, is_key=is_key)),
            repeat=repeat_line(first.request, self._file(first.request.body)),
            alike=len(run.members) - 1,
            alike_until_us=last.started_us,
        )

    def _link(self, digest: str | None, own: str, label: str) -> BlobLink | None:
        if not digest or not is_digest(digest):
            return None
        uses = self._used.setdefault(digest, [])
        if (own, label) not in uses:
            uses.append((own, label))
        return BlobLink(digest, self._sizes.get(digest, 0))

    def _pieces(self, exchange: Exchange, own: str, label: str) -> tuple[BlobLink, ...]:
        bodies = [chunk.data.body for chunk in exchange.chunks if chunk.data.body][:MAX_PIECES]
        links = (self._link(body, own, f"{label}, piece") for body in bodies)
        return tuple(link for link in links if link)

    def _file(self, digest: str | None) -> str:
        return f"{self.evidence_prefix}blobs/sha256/{digest}" if digest and is_digest(digest) else ""

    def _shown(self, exchange: Exchange, own: str, *, is_key: bool) -> Iterable[Shown]:
        request, response = exchange.request, exchange.response
        if request.body and exchange.is_write:
            yield self._body(request.body, "request body", own)
        if response and response.body and _is_worth_showing(exchange, response, is_key=is_key):
            yield self._body(response.body, "answer", own)
        if exchange.chunks and is_key:
            stream = shown_stream(exchange.chunks, self.source.blob)
            if stream is not None:
                yield self._afford(stream)

    def _body(self, digest: str, label: str, own: str) -> Shown:
        if digest in self._seen and self._seen[digest] != own:
            return Shown(label=label, left_out="the same bytes as shown further up")
        body = shown_body(blob_or_reason(self.source.blob, digest), label)
        shown = self._afford(body)
        if shown is body:
            self._seen[digest] = own
        return shown

    def _afford(self, shown: Shown) -> Shown:
        weight = len(shown.text) + sum(len(cell) for row in shown.rows for cell in row)
        if weight > self._budget:
            return Shown(label=shown.label, left_out=f"{size(weight)} left out to keep this page small")
        self._budget -= weight
        return shown


def _is_worth_showing(exchange: Exchange, response: ResponseData, *, is_key: bool) -> bool:
    """Refusals, tables that the server printed, and what an observation rests on, but no echo of what was sent."""
    if response.status >= 400:
        return is_key or response.body_size <= SMALL_ERROR
    return "as=Table" in exchange.request.accept or (is_key and not exchange.is_write)


def _keep(grouped: Sequence[Run], keys: frozenset[tuple[str, int]]) -> list[Run]:
    plain = 0
    kept = []
    for run in grouped:
        if (run.first.lane, run.first.n) not in keys:
            plain += 1
            if plain > MAX_ENTRIES:
                continue
        kept.append(run)
    return kept


def _end(exchange: Exchange) -> str:
    end = next((chunk.data.end for chunk in reversed(exchange.chunks) if chunk.data.end), "")
    return ENDS.get(end, end)


def _answer(exchange: Exchange) -> str:
    response = exchange.response
    if response is None:
        return "no answer recorded"
    if response.error:
        return response.error
    return f"{response.status} {response.reason}".strip()
