"""Whether all that was planned came to a verdict, and the log and ``verdicts.json`` tell the same of it."""

from __future__ import annotations

from collections.abc import Iterator

from aiconform.evidence import layout
from aiconform.evidence.documents import CheckVerdict, PlannedCheck, ProbeVerdict
from aiconform.evidence.reader import Bundle, payload
from aiconform.evidence.records import ObservationData, VerdictData


def verdict_findings(bundle: Bundle) -> Iterator[tuple[str, str]]:
    """What was dropped, added, or told differently: file and what is wrong."""
    planned = [check.requirement for check in bundle.plan.checks]
    if len(set(planned)) != len(planned):
        yield layout.PLAN, "plans a requirement twice"
    judged = [check.requirement for check in bundle.verdicts.checks]
    yield from _compared("requirement", planned, judged)
    verdicts = {check.requirement: check for check in bundle.verdicts.checks}
    lanes: set[str] = set()
    for check in bundle.plan.checks:
        lanes.add(layout.check_lane(check.requirement))
        lanes.update(layout.probe_lane(check.requirement, probe.id) for probe in check.probes)
        verdict = verdicts.get(check.requirement)
        yield from _check(bundle, check, verdict)
    for record in bundle.records:
        if record.type == "verdict" and record.lane not in lanes:
            yield _line(record.seq), f"is a verdict in lane {record.lane}, for which nothing was planned"


def _compared(what: str, planned: list[str], judged: list[str]) -> Iterator[tuple[str, str]]:
    for name in planned:
        if name not in judged:
            yield layout.VERDICTS, f"{what} {name} was planned and has no verdict"
    for name in judged:
        if name not in planned:
            yield layout.VERDICTS, f"{what} {name} has a verdict and was not planned"
    if sorted(planned) == sorted(judged) and planned != judged:
        yield layout.VERDICTS, f"{what}s are not in the plan's order"
    if len(judged) != len(set(judged)):
        yield layout.VERDICTS, f"a {what} has two verdicts"


def _check(bundle: Bundle, planned: PlannedCheck, verdict: CheckVerdict | None) -> Iterator[tuple[str, str]]:
    lane = layout.check_lane(planned.requirement)
    yield from _recorded(bundle, lane, planned.requirement, verdict)
    if verdict is None:
        return
    if verdict.level != planned.level:
        yield layout.VERDICTS, f"{planned.requirement} is a {verdict.level}, planned as a {planned.level}"
    probes = [probe.id for probe in planned.probes]
    yield from _compared(f"probe of {planned.requirement}:", probes, [probe.id for probe in verdict.probes])
    by_id = {probe.id: probe for probe in verdict.probes}
    for name in probes:
        lane = layout.probe_lane(planned.requirement, name)
        probe = by_id.get(name)
        yield from _recorded(bundle, lane, name, probe)
        if probe is not None:
            yield from _observed(bundle, lane, probe)


def _recorded(
    bundle: Bundle, lane: str, subject: str, verdict: CheckVerdict | ProbeVerdict | None
) -> Iterator[tuple[str, str]]:
    """There is exactly one verdict in the lane, at its end, and it is the one of ``verdicts.json``."""
    records = bundle.lanes.get(lane, [])
    places = [record for record in records if record.type == "verdict"]
    if len(places) != 1:
        yield layout.LOG, f"lane {lane} has {len(places) or 'no'} verdicts instead of one"
        return
    if places[0] is not records[-1]:
        yield _line(places[0].seq), f"is the verdict of lane {lane}, which goes on after it"
    found = payload(places[0])
    if not isinstance(found, VerdictData) or found.subject != subject:
        yield _line(places[0].seq), f"is the verdict of lane {lane}, but on something else"
    elif verdict is not None and found.outcome == verdict.outcome and found.reason != verdict.reason:
        yield layout.VERDICTS, f"the reason for {subject} is not that of {_line(places[0].seq)}"
    elif verdict is not None and found.outcome != verdict.outcome:
        yield layout.VERDICTS, f"{subject} is {verdict.outcome}, but {found.outcome} in {_line(places[0].seq)}"


def _observed(bundle: Bundle, lane: str, probe: ProbeVerdict) -> Iterator[tuple[str, str]]:
    if probe.lane != lane:
        yield layout.VERDICTS, f"{lane} names another lane"
    seen = [data for record in bundle.lanes.get(lane, []) if isinstance(data := payload(record), ObservationData)]
    if seen != probe.observations:
        yield layout.VERDICTS, f"{lane}: its observations are not those of the log"


def _line(number: int) -> str:
    return f"{layout.LOG} line {number + 1}"
