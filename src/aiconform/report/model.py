"""What every report shows, worked out once: the page, the Markdown, the JSON and the JUnit file differ in form only."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiconform.evidence.documents import ClusterFacts, Level, ProbeKind
    from aiconform.evidence.records import Outcome
    from aiconform.report.bodies import Shown
    from aiconform.report.images import Ran
    from aiconform.report.objects import Created
    from aiconform.report.plot import Plot
    from aiconform.report.series import SeriesTable, Tidy
    from aiconform.report.timeline import Timeline

OUTCOMES: tuple[Outcome, ...] = ("failed", "undecided", "not run", "n/a", "passed")
"""Every verdict, the ones that need attention first."""


@dataclass(frozen=True)
class BlobLink:
    """A blob that the page names: the link text is the digest, the target a file beside the page."""

    digest: str
    size: int


@dataclass(frozen=True)
class ExchangeView:
    """One exchange, or a run of neighbours alike, as the transcript shows it."""

    anchor: str
    lane: str
    n: int
    method: str
    target: str
    status: int
    answer: str
    at_us: int
    took_us: int
    wall: str
    server_date: str
    audit_id: str
    accept: str
    content_type: str
    warnings: tuple[str, ...]
    request_body: BlobLink | None
    response_body: BlobLink | None
    is_stream: bool
    pieces: int
    piece_bodies: tuple[BlobLink, ...]
    stream_end: str
    is_key: bool
    shown: tuple[Shown, ...]
    repeat: str
    alike: int = 0
    alike_until_us: int = 0

    @property
    def is_error(self) -> bool:
        """Whether no answer came or the answer was a refusal."""
        return self.status == 0 or self.status >= 400


@dataclass(frozen=True)
class Citation:
    """The exchange that an observation rests on; ``anchor`` is empty where the log holds no such exchange."""

    lane: str
    n: int
    anchor: str
    label: str


@dataclass(frozen=True)
class Reference:
    """A cited exchange as other programs want it; ``answer`` is the digest of its body."""

    request: str
    status: int
    audit_id: str
    answer: str


@dataclass(frozen=True)
class ObservationView:
    """One comparison."""

    expected: str
    observed: str
    outcome: Outcome
    cause: str
    figures: tuple[tuple[str, str], ...]
    rests_on: tuple[Citation, ...]
    series: tuple[Tidy, ...] = ()
    values: SeriesTable | None = None

    @property
    def cited(self) -> tuple[tuple[Citation, int], ...]:
        """What it rests on, each kind of request once, with how often: the page has no room for every poll."""
        times = Counter(cited.label for cited in self.rests_on)
        last = {cited.label: cited for cited in self.rests_on}
        return tuple((last[label], times[label]) for label in last)


@dataclass(frozen=True)
class Printed:
    """A table that the API server printed for a probe, and the exchange it is from."""

    table: Shown
    anchor: str


@dataclass(frozen=True)
class LaneView:
    """The transcript of one lane."""

    lane: str
    title: str
    exchanges: tuple[ExchangeView, ...]
    total: int
    notes: tuple[str, ...] = ()


class _Timed:
    """What has a beginning and an end, in microseconds since the run began."""

    started_us: int | None
    ended_us: int | None

    @property
    def took_us(self) -> int | None:
        """How long it ran, in microseconds; None where it did not."""
        if self.started_us is None or self.ended_us is None:
            return None
        return self.ended_us - self.started_us


@dataclass(frozen=True)
class ProbeView(_Timed):
    """One probe: what it asked, what came of it."""

    id: str
    anchor: str
    kind: ProbeKind
    title: str
    fails_if: str
    control: str
    after: str
    timeout_s: float
    outcome: Outcome
    reason: str
    started_us: int | None
    ended_us: int | None
    observations: tuple[ObservationView, ...]
    waits: tuple[str, ...]
    printed: tuple[Printed, ...] = ()


@dataclass(frozen=True)
class Group:
    """A control with the negatives that name it, side by side; or a probe by itself, then ``negatives`` is empty."""

    control: ProbeView
    negatives: tuple[ProbeView, ...] = ()


@dataclass(frozen=True)
class CleanupView:
    """What the clean-up of a requirement, or of the run, did."""

    removed: tuple[str, ...]
    left: tuple[str, ...]


@dataclass(frozen=True)
class CheckView(_Timed):
    """One requirement."""

    id: str
    anchor: str
    title: str
    category: str
    level: Level
    kar: str
    asks: str
    limits: tuple[str, ...]
    outcome: Outcome
    reason: str
    summary: str
    code_sha256: str
    started_us: int | None
    ended_us: int | None
    probes: tuple[ProbeView, ...]
    groups: tuple[Group, ...]
    transcripts: tuple[LaneView, ...]
    timeline: Timeline | None
    plot: Plot | None
    objects: tuple[Created, ...]
    cleanup: CleanupView

    @property
    def passed(self) -> int:
        """How many probes passed."""
        return sum(probe.outcome == "passed" for probe in self.probes)

    @property
    def was_run(self) -> bool:
        """Whether it was put to the test at all."""
        return bool(self.probes) and self.outcome not in {"not run", "n/a"}


@dataclass(frozen=True)
class EvidenceView:
    """A blob in the evidence index."""

    digest: str
    size: int
    used: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Digests:
    """What pins this report to one bundle, one checklist and one version of the tool."""

    root: str
    plan: str
    catalog: str
    judge: str
    log_head: str
    server_ca: str


@dataclass(frozen=True)
class Report:
    """A whole run."""

    run: str
    tool: str
    release: str
    command: tuple[str, ...]
    images: tuple[tuple[str, str], ...]
    ran: tuple[Ran, ...]
    options: tuple[tuple[str, str], ...]
    unusual: tuple[str, ...]
    started: str
    ended: str
    took_us: int
    partial: bool
    simulated: bool
    simulated_because: tuple[str, ...]
    cluster: ClusterFacts
    conclusion: str
    exit_code: int
    exit_meaning: str
    digests: Digests
    checks: tuple[CheckView, ...]
    other_lanes: tuple[LaneView, ...]
    timeline: Timeline | None
    removed: int
    left_behind: tuple[str, ...]
    evidence: tuple[EvidenceView, ...]
    references: Mapping[tuple[str, int], Reference]
    records: int
    blobs: int
    blob_bytes: int

    @property
    def product(self) -> str:
        """The product with its version, as far as it is known."""
        return self.cluster.product or f"Kubernetes {self.cluster.version}".strip()

    def having(self, outcome: Outcome) -> tuple[CheckView, ...]:
        """The requirements with this verdict, in the checklist's order."""
        return tuple(check for check in self.checks if check.outcome == outcome)
