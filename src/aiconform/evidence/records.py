"""The records of a bundle's log, and what each kind of record holds.

The log is JSON Lines; each line is one :class:`Record` in canonical form (RFC 8785) and names the SHA-256 of the line
before it. Records belong to lanes: a lane is strictly sequential, and a replay goes lane by lane.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

GENESIS = "0" * 64
"""What the first record names as its predecessor."""

RecordType = Literal[
    "plan", "request", "response", "chunk", "deadline", "note", "observation", "verdict", "cleanup", "seal"
]


class _Stored(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Record(_Stored):
    """One line of the log.

    ``data`` is the dump of the payload model that belongs to ``type`` (:data:`PAYLOADS`).
    """

    seq: int = Field(ge=0, description="position in the log, from 0, without gaps")
    prev: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the line before, without its newline")
    lane: str = Field(min_length=1, description="run, discovery, gang_scheduling/fits, cleanup/gang_scheduling ...")
    n: int = Field(ge=0, description="position in the lane, from 0, without gaps")
    type: RecordType
    mono: int = Field(ge=0, description="microseconds since the run began, by a monotonic clock")
    wall: str = Field(description="UTC, RFC 3339 with milliseconds and Z")
    data: dict[str, Any]


class PlanData(_Stored):
    """Record 0: commits the plan before the first request."""

    sha256: str


class RequestData(_Stored):
    """What was asked, as the check saw it: redacted names, no credentials."""

    method: str
    path: str = Field(description="absolute path without query")
    query: list[tuple[str, str]] = []
    accept: str = "application/json"
    content_type: str = ""
    body: str | None = Field(default=None, description="blob digest of the exact body")
    audit_id: str = Field(description="the Audit-ID header that we sent: <run>.<lane>.<n>")
    stream: bool = Field(default=False, description="answered by chunk records: a watch or a followed log")


class ResponseData(_Stored):
    """What came back. ``status`` is 0 where no answer came; ``error`` then says why."""

    status: int
    reason: str = ""
    content_type: str = ""
    server_date: str = ""
    audit_id: str = ""
    warnings: list[str] = []
    body: str | None = Field(default=None, description="blob digest of the body after redaction")
    body_size: int = 0
    error: str = Field(
        default="",
        description="timeout, refused, reset, tls ...; empty when an answer came, unless it was 401",
    )


class ChunkData(_Stored):
    """One piece of a stream: one watch event or a part of a followed log; ``end`` says why the stream ended."""

    body: str | None = None
    end: str = ""


class DeadlineData(_Stored):
    """A wait reached its limit."""

    waiting_for: str
    limit_s: float = Field(
        description="a wait's end, in seconds since the run began; for a probe's own limit, how long it is"
    )


class NoteData(_Stored):
    """Something the engine decided that a replay must repeat, for example a probe that was not run and why."""

    text: str


class RestsOn(_Stored):
    """A reference to one exchange: the request record ``n`` of ``lane``."""

    lane: str
    n: int


Outcome = Literal["passed", "failed", "undecided", "not run", "n/a"]


class SeriesData(_Stored):
    """Values over time, for a plot: what was read, as it was read."""

    name: str
    unit: str = Field(default="", description="as on an axis: '%', 'replicas', 's'; empty for a plain number")
    points: list[tuple[float, float]] = Field(description="pairs of seconds since the run began and value, in order")


class ObservationData(_Stored):
    """One comparison of what was expected with what was observed, and the exchanges it rests on."""

    expected: str
    observed: str
    outcome: Outcome
    cause: str = ""
    rests_on: list[RestsOn] = []
    figures: dict[str, str] = Field(default={}, description="side-by-side values for the page, by name")
    series: list[SeriesData] = Field(default=[], description="values over time, drawn on the page")
    window_s: float = Field(default=0.0, description="seconds of this that had to be watched, whatever the cluster did")

    @model_serializer(mode="wrap")
    def _without_nothing(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Most observations have neither series nor window: then neither is written."""
        fields: dict[str, Any] = dump(self)
        return {name: value for name, value in fields.items() if value or name not in ("series", "window_s")}


class VerdictData(_Stored):
    """The verdict on a probe (in its lane) or on a requirement (in lane ``verdict/<requirement>``)."""

    subject: str
    outcome: Outcome
    reason: str = ""


class CleanupData(_Stored):
    """What a clean-up removed, and what it could not."""

    removed: list[str] = []
    left: list[str] = []


class SealData(_Stored):
    """The last record: how the run ended, and the digests of the documents written with it."""

    plan_sha256: str
    verdicts_sha256: str
    records: int = Field(description="records in the log including this one")
    partial: bool = Field(default=False, description="the run was interrupted")


PAYLOADS: dict[str, type[_Stored]] = {
    "plan": PlanData,
    "request": RequestData,
    "response": ResponseData,
    "chunk": ChunkData,
    "deadline": DeadlineData,
    "note": NoteData,
    "observation": ObservationData,
    "verdict": VerdictData,
    "cleanup": CleanupData,
    "seal": SealData,
}
