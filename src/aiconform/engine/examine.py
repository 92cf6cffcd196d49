"""Examines one requirement: its probes one after another, its clean-up, its verdict.

The same code runs live and in a replay. Whatever a probe does, its objects are removed and its verdict is recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiconform.engine import judge
from aiconform.engine.asking import Ours, Place
from aiconform.engine.cleanup import remove
from aiconform.engine.context import Context, StopProbe, observation_data
from aiconform.engine.events import CheckFinished, CheckStarted, Emit, ProbeFinished, ProbeStarted, Waiting
from aiconform.engine.guards import Guard
from aiconform.engine.judge import Judgement
from aiconform.engine.lane import INTERRUPTED, Divergence, Lane, ProbeCut
from aiconform.engine.undecidable import UndecidableError
from aiconform.evidence.documents import CheckVerdict, PlannedCheck, ProbeVerdict
from aiconform.evidence.records import NoteData, VerdictData

if TYPE_CHECKING:
    from aiconform.engine.api import Handle
    from aiconform.engine.facts import Facts
    from aiconform.engine.model import Check, Probe, Unmet
    from aiconform.engine.stage import Stage
    from aiconform.evidence.records import Outcome

BEGINS = "begins"
KEPT = "kept on request"


@dataclass
class Examination:
    """What all checks of a run share.

    Attributes:
        facts: what discovery found when the run began.
        root: the namespace that everything belongs to.
        found: what was found anew for a requirement whose parts came up later.
    """

    stage: Stage
    facts: Facts
    namespaces: Mapping[str, str]
    images: Mapping[str, str]
    emit: Emit
    keep: bool = False
    root: Handle | None = None
    found: dict[str, Facts] = field(default_factory=dict)
    removed: int = 0
    left: list[str] = field(default_factory=list)


def unmet(asking: Check | Probe, facts: Facts) -> Unmet | None:
    """The first need of a check, or of a probe, that the cluster does not meet."""
    return next((gap for need in asking.needs if (gap := need(facts)) is not None), None)


async def examine(run: Examination, check: Check, planned: PlannedCheck, facts: Facts) -> CheckVerdict:
    """Run a check to its verdict, on what discovery found."""
    gap = unmet(check, facts)
    if gap is not None:
        return not_run(run.stage, planned, Judgement(gap.outcome, gap.reason), run.emit)
    run.emit(CheckStarted(check.requirement, len(check.probes)))
    ours = Ours(facts, guard=None if run.keep else _guard(run, check))
    probes: list[ProbeVerdict] = []
    left: list[str] = []
    try:
        for number, probe in enumerate(check.probes, 1):
            run.emit(ProbeStarted(check.requirement, probe.id, probe.title, number, len(check.probes), probe.timeout_s))
            probes.append(await _probe(run, check, probe, ours, {seen.id: seen for seen in probes}))
            run.emit(ProbeFinished(check.requirement, probes[-1]))
    finally:
        # whatever ended the probes, what they made goes
        with run.stage.shielded():
            left = await _clean(run, check, ours)
    judged = judge.check({seen.id: Judgement(seen.outcome, seen.reason) for seen in probes}, left_behind=left)
    return _conclude(run.stage, planned, judged, run.emit, probes=probes, left=left)


def _guard(run: Examination, check: Check) -> Guard:
    """Ends what the check makes if we do not; where it is to be kept for looking at, nothing does."""
    within = sum(probe.timeout_s for probe in check.probes)
    image = run.images.get("probe", "none")
    return Guard(check.requirement, run.namespaces[check.pod_security], within, image)


def not_run(stage: Stage, planned: PlannedCheck, why: Judgement, emit: Emit) -> CheckVerdict:
    """The verdict on a requirement none of whose probes ran."""
    probes = [_skipped(stage.lane(f"{planned.requirement}/{probe.id}"), probe.id, why) for probe in planned.probes]
    return _conclude(stage, planned, why, emit, probes=probes, left=[])


async def _probe(
    run: Examination, check: Check, probe: Probe, ours: Ours, before: Mapping[str, ProbeVerdict]
) -> ProbeVerdict:
    lane = run.stage.lane(f"{check.requirement}/{probe.id}")
    control = before[probe.control].outcome if probe.control else None
    after = before[probe.after].outcome if probe.after else None
    refused = judge.may_run(control, after)
    if refused is None and (gap := unmet(probe, ours.facts)):
        refused = Judgement("not run", gap.reason)
    if refused is None and run.stage.ended_before(lane):
        refused = Judgement("not run", INTERRUPTED)
    if refused is not None:
        return _skipped(lane, probe.id, refused)
    lane.write(NoteData(text=BEGINS))
    started = _us(lane)
    place = Place(check.requirement, run.namespaces[check.pod_security], run.images, run.root)
    ctx = Context(lane, ours, place)

    def tell(waiting_for: str, observed: str, elapsed: float, limit: float) -> None:
        run.emit(Waiting(check.requirement, probe.id, waiting_for, observed, elapsed, limit))

    ctx.tell = tell
    judged = await _ask(run.stage, lane, probe, ctx)
    lane.write(VerdictData(subject=probe.id, outcome=judged.outcome, reason=judged.reason))
    return ProbeVerdict(
        id=probe.id,
        lane=lane.name,
        outcome=judged.outcome,
        reason=judged.reason,
        started_us=started,
        ended_us=_us(lane),
        observations=[observation_data(seen) for seen in ctx.observations],
    )


async def _ask(stage: Stage, lane: Lane, probe: Probe, ctx: Context) -> Judgement:
    """Run a probe's function; whatever it raises becomes a judgement."""
    problem: list[Judgement] = []

    async def work() -> None:
        try:
            await probe.function(ctx)
        except StopProbe:
            pass
        except (Divergence, ProbeCut):
            raise
        except UndecidableError as undecidable:
            problem.append(Judgement("undecided", undecidable.cause))
        except Exception as bug:  # noqa: BLE001 - an exception is undecided with its cause, never anything else
            problem.append(Judgement("undecided", f"the check stumbled: {type(bug).__name__}: {bug}"))

    ended_by = await stage.bounded(lane, work, limit_s=probe.timeout_s)
    judged = judge.probe(ctx.observations)
    if judged.outcome == "failed":
        return judged
    if ended_by:
        limit = f" ({probe.timeout_s:g} s)" if ended_by != INTERRUPTED else ""
        return Judgement("undecided", f"ended by {ended_by}{limit}" if limit else "the run was interrupted")
    return problem[0] if problem else judged


def _skipped(lane: Lane, probe: str, why: Judgement) -> ProbeVerdict:
    outcome: Outcome = "n/a" if why.outcome == "n/a" else "not run"
    lane.write(VerdictData(subject=probe, outcome=outcome, reason=why.reason))
    return ProbeVerdict(id=probe, lane=lane.name, outcome=outcome, reason=why.reason)


async def _clean(run: Examination, check: Check, ours: Ours) -> list[str]:
    lane = run.stage.lane(f"cleanup/{check.requirement}")
    lane.write(NoteData(text=KEPT if run.keep else BEGINS))
    if run.keep:
        return []
    result = await remove(lane, ours.handles, run.emit)
    lane.write(result)
    run.removed += len(result.removed)
    run.left += result.left
    return result.left


def _conclude(
    stage: Stage,
    planned: PlannedCheck,
    judged: Judgement,
    emit: Emit,
    *,
    probes: list[ProbeVerdict],
    left: list[str],
) -> CheckVerdict:
    stage.lane(f"verdict/{planned.requirement}").write(
        VerdictData(subject=planned.requirement, outcome=judged.outcome, reason=judged.reason)
    )
    ran = [seen for seen in probes if seen.started_us is not None]
    verdict = CheckVerdict(
        requirement=planned.requirement,
        level=planned.level,
        outcome=judged.outcome,
        reason=judged.reason,
        started_us=ran[0].started_us if ran else None,
        ended_us=ran[-1].ended_us if ran else None,
        probes=probes,
        left_behind=left,
    )
    emit(CheckFinished(verdict))
    return verdict


def _us(lane: Lane) -> int:
    return round(lane.now * 1e6)
