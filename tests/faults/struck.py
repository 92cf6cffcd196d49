"""One run in a process of its own that is struck on its machine (:mod:`tests.faults.strikes`), and what came of it."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from pathlib import Path

from tests.faults import rehearsal, strikes
from tests.faults.bench import Bench, Result, budget_s, remains, scan_files, take_requests
from tests.faults.cases import Case
from tests.faults.proxy import Proxy
from tests.faults.victim import Victim

INTERRUPTED, USAGE = 130, 2
AFTER_STRIKE_S = 30.0
"""How long a run may take to end and clean up after what lets it."""
_FULL = "No space left on device"


async def tried(bench: Bench, case: Case, seed: int, reference: Result) -> Result:
    """A run that is struck at one of its writes."""
    result = Result(str(case), case.run(seed))
    place = bench.place(case, result.run)
    name, when = case.strike or ("", "")
    disk = place / "disk"
    disk.mkdir()
    victim = Victim(disk, own_disk=name == strikes.DISK_FULL)
    script = {case.number: strikes.at_request(name, when, victim)} if when in strikes.AT_THE_PROXY else {}
    async with bench.proxy(case, seed, script) as proxy:
        began = time.monotonic()
        where = ["--kubeconfig", str(bench.kubeconfig(place, proxy.port)), "--output", str(disk / "run")]
        environment = {"FAULTS_RUN": result.run}
        if when == strikes.JOURNAL:
            environment["FAULTS_STOP"] = str(sum(number < case.number for number in reference.creations))
        await victim.start(["run", rehearsal.GOOD.requirement, *where], environment)
        limit = budget_s(case.subject) * 1.1
        struck_at = began
        if when == strikes.JOURNAL and await strikes.at_stop(name, victim):
            struck_at = time.monotonic()
            result.struck = 1
        if not await victim.ended(limit):
            result.problems.append(f"overrun: it did not end within {limit:.0f} s")
        ended = time.monotonic()
        take_requests(result, proxy)
        result.wall_s = ended - began
        result.code = victim.code
    await _judged(name, result, victim, ended - (proxy.struck_at or struck_at))
    scan_files(disk / "run", result)
    result.left = await remains(bench, result.run)
    if result.struck and name not in strikes.MERCIFUL:
        await _swept(bench, case, place, seed, result)
    else:
        # a run asks now and then one request less than the one that was recorded; the table says how many were struck
        result.problems += [f"left: {path}" for path in result.left]
    shutil.rmtree(place, ignore_errors=True)
    return result


async def _judged(name: str, result: Result, victim: Victim, after_s: float) -> None:
    """What a run says, how it ends, and how soon after what ends it."""
    said = await victim.said()
    if "Traceback" in said or "Exception" in said or "bug of aiconform" in said:
        result.problems.append(f"traceback: {said[-600:]}")
    if not result.struck or name not in strikes.MERCIFUL:
        return
    wanted = {strikes.DISK_FULL: USAGE, strikes.SCREEN_GONE: 0}.get(name, INTERRUPTED)
    if victim.code != wanted:
        result.problems.append(f"exit: {victim.code} after {name}, not {wanted}: {said[-300:]}")
    if name == strikes.DISK_FULL and _FULL not in said:
        result.problems.append(f"silence: nothing says that the disk was full: {said[-300:]}")
    if name != strikes.SCREEN_GONE and after_s > AFTER_STRIKE_S:
        result.problems.append(f"overrun: {after_s:.0f} s from {name} to the end")


async def _swept(bench: Bench, case: Case, place: Path, seed: int, result: Result) -> None:
    """One clean-up from elsewhere, which knows of the run by its id alone, leaves nothing."""
    result.swept = "cleanup"
    elsewhere = place / "elsewhere"
    elsewhere.mkdir()
    async with bench.proxy(case, seed, {}) as proxy:
        process = await _cleanup(bench, elsewhere, proxy, result.run)
        _, err = await process.communicate()
    if process.returncode != 0:
        result.problems.append(f"cleanup: exit {process.returncode}: {err.decode(errors='replace')[-300:]}")
    result.problems += [f"left: {path} after the clean-up" for path in await remains(bench, result.run)]


async def _cleanup(bench: Bench, elsewhere: Path, proxy: Proxy, run: str) -> asyncio.subprocess.Process:
    command = [sys.executable, "-m", "aiconform", "cleanup", "--run", run, "--yes"]
    return await asyncio.create_subprocess_exec(
        *command,
        "--kubeconfig",
        str(bench.kubeconfig(elsewhere, proxy.port)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        cwd=elsewhere,
        env={**os.environ, "HOME": str(elsewhere), "XDG_STATE_HOME": str(elsewhere)},
    )
