"""Conducts a run from discovery to the last clean-up, on whatever stage: live, or in the log of an earlier run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from aiconform import catalog
from aiconform.engine import judge, kinds
from aiconform.engine.api import Api, Handle, Obj, owner
from aiconform.engine.arriving import Unread, all_seen, arrived, look
from aiconform.engine.cleanup import remove, tries
from aiconform.engine.events import ClusterFound, Emit
from aiconform.engine.examine import BEGINS, KEPT, Examination, examine, not_run, unmet
from aiconform.engine.guards import fence
from aiconform.engine.judge import Judgement
from aiconform.engine.lane import INTERRUPTED, TimeUp
from aiconform.engine.meshes import left_out
from aiconform.engine.model import State
from aiconform.engine.ownership import ENDS_WITHIN, WHAT, marked, namespaces, run_of
from aiconform.engine.preflight import PreflightError, cleared
from aiconform.engine.undecidable import RefusedError, UndecidableError
from aiconform.engine.waits import Target, watch
from aiconform.evidence.documents import CheckVerdict, ClusterFacts, Plan, Verdicts
from aiconform.evidence.records import NoteData
from aiconform.evidence.writer import END_LANE

if TYPE_CHECKING:
    from aiconform.engine.facts import Facts
    from aiconform.engine.lane import Lane
    from aiconform.engine.model import Check
    from aiconform.engine.stage import Stage

ENDED = "ended"
_ACCOUNT_WITHIN_S = 30.0
_SPARE_S = 3600
"""Seconds that a run may take beside its probes: waiting for add-ons of a local cluster, cleaning up."""


@dataclass
class Outcome:
    """What a run came to, before it is written down."""

    facts: Facts | None
    checks: list[CheckVerdict]
    removed: int
    left: list[str]
    partial: bool


async def conduct(
    stage: Stage, plan: Plan, checks: Mapping[str, Check], emit: Emit, *, keep: bool, side_by_side: bool
) -> Outcome:
    """Discover, prepare, examine every planned requirement, clean up.

    Raises:
        PreflightError: the cluster cannot be read, or our namespace cannot be made or could not be removed.
    """
    facts = await _discovered(stage, plan, checks)
    if facts is None:
        why = Judgement("not run", "the run was interrupted")
        return Outcome(None, [not_run(stage, planned, why, emit) for planned in plan.checks], 0, [], partial=True)
    wanted = {
        name: check
        for planned in plan.checks
        if (check := checks.get(name := planned.requirement))
        and not planned.not_run
        and (stage.awaits(name) or not unmet(check, facts))
    }
    own = namespaces(plan.run)["restricted"]
    begins = await cleared(stage, wanted, facts, namespace=own)
    facts = dataclasses.replace(facts, remarks=begins.remarks)
    wanted = {name: check for name, check in wanted.items() if name not in begins.barred}
    root = own if wanted else ""
    emit(ClusterFound(facts.cluster(), simulated=bool(facts.simulated), namespace=root, keep=keep))
    made = await _prepared(stage, plan, {check.pod_security for check in wanted.values()}, facts.groups)
    run = Examination(stage, facts, namespaces(plan.run), plan.images, emit, keep=keep, root=made[0] if made else None)
    try:
        verdicts = await _examine_all(run, plan, checks, begins.barred, side_by_side=side_by_side)
    finally:
        with stage.shielded():
            await _clean_up(run, made)
    seen = all_seen(
        facts, [run.found[planned.requirement] for planned in plan.checks if planned.requirement in run.found]
    )
    return Outcome(seen, verdicts, run.removed, run.left, partial=_end(stage))


def compose(plan: Plan, outcome: Outcome, *, started: str, ended: str, keep: bool) -> Verdicts:
    """The verdicts document: a pure function of what a run came to."""
    pairs = [(check.level, check.outcome) for check in outcome.checks]
    facts = outcome.facts
    left = [] if keep else outcome.left
    code = judge.exit_code(pairs, left_behind=left)
    sentence = judge.conclusion(pairs, asked_of=len(catalog.requirements(plan.release)), left_behind=left)
    if outcome.partial:
        code, sentence = judge.EXIT_INTERRUPTED, f"Interrupted. {sentence}"
    return Verdicts(
        run=plan.run,
        release=plan.release,
        started=started,
        ended=ended,
        partial=outcome.partial,
        simulated=bool(facts and facts.simulated),
        simulated_because=list(facts.simulated) if facts else [],
        cluster=facts.cluster() if facts else ClusterFacts(),
        conclusion=sentence,
        exit_code=code,
        checks=outcome.checks,
        removed=outcome.removed,
        left_behind=outcome.left,
    )


async def _discovered(stage: Stage, plan: Plan, checks: Mapping[str, Check]) -> Facts | None:
    found = await look(stage, "discovery", plan.options)
    if not isinstance(found, Unread):
        return found
    if found.forbidden:  # then other rights are likely to be missing too, and are said at once
        planned = {one.requirement: checks[one.requirement] for one in plan.checks if one.requirement in checks}
        await cleared(stage, planned, None, namespace=namespaces(plan.run)["restricted"])
    raise PreflightError(found.cause)


async def _prepared(
    stage: Stage, plan: Plan, standards: set[str], groups: frozenset[str] = frozenset()
) -> list[Handle]:
    """Make the run's namespaces: the root, and one owned by it for each further Pod Security Standard in use."""
    if not standards:
        return []
    lane = stage.lane("setup")
    lane.write(NoteData(text=BEGINS))
    api = Api(lane)
    made: list[Handle] = []
    tried: list[str] = []
    try:
        for standard, name in namespaces(plan.run).items():
            if standard == "restricted" or standard in standards:
                tried.append(name)
                manifest = _namespace(plan, name, standard, groups, root=made[0] if made else None)
                created = await api.create(manifest)
                made.append(Handle(kinds.NAMESPACE, "", name, created["metadata"]["uid"]))
        for handle in made:
            await fence(api, plan.run, handle.name)
            await _service_account(api, handle.name)
    except (UndecidableError, TimeUp) as problem:
        cause = problem.cause if isinstance(problem, UndecidableError) else "no default ServiceAccount appeared"
        left = await _undone(lane, plan.run, made, tried)
        raise PreflightError(f"cannot make a namespace to work in: {cause}", left=left) from problem
    return made


async def _undone(lane: Lane, run: str, made: list[Handle], tried: list[str]) -> list[str]:
    """Remove what was made, also what may have been made though no answer said so; returns what may be left."""
    found = list(made)
    unseen: list[str] = []
    for name in tried[len(made) :]:
        there = await _looked_for(Api(lane), name)
        if isinstance(there, UndecidableError):
            unseen.append(f"namespace/{name} ({there.cause})")
        elif there is not None and run_of(there) == run:
            found.append(Handle(kinds.NAMESPACE, "", name, there["metadata"]["uid"]))
    result = await remove(lane, list(reversed(found)), lambda _: None)
    return [*result.left, *unseen]


async def _looked_for(api: Api, name: str) -> Obj | UndecidableError | None:
    """A namespace; None where there is none; why that cannot be told, though it was asked for a while."""
    found: Obj | UndecidableError | None = None
    async for _ in tries(api.lane, api.lane.now + _ACCOUNT_WITHIN_S):
        try:
            return await api.read(kinds.NAMESPACE, name)
        except RefusedError as refused:
            if refused.status == 404:
                return None
            found = refused
        except UndecidableError as problem:
            found = problem
    return found


def _namespace(plan: Plan, name: str, standard: str, groups: frozenset[str], *, root: Handle | None) -> Obj:
    within = _SPARE_S + sum(probe.timeout_s for check in plan.checks for probe in check.probes)
    meta: Obj = {
        "name": name,
        "labels": {"pod-security.kubernetes.io/enforce": standard},
        "annotations": {
            WHAT: "made by an AI conformance run, which removes it at its end; aiconform cleanup removes what is left",
            ENDS_WITHIN: f"{within:.0f}",
        },
    }
    if root is not None:
        meta["ownerReferences"] = [owner(root)]
    return marked({"apiVersion": "v1", "kind": "Namespace", "metadata": left_out(meta, groups)}, plan.run)


async def _service_account(api: Api, namespace: str) -> None:
    """Wait for the namespace's default ServiceAccount, without which no pod is admitted."""
    target = Target(kinds.SERVICE_ACCOUNT, namespace, {}, "metadata.name=default")

    def there(objects: list[Obj]) -> State:
        return State("met" if objects else "nothing", f"{len(objects)} of 1 there")

    what = f"the default ServiceAccount of {namespace}"
    limit = api.lane.now + _ACCOUNT_WITHIN_S
    end = await watch(api, target, there, limit=limit, waiting_for=what, tell=lambda _: None)
    if end.limit_reached:
        raise UndecidableError(f"{what} did not appear within {_ACCOUNT_WITHIN_S:g} s")


async def _examine_all(
    run: Examination, plan: Plan, checks: Mapping[str, Check], without: Mapping[str, str], *, side_by_side: bool
) -> list[CheckVerdict]:
    """Examine every planned requirement: side by side, but never two that hold the same accelerator.

    ``without`` says of requirements which rights are missing: they are undecided, for nothing could be looked at.
    """
    verdicts: dict[str, CheckVerdict] = {}
    locks: dict[str, anyio.Lock] = {}

    async def one(number: int) -> None:
        planned = plan.checks[number]
        check = checks.get(planned.requirement)
        if planned.not_run or check is None:
            why = Judgement("not run", planned.not_run or "this version has no check for it")
            verdicts[planned.requirement] = not_run(run.stage, planned, why, run.emit)
            return
        if planned.requirement in without:
            why = Judgement("undecided", without[planned.requirement])
            verdicts[planned.requirement] = not_run(run.stage, planned, why, run.emit)
            return
        facts = await arrived(run, planned)
        if isinstance(facts, Judgement):
            verdicts[planned.requirement] = not_run(run.stage, planned, facts, run.emit)
            return
        async with _Holding(locks, check.holds(facts)):
            verdicts[planned.requirement] = await examine(run, check, planned, facts)

    if side_by_side:
        async with anyio.create_task_group() as group:
            for number in range(len(plan.checks)):
                group.start_soon(one, number)
    else:
        for number in range(len(plan.checks)):
            await one(number)
    return [verdicts[planned.requirement] for planned in plan.checks]


class _Holding:
    """Holds several named locks, always taken in the same order so that no two checks wait for each other."""

    def __init__(self, locks: dict[str, anyio.Lock], names: frozenset[str]) -> None:
        self._locks = [locks.setdefault(name, anyio.Lock()) for name in sorted(names)]

    async def __aenter__(self) -> None:
        for lock in self._locks:
            await lock.acquire()

    async def __aexit__(self, *_exc: object) -> None:
        for lock in reversed(self._locks):
            lock.release()


async def _clean_up(run: Examination, made: list[Handle]) -> None:
    lane = run.stage.lane("cleanup")
    lane.write(NoteData(text=KEPT if run.keep else BEGINS))
    if run.keep:
        run.left += [f"{handle} ({KEPT})" for handle in made]
    elif made:
        # the root first: what it owns goes with it, and is then waited for
        result = await remove(lane, list(reversed(made)), run.emit)
        lane.write(result)
        run.removed += len(result.removed)
        run.left += result.left


def _end(stage: Stage) -> bool:
    """Write down that the run is over, and whether it was told to end early."""
    interrupted = stage.interrupted
    stage.lane(END_LANE).write(NoteData(text=INTERRUPTED if interrupted else ENDED))
    return interrupted
