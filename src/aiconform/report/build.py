"""From a bundle to the :class:`~aiconform.report.model.Report` that every format renders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from aiconform.evidence.documents import CheckVerdict, PlannedCheck, PlannedProbe, ProbeVerdict
from aiconform.evidence.headline import headline
from aiconform.evidence.records import CleanupData, RestsOn
from aiconform.report.exchanges import Exchange, exchanges, waits
from aiconform.report.images import ran
from aiconform.report.model import (
    CheckView,
    Citation,
    CleanupView,
    Digests,
    Group,
    LaneView,
    ObservationView,
    Printed,
    ProbeView,
    Reference,
    Report,
)
from aiconform.report.objects import created
from aiconform.report.plot import Piece, plot
from aiconform.report.series import table, tidy
from aiconform.report.text import anchor, clock, is_digest, one_line, plural
from aiconform.report.timeline import Lane, Mark, Span, Timeline, draw
from aiconform.report.transcript import Transcriber

if TYPE_CHECKING:
    from aiconform.evidence.records import ObservationData, Record
    from aiconform.report.plot import Plot
    from aiconform.report.source import Source

EXIT_MEANINGS = {
    0: "every MUST passed, or does not apply for a stated reason",
    1: "at least one MUST failed",
    2: "the command line was wrong",
    3: "no MUST failed, but at least one is undecided or was not run, or something was left on the cluster",
    4: "the cluster could not be reached, or the preflight refused to start",
    70: "the tool itself failed",
    130: "the run was interrupted before its end",
}
MAX_MARKS = 150
MAX_MEASURED = 60
MAX_ROWS = 120
MAX_PRINTED = 3


def build_report(source: Source, *, evidence_prefix: str = "bundle/") -> Report:
    """Work out everything that a report shows.

    Args:
        source: an opened bundle.
        evidence_prefix: path from the report to the bundle's directory, empty or ending in a slash.
    """
    plan, verdicts = source.plan, source.verdicts
    cited = _cited(source, verdicts.checks)
    scribe = Transcriber(source, evidence_prefix, _keys(verdicts.checks, cited))
    judged = {check.requirement: check for check in verdicts.checks}
    planned = list(plan.checks)
    names = {check.requirement for check in planned}
    planned += [_unplanned(check) for check in verdicts.checks if check.requirement not in names]
    other = tuple(_other_lanes(source, [check.requirement for check in planned], scribe))
    checks = tuple(_check(source, scribe, check, judged.get(check.requirement)) for check in planned)
    blobs = [file for file in source.manifest.files if file.path.startswith("blobs/")]
    return Report(
        run=plan.run,
        tool=plan.tool,
        release=plan.release,
        command=tuple(plan.command),
        images=tuple(sorted(plan.images.items())),
        ran=tuple(ran(source)),
        options=tuple(sorted(plan.options.items())),
        unusual=(*plan.unusual, *verdicts.cluster.remarks),
        started=verdicts.started,
        ended=verdicts.ended,
        took_us=max((record.mono for record in source.records), default=0),
        partial=verdicts.partial,
        simulated=verdicts.simulated,
        simulated_because=tuple(verdicts.simulated_because),
        cluster=verdicts.cluster,
        conclusion=verdicts.conclusion.rstrip(".") + ".",
        exit_code=verdicts.exit_code,
        exit_meaning=EXIT_MEANINGS.get(verdicts.exit_code, "an exit code that this version does not know"),
        digests=_digests(source),
        checks=checks,
        other_lanes=other,
        timeline=_overall(checks),
        removed=verdicts.removed,
        left_behind=tuple(verdicts.left_behind),
        evidence=scribe.evidence(),
        references={at: _reference(exchange) for at, exchange in cited.items()},
        records=len(source.records),
        blobs=len(blobs),
        blob_bytes=sum(file.size for file in blobs),
    )


_At = tuple[str, int]


def _cited(source: Source, checks: Sequence[CheckVerdict]) -> dict[_At, Exchange]:
    """Every exchange that an observation rests on, by lane and number."""
    wanted = {(cited.lane, cited.n) for seen in _observations(checks) for cited in seen.rests_on}
    lanes = {lane for lane, _ in wanted}
    found = (exchange for lane in lanes for exchange in exchanges(source.lanes.get(lane, ())))
    return {(exchange.lane, exchange.n): exchange for exchange in found if (exchange.lane, exchange.n) in wanted}


def _observations(checks: Sequence[CheckVerdict]) -> Iterator[ObservationData]:
    return (seen for check in checks for probe in check.probes for seen in probe.observations)


def _keys(checks: Sequence[CheckVerdict], cited: Mapping[_At, Exchange]) -> frozenset[_At]:
    """The exchanges that are always shown: of those an observation rests on, each kind's first and last.

    Between these lie polls that saw what did not decide.
    """
    keys: set[_At] = set()
    for seen in _observations(checks):
        alike: dict[tuple[str, str, str], list[_At]] = {}
        for at in ((rests.lane, rests.n) for rests in seen.rests_on):
            if at in cited:
                alike.setdefault((at[0], cited[at].request.method, cited[at].target), []).append(at)
        keys.update(at for group in alike.values() for at in (group[0], group[-1]))
    return frozenset(keys)


def _reference(exchange: Exchange) -> Reference:
    request, response = exchange.request, exchange.response
    answer = (response.body if response else None) or ""
    answer = answer if is_digest(answer) else ""
    return Reference(f"{request.method} {exchange.target}", exchange.status, request.audit_id, answer)


def _unplanned(check: CheckVerdict) -> PlannedCheck:
    return PlannedCheck(
        requirement=check.requirement,
        title=check.requirement,
        category="",
        level=check.level,
        asks="This requirement is not in the plan of the run.",
    )


def _digests(source: Source) -> Digests:
    plan = next((file.sha256 for file in source.manifest.files if file.path == "plan.json"), "")
    return Digests(
        root=source.root_sha256,
        plan=plan,
        catalog=source.plan.catalog_sha256,
        judge=source.plan.judge_sha256,
        log_head=source.manifest.log_head,
        server_ca=source.plan.server_ca_sha256,
    )


def _belongs(lane: str, requirement: str) -> bool:
    return (
        lane == requirement
        or lane.startswith((f"{requirement}/", f"cleanup/{requirement}/"))
        or lane
        in {
            f"cleanup/{requirement}",
            f"verdict/{requirement}",
        }
    )


def _other_lanes(source: Source, requirements: Sequence[str], scribe: Transcriber) -> list[LaneView]:
    views = [
        scribe.lane(name, records, name)
        for name, records in _in_order(source.lanes)
        if not any(_belongs(name, requirement) for requirement in requirements)
    ]
    return [view for view in views if view.exchanges or view.notes]


def _in_order(lanes: Mapping[str, Sequence[Record]]) -> list[tuple[str, Sequence[Record]]]:
    return sorted(((name, records) for name, records in lanes.items() if records), key=lambda lane: lane[1][0].seq)


def _check(source: Source, scribe: Transcriber, plan: PlannedCheck, verdict: CheckVerdict | None) -> CheckView:
    scribe.new_requirement()
    lanes = [(name, records) for name, records in _in_order(source.lanes) if _belongs(name, plan.requirement)]
    titles = {f"{plan.requirement}/{probe.id}": probe.title for probe in plan.probes}
    titles[f"cleanup/{plan.requirement}"] = "Clean-up"
    transcripts = [scribe.lane(name, records, titles.get(name, name)) for name, records in lanes]
    judged = {probe.id: probe for probe in verdict.probes} if verdict else {}
    planned = list(plan.probes)
    planned += [_unplanned_probe(probe) for name, probe in judged.items() if name not in {p.id for p in planned}]
    probes = tuple(_probe(scribe, plan.requirement, probe, judged.get(probe.id), dict(lanes)) for probe in planned)
    probes = tuple(replace(probe, printed=_printed(plan.requirement, probe.id, transcripts)) for probe in probes)
    outcome = verdict.outcome if verdict else "not run"
    reason = (verdict.reason if verdict else "") or plan.not_run
    if verdict is None and not reason:
        reason = "the bundle holds no verdict for it"
    return CheckView(
        id=plan.requirement,
        anchor=anchor(plan.requirement),
        title=plan.title,
        category=plan.category,
        level=plan.level,
        kar=plan.kar,
        asks=plan.asks,
        limits=tuple(plan.limits),
        outcome=outcome,
        reason=reason,
        summary=reason or _summary(probes, plan.headline),
        code_sha256=plan.code_sha256,
        started_us=verdict.started_us if verdict else None,
        ended_us=verdict.ended_us if verdict else None,
        probes=probes,
        groups=_groups(probes),
        transcripts=tuple(view for view in transcripts if view.exchanges or view.notes),
        timeline=_timeline(plan, probes, lanes, scribe.keys),
        plot=_plot(plan.requirement, probes),
        objects=created((e for _, records in lanes for e in exchanges(records)), source.blob, scribe.anchors),
        cleanup=_cleanup(lanes, verdict),
    )


def _unplanned_probe(probe: ProbeVerdict) -> PlannedProbe:
    return PlannedProbe(id=probe.id, kind="positive", title=f"{probe.id} (not in the plan)", fails_if="", timeout_s=0)


def _probe(
    scribe: Transcriber,
    requirement: str,
    plan: PlannedProbe,
    verdict: ProbeVerdict | None,
    lanes: Mapping[str, Sequence[Record]],
) -> ProbeView:
    records = lanes.get(f"{requirement}/{plan.id}", ())
    return ProbeView(
        id=plan.id,
        anchor=anchor(requirement, plan.id),
        kind=plan.kind,
        title=plan.title,
        fails_if=plan.fails_if,
        control=plan.control,
        after=plan.after,
        timeout_s=plan.timeout_s,
        outcome=verdict.outcome if verdict else "not run",
        reason=verdict.reason if verdict else "",
        started_us=verdict.started_us if verdict else None,
        ended_us=verdict.ended_us if verdict else None,
        observations=tuple(_observation(scribe, seen) for seen in verdict.observations) if verdict else (),
        waits=tuple(f"{wait.waiting_for}, until {clock(wait.at_us)}" for wait in waits(records)),
    )


def _observation(scribe: Transcriber, seen: ObservationData) -> ObservationView:
    series = tuple(tidy(one) for one in seen.series)
    return ObservationView(
        expected=seen.expected,
        observed=seen.observed,
        outcome=seen.outcome,
        cause=seen.cause,
        figures=tuple(seen.figures.items()),
        rests_on=tuple(_citation(scribe, cited) for cited in seen.rests_on),
        series=series,
        values=table(series, MAX_ROWS) if series else None,
    )


def _citation(scribe: Transcriber, cited: RestsOn) -> Citation:
    found, label = scribe.anchors.get((cited.lane, cited.n), ("", f"{cited.lane} {cited.n}"))
    return Citation(cited.lane, cited.n, found, label)


def _summary(probes: Sequence[ProbeView], pattern: str) -> str:
    """The check's own line on what it measured, else the first values that are short, else what a probe showed."""
    line = headline(pattern, (dict(observation.figures) for probe in probes for observation in probe.observations))
    if line:
        return one_line(line)
    for probe in (*probes[1:], *probes[:1]):  # the first probe is rather about what is there
        for observation in probe.observations:
            measured = ", ".join(f"{name} {value}" for name, value in observation.figures)
            if measured and len(measured) <= MAX_MEASURED:
                return one_line(measured)
    controls = {probe.control for probe in probes}
    named = next((probe for probe in probes if probe.id in controls), probes[0] if probes else None)
    return one_line(named.title) if named else ""


def _groups(probes: Sequence[ProbeView]) -> tuple[Group, ...]:
    """Put each control beside the negatives that name it; everything else stands alone, in the plan's order."""
    known = {probe.id for probe in probes}
    paired = {probe.id for probe in probes if probe.control in known and probe.control != probe.id}
    groups = []
    for probe in probes:
        if probe.id in paired:
            continue
        groups.append(Group(probe, tuple(p for p in probes if p.id in paired and p.control == probe.id)))
    shown = {probe.id for group in groups for probe in (group.control, *group.negatives)}
    return (*groups, *(Group(probe) for probe in probes if probe.id not in shown))


def _cleanup(lanes: Sequence[tuple[str, Sequence[Record]]], verdict: CheckVerdict | None) -> CleanupView:
    done = [
        CleanupData.model_validate(record.data)
        for _, records in lanes
        for record in records
        if record.type == "cleanup"
    ]
    left = [name for data in done for name in data.left] + list(verdict.left_behind if verdict else [])
    return CleanupView(tuple(name for data in done for name in data.removed), tuple(dict.fromkeys(left)))


def _timeline(
    plan: PlannedCheck,
    probes: Sequence[ProbeView],
    lanes: Sequence[tuple[str, Sequence[Record]]],
    keys: frozenset[tuple[str, int]],
) -> Timeline | None:
    rows = []
    for probe in probes:
        own = f"{plan.requirement}/{probe.id}"
        records = [record for name, part in lanes if name == own or name.startswith(own + "/") for record in part]
        rows.append(_row(probe, records, keys))
    said = ", ".join(f"{probe.id} {probe.outcome}" for probe in probes)
    return draw(anchor("time", plan.requirement), f"Timeline of {plan.requirement}", f"{said}.", rows)


def _printed(requirement: str, probe: str, lanes: Sequence[LaneView]) -> tuple[Printed, ...]:
    """The tables that the API server printed for a probe, as a reader knows them from kubectl."""
    own = f"{requirement}/{probe}"
    found = [
        Printed(part, entry.anchor)
        for lane in lanes
        if lane.lane == own
        for entry in lane.exchanges
        for part in entry.shown
        if part.columns and part.rows and "as=Table" in entry.accept
    ]
    return tuple(found[:MAX_PRINTED])


def _plot(requirement: str, probes: Sequence[ProbeView]) -> Plot | None:
    pieces = [Piece(probe.id, one) for probe in probes for seen in probe.observations for one in seen.series]
    return plot(anchor("plot", requirement), f"What was measured for {requirement}, over time", pieces)


def _row(probe: ProbeView, records: Sequence[Record], keys: frozenset[tuple[str, int]]) -> Lane:
    spans: tuple[Span, ...] = ()
    if probe.started_us is not None and probe.ended_us is not None:
        label = f"{probe.id}: {probe.outcome}"
        spans = (Span(probe.started_us, probe.ended_us, probe.outcome, label),)
    streams, marks = [], []
    for exchange in exchanges(records):
        label = f"{exchange.request.method} {one_line(exchange.request.path, 120)} {exchange.status}"
        if exchange.request.stream:
            streams.append(Span(exchange.started_us, exchange.ended_us, "watch", label))
        is_key = (exchange.lane, exchange.n) in keys
        marks.append(Mark(exchange.started_us, "key" if is_key else "write" if exchange.is_write else "request", label))
    important = [mark for mark in marks if mark.kind != "request"]
    plain = [mark for mark in marks if mark.kind == "request"][:MAX_MARKS]
    gave_up = [Mark(wait.at_us, "deadline", f"limit reached: {wait.waiting_for}") for wait in waits(records)]
    return Lane(probe.id, probe.kind, probe.outcome, spans, tuple(streams), (*plain, *important[:MAX_MARKS], *gave_up))


def _overall(checks: Sequence[CheckView]) -> Timeline | None:
    rows = []
    for check in checks:
        spans = tuple(
            Span(probe.started_us, probe.ended_us, probe.outcome, f"{probe.id}: {probe.outcome}")
            for probe in check.probes
            if probe.started_us is not None and probe.ended_us is not None
        )
        if spans:
            rows.append(Lane(check.id, check.outcome, check.outcome, spans))
    said = ", ".join(f"{check.id} {check.outcome}" for check in checks)
    return draw("time-of-the-run", "Timeline of the run", f"{plural(len(rows), 'requirement')} ran: {said}.", rows)
