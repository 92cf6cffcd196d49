"""The report as a JSON document for other programs, with a schema that only grows."""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from aiconform.evidence.documents import ClusterFacts, Level, ProbeKind
from aiconform.evidence.records import Outcome
from aiconform.report.build import build_report

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiconform.report.model import CheckView, ObservationView, ProbeView, Reference, Report
    from aiconform.report.source import Source

REPORT_FORMAT: Final = "aiconform-report/1"
SCHEMA_FILE: Final = "report-1.schema.json"


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EvidenceReference(_Document):
    """One exchange that an observation rests on."""

    lane: str = Field(description="lane of the log")
    n: int = Field(description="number of the request record in its lane")
    request: str = Field(default="", description="method and target; empty where the log holds no such exchange")
    status: int = Field(default=0, description="HTTP status; 0 where no answer came")
    audit_id: str = ""
    answer_sha256: str = Field(default="", description="digest of the answer's body: file blobs/sha256/<digest>")


class SeriesDocument(_Document):
    """Values over time, in order."""

    name: str
    unit: str = ""
    points: list[tuple[float, float]] = Field(description="pairs of seconds since the run began and value")
    left_out: int = Field(default=0, description="values that were no numbers, or beyond any measurement")


class ObservationDocument(_Document):
    """One comparison of what was expected with what was observed."""

    expected: str
    observed: str
    verdict: Outcome
    cause: str = ""
    figures: dict[str, str] = {}
    series: list[SeriesDocument] = []
    evidence: list[EvidenceReference] = []


class ProbeDocument(_Document):
    """One probe of a requirement."""

    id: str
    kind: ProbeKind
    title: str
    fails_if: str = Field(description="what would have made it fail")
    control: str = Field(default="", description="the positive probe of the same run that a negative relies on")
    after: str = Field(default="", description="the probe whose state a recovery starts from")
    verdict: Outcome
    reason: str = ""
    started_us: int | None = Field(default=None, description="microseconds since the run began")
    ended_us: int | None = None
    observations: list[ObservationDocument] = []


class CleanupDocument(_Document):
    """What was removed after a requirement, and what would not go."""

    removed: list[str] = []
    left: list[str] = []


class RequirementDocument(_Document):
    """One requirement of the checklist; those that were not run are listed too."""

    id: str
    title: str
    category: str
    level: Level
    kar: str = ""
    asks: str
    limits: list[str] = Field(default=[], description="what the check does not show")
    verdict: Outcome
    reason: str = ""
    summary: str = Field(default="", description="one line for a table: the reason, or what was measured")
    code_sha256: str = ""
    started_us: int | None = None
    ended_us: int | None = None
    probes: list[ProbeDocument] = []
    cleanup: CleanupDocument = CleanupDocument()


class DigestsDocument(_Document):
    """SHA-256 digests, hex, that pin the report to one bundle."""

    bundle: str = Field(description="of manifest.json: stands for the whole bundle")
    plan: str
    checklist: str
    judge: str
    log_head: str
    server_ca: str = ""


class ImageDocument(_Document):
    """An image of the plan, and what nodes say they ran for it."""

    role: str
    reference: str = Field(description="as planned")
    ids: list[str] = Field(default=[], description="what nodes say they ran, each once")
    finding: str = Field(description="whether that is what was pinned, in words")


class ReportDocument(_Document):
    """A run, as told to programs. New fields may come; none changes its meaning within a format."""

    format: Literal["aiconform-report/1"] = REPORT_FORMAT
    run: str
    tool: str = Field(description="version of aiconform")
    release: str = Field(description="release of the checklist")
    command: list[str]
    images: dict[str, str] = {}
    ran: list[ImageDocument] = Field(default=[], description="what ran for each image, against what was pinned")
    options: dict[str, str] = Field(default={}, description="what was told of the cluster, such as gateway-class")
    notes: list[str] = Field(
        default=[], description="what a reader should know of the way to the cluster and of it: a server not checked"
    )
    started: str = Field(description="UTC, RFC 3339")
    ended: str
    partial: bool = Field(description="the run was interrupted")
    simulated: bool = Field(description="touches an accelerator that is not real: such a run backs no submission")
    simulated_because: list[str] = []
    conclusion: str
    exit_code: int
    exit_meaning: str
    counts: dict[Outcome, int] = Field(description="requirements by verdict")
    digests: DigestsDocument
    cluster: ClusterFacts
    requirements: list[RequirementDocument]
    removed: int = Field(description="objects removed from the cluster")
    left_behind: list[str] = []


def render_json(bundle: Source) -> str:
    """Render the report as indented JSON with sorted keys and a final newline.

    Args:
        bundle: an opened bundle.
    """
    document = report_document(build_report(bundle))
    return json.dumps(document.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"


def report_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of :func:`render_json`, made from the models."""
    schema = ReportDocument.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def shipped_schema() -> str:
    """The schema as shipped with the package, for other programs."""
    return resources.files("aiconform.report").joinpath(SCHEMA_FILE).read_text(encoding="utf-8")


def report_document(report: Report) -> ReportDocument:
    """The document of a report."""
    counts: dict[Outcome, int] = {}
    for check in report.checks:
        counts[check.outcome] = counts.get(check.outcome, 0) + 1
    digests = report.digests
    known = report.references
    return ReportDocument(
        run=report.run,
        tool=report.tool,
        release=report.release,
        command=list(report.command),
        images=dict(report.images),
        ran=[
            ImageDocument(role=one.role, reference=one.reference, ids=list(one.ids), finding=one.verdict)
            for one in report.ran
        ],
        options=dict(report.options),
        notes=list(report.unusual),
        started=report.started,
        ended=report.ended,
        partial=report.partial,
        simulated=report.simulated,
        simulated_because=list(report.simulated_because),
        conclusion=report.conclusion,
        exit_code=report.exit_code,
        exit_meaning=report.exit_meaning,
        counts=counts,
        digests=DigestsDocument(
            bundle=digests.root,
            plan=digests.plan,
            checklist=digests.catalog,
            judge=digests.judge,
            log_head=digests.log_head,
            server_ca=digests.server_ca,
        ),
        cluster=report.cluster,
        requirements=[_requirement(check, known) for check in report.checks],
        removed=report.removed,
        left_behind=list(report.left_behind),
    )


def _requirement(check: CheckView, known: Mapping[tuple[str, int], Reference]) -> RequirementDocument:
    return RequirementDocument(
        id=check.id,
        title=check.title,
        category=check.category,
        level=check.level,
        kar=check.kar,
        asks=check.asks,
        limits=list(check.limits),
        verdict=check.outcome,
        reason=check.reason,
        summary=check.summary,
        code_sha256=check.code_sha256,
        started_us=check.started_us,
        ended_us=check.ended_us,
        probes=[_probe(probe, known) for probe in check.probes],
        cleanup=CleanupDocument(removed=list(check.cleanup.removed), left=list(check.cleanup.left)),
    )


def _probe(probe: ProbeView, known: Mapping[tuple[str, int], Reference]) -> ProbeDocument:
    return ProbeDocument(
        id=probe.id,
        kind=probe.kind,
        title=probe.title,
        fails_if=probe.fails_if,
        control=probe.control,
        after=probe.after,
        verdict=probe.outcome,
        reason=probe.reason,
        started_us=probe.started_us,
        ended_us=probe.ended_us,
        observations=[_observation(seen, known) for seen in probe.observations],
    )


def _observation(seen: ObservationView, known: Mapping[tuple[str, int], Reference]) -> ObservationDocument:
    return ObservationDocument(
        expected=seen.expected,
        observed=seen.observed,
        verdict=seen.outcome,
        cause=seen.cause,
        figures=dict(seen.figures),
        series=[
            SeriesDocument(name=one.name, unit=one.unit, points=list(one.points), left_out=one.dropped)
            for one in seen.series
        ],
        evidence=[_reference(cited.lane, cited.n, known.get((cited.lane, cited.n))) for cited in seen.rests_on],
    )


def _reference(lane: str, n: int, found: Reference | None) -> EvidenceReference:
    if found is None:
        return EvidenceReference(lane=lane, n=n)
    return EvidenceReference(
        lane=lane,
        n=n,
        request=found.request,
        status=found.status,
        audit_id=found.audit_id,
        answer_sha256=found.answer,
    )


if __name__ == "__main__":
    print(json.dumps(report_schema(), indent=2, sort_keys=True))  # noqa: T201 - writes the shipped schema anew
