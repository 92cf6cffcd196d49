"""One run of the real engine through the fault proxy, and what came of it."""

from __future__ import annotations

import asyncio
import shutil
import time
import traceback
from collections.abc import Mapping
from pathlib import Path

from tests.faults import checker, rehearsal, struck
from tests.faults.bench import RELEASE, Bench, Result, budget_s, derive_again, remains, scan_files, take_requests
from tests.faults.cases import OUTAGES, Case
from tests.faults.kinds import KINDS
from tests.faults.outages import outage
from tests.faults.proxy import Fault, Proxy

from aiconform.engine import runner
from aiconform.errors import AiconformError
from aiconform.evidence.documents import Verdicts


async def clean(bench: Bench, subject: str, seed: int) -> Result:
    """A run in which nothing is injected."""
    return await _inside(bench, Case("clean", 0, subject), seed, {})


async def tried(bench: Bench, case: Case, seed: int, reference: Result) -> Result:
    """A run with a fault, held against the one without."""
    if case.strike is not None:
        return await struck.tried(bench, case, seed, reference)
    if case.kind in OUTAGES:
        script = {case.number: outage(case.kind, bench.plane)}
    else:
        script = {number: KINDS[kind] for number, kind in case.strikes(seed, len(reference.requests)).items()}
    result = await _inside(bench, case, seed, script)
    for name in checker.false_passes(reference.outcomes, result.outcomes):
        result.problems.append(f"false-pass: {name} passes, and is {reference.outcomes.get(name)} without the fault")
    for name in checker.false_failures(reference.outcomes, result.outcomes):
        result.problems.append(f"false-failure: {name}: {result.reasons.get(name)}")
    limit = budget_s(case.subject) * 1.1
    if result.wall_s > limit:
        result.problems.append(f"overrun: {result.wall_s:.0f} s, allowed are {limit:.0f} s")
    return result


async def _inside(bench: Bench, case: Case, seed: int, script: Mapping[int, Fault]) -> Result:
    """A run in this process."""
    result = Result(str(case), case.run(seed))
    place = bench.place(case, result.run)
    requirement = (rehearsal.GOOD if case.subject == "good" else rehearsal.BAD).requirement
    async with bench.proxy(case, seed, script) as proxy:
        options = runner.RunOptions(
            release=RELEASE,
            output=place / "run",
            requirements=(requirement,),
            kubeconfig=bench.kubeconfig(place, proxy.port),
            run=result.run,
        )
        began = time.monotonic()
        await _run(options, result, limit_s=budget_s(case.subject) * 1.1 + 5)
        result.wall_s = time.monotonic() - began
        take_requests(result, proxy)
    await asyncio.to_thread(derive_again, place / "run" / "bundle", result)
    scan_files(place / "run", result)
    if case.kind in OUTAGES:
        await bench.up_again()
    await _looked(bench, proxy, result)
    shutil.rmtree(place, ignore_errors=True)
    return result


async def _run(options: runner.RunOptions, result: Result, limit_s: float) -> None:
    try:
        async with asyncio.timeout(limit_s):
            done = await runner.run(options, rehearsal.CHECKS, lambda _: None)
    except TimeoutError:
        result.problems.append(f"overrun: it did not end within {limit_s:.0f} s")
    except AiconformError as told:
        result.code = told.exit_code
        result.reasons["run"] = told.message
        if told.exit_code == 70:
            result.problems.append(f"traceback: {told.message}")
    except Exception as bug:  # noqa: BLE001 - whatever it is, a user would see a traceback
        where = traceback.extract_tb(bug.__traceback__)[-1]
        result.problems.append(f"traceback: {type(bug).__name__}: {bug} at {Path(where.filename).name}:{where.lineno}")
    else:
        result.code = done.exit_code
        _judged(done.verdicts, result)


def _judged(verdicts: Verdicts, result: Result) -> None:
    for check in verdicts.checks:
        result.outcomes[check.requirement] = check.outcome
        result.reasons[check.requirement] = check.reason
        for probe in check.probes:
            result.outcomes[probe.id] = probe.outcome
            result.reasons[probe.id] = probe.reason
            if "stumbled" in probe.reason:
                result.problems.append(f"traceback: {probe.id}: {probe.reason}")
            if probe.outcome in ("undecided", "failed") and not probe.reason:
                result.problems.append(f"reason: {probe.id} is {probe.outcome} and nothing says why")


async def _looked(bench: Bench, proxy: Proxy, result: Result) -> None:
    """What is left of a run, and what became of the foreign objects that were put in its way."""
    foreign = [(path, uid) for path, uid in proxy.planted if not _inside_run(path, result.run)]
    for path, uid in foreign:
        status, found = await bench.admin.json("GET", path)
        if status != 200 or found["metadata"]["uid"] != uid or found["metadata"].get("deletionTimestamp"):
            result.problems.append(f"touched: {path}, put there by somebody else")
        await bench.admin.json("DELETE", path, {"preconditions": {"uid": uid}})
    planted = {path for path, _ in foreign}
    result.left = [path for path in await remains(bench, result.run) if path not in planted]
    result.problems += [f"left: {path}" for path in result.left]


def _inside_run(path: str, run: str) -> bool:
    return f"/namespaces/aiconform-{run}/" in path or f"/namespaces/aiconform-{run}-baseline/" in path
