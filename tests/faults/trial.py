"""One run of the real engine through the fault proxy, and what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import shutil
import ssl
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.faults import checker, rehearsal, strikes
from tests.faults.cases import OUTAGES, Case
from tests.faults.kinds import KINDS, TRAP
from tests.faults.outages import outage
from tests.faults.plane import ADMIN, Plane
from tests.faults.proxy import Fault, Proxy, Upstream
from tests.faults.wire import Head

from aiconform.engine import runner
from aiconform.engine.rejudge import rejudge
from aiconform.errors import AiconformError
from aiconform.evidence.documents import Verdicts
from aiconform.evidence.reader import open_bundle
from aiconform.local.pki import Authority

TOP = Path(__file__).resolve().parents[2]
TOKEN = "faults-token-0123456789abcdef"
RELEASE = "1.35"
PREFLIGHT_S = 120.0
CLEAN_UP_S = 120.0
"""What the engine allows each of the two clean-ups of a run: of the check, and of the run."""
SWEEP_S = 60.0
INTERRUPTED = 130
AFTER_SIGNAL_S = 30.0
"""How long a run may take to end and clean up after a signal that lets it."""
_RUNNER_CERT_NAMES = ["127.0.0.1", "localhost"]
_KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: faults
clusters:
- name: faults
  cluster: {{server: "https://127.0.0.1:{port}", certificate-authority: "{ca}"}}
contexts:
- name: faults
  context: {{cluster: faults, user: faults}}
users:
- name: faults
  user: {{token: "{token}"}}
"""


def budget_s(subject: str) -> float:
    """How long a run may take by the engine's own limits: before the checks, in them, and for both clean-ups."""
    check = rehearsal.GOOD if subject == "good" else rehearsal.BAD
    return PREFLIGHT_S + sum(probe.timeout_s for probe in check.probes) + 2 * CLEAN_UP_S


@dataclass
class Result:
    """What came of a run.

    Attributes:
        outcomes: verdict by probe, and of the requirement under its own name; empty where nothing was sealed.
        requests: what was asked, as ``METHOD /path?query``, in order.
        writes: numbers of the requests that write.
        problems: what must not be, each with a first word that says of which sort it is.
        left: objects of the run that were there after it (and, where that is allowed, before the clean-up after it).
    """

    case: str
    run: str
    code: int = -1
    wall_s: float = 0.0
    outcomes: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    writes: list[int] = field(default_factory=list)
    struck: int = 0
    problems: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    swept: str = ""

    def line(self) -> str:
        """As a line of JSON."""
        return json.dumps({**asdict(self), "requests": len(self.requests)})


class Bench:
    """Where runs are made: a control plane, and what stands between it and them. Use as ``async with``."""

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        self.authority = Authority("faults-proxy-ca")
        self.scratch = Path(tempfile.mkdtemp(prefix="aiconform-faults-runs-"))
        self.ca = self.scratch / "ca.crt"
        self.ca.write_bytes(self.authority.pair.certificate)
        self.authority.issue("faults-proxy", names=_RUNNER_CERT_NAMES).write(self.scratch, "proxy")
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(self.scratch / "proxy.crt", self.scratch / "proxy.key")
        self.upstream: Upstream = plane.upstream()
        self.admin: Upstream = plane.upstream(ADMIN)

    async def __aenter__(self) -> Bench:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.upstream.close()
        self.admin.close()
        shutil.rmtree(self.scratch, ignore_errors=True)

    async def up_again(self) -> None:
        """Wait until the control plane answers and writes, after an outage."""
        while True:
            with contextlib.suppress(OSError, EOFError):
                answer = await self.admin.ask(Head("GET /readyz HTTP/1.1", ()))
                if answer.status == 200:
                    return
            await asyncio.sleep(0.5)

    def proxy(self, case: Case, seed: int, script: Mapping[int, Fault]) -> Proxy:
        """A proxy for one run."""
        return Proxy(self.upstream, self.tls, TOKEN, script, case.rng(seed), planter=self.admin)

    def place(self, case: Case, run: str) -> Path:
        """A directory for one run."""
        place = self.scratch / f"{case.kind}-{case.number}-{case.subject}-{run}"
        place.mkdir()
        return place

    def kubeconfig(self, place: Path, port: int) -> Path:
        """The run's kubeconfig: the proxy, and nothing else."""
        path = place / "kubeconfig"
        path.write_text(_KUBECONFIG.format(port=port, ca=self.ca, token=TOKEN))
        return path


async def clean(bench: Bench, subject: str, seed: int) -> Result:
    """A run in which nothing is injected."""
    return await _inside(bench, Case("clean", 0, subject), seed, {})


async def tried(bench: Bench, case: Case, seed: int, reference: Result) -> Result:
    """A run with a fault, held against the one without."""
    if case.signal is not None:
        return await _struck(bench, case, seed)
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
        _seen(result, proxy)
    await asyncio.to_thread(_verified, place / "run" / "bundle", result)
    _scan(place / "run", result)
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


def _seen(result: Result, proxy: Proxy) -> None:
    result.requests = [f"{request.method} {request.target}" for request in proxy.seen]
    result.writes = [request.number for request in proxy.seen if request.writes]
    result.struck = len(proxy.struck)
    if any(request.path.startswith(TRAP) for request in proxy.seen):
        result.problems.append("redirect: it was followed")
    if proxy.strangers:
        result.problems.append(f"redirect: {proxy.strangers} requests without the token")


def _verified(bundle: Path, result: Result) -> None:
    """What a run has sealed must be re-derived from its log, whatever happened to it."""
    if not (bundle / "manifest.json").is_file():
        return
    try:
        again = rejudge(open_bundle(bundle), rehearsal.CHECKS)
    except Exception as bug:  # noqa: BLE001 - verify would show a traceback
        result.problems.append(f"verify: {type(bug).__name__}: {bug}")
        return
    if again.outcome != "same":
        result.problems.append(f"verify: {again.outcome}: {'; '.join(again.problems)[:300]}")


def _scan(output: Path, result: Result) -> None:
    """No file of a run holds its token."""
    for path in output.rglob("*"):
        if path.is_file() and TOKEN.encode() in path.read_bytes():
            result.problems.append(f"credential: in {path.relative_to(output)}")


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


async def remains(bench: Bench, run: str) -> list[str]:
    """Paths of the root objects of a run that are still there: its namespaces, and what it makes outside of them."""
    found = []
    for name in (f"aiconform-{run}", f"aiconform-{run}-baseline"):
        status, _ = await bench.admin.json("GET", f"/api/v1/namespaces/{name}")
        if status != 404:
            found.append(f"/api/v1/namespaces/{name}")
    classes = "/apis/resource.k8s.io/v1/deviceclasses"
    _, listed = await bench.admin.json("GET", f"{classes}?labelSelector=aiconform.dev%2Frun%3D{run}")
    owned = [item["metadata"] for item in listed.get("items", []) if item["metadata"].get("ownerReferences")]
    return found + [f"{classes}/{meta['name']}" for meta in owned]


# -- signals ----------------------------------------------------------------------------------------------------------


async def _struck(bench: Bench, case: Case, seed: int) -> Result:
    """A run in a process of its own, as a user starts it, that is sent signals at one of its writes."""
    result = Result(str(case), case.run(seed))
    place = bench.place(case, result.run)
    name, when = case.signal or ("", "")
    process: list[asyncio.subprocess.Process] = []
    script = {case.number: strikes.strike(name, when, lambda: process[0].pid)}
    async with bench.proxy(case, seed, script) as proxy:
        began = time.monotonic()
        process.append(await _started(bench, place, proxy.port, result.run))
        limit = budget_s(case.subject) * 1.1
        err = b""
        try:
            async with asyncio.timeout(limit):
                _, err = await process[0].communicate()
        except TimeoutError:
            process[0].kill()
            await process[0].communicate()
            result.problems.append(f"overrun: it did not end within {limit:.0f} s")
        result.wall_s = time.monotonic() - began
        result.code = process[0].returncode if process[0].returncode is not None else -1
        _seen(result, proxy)
    said = err.decode(errors="replace")
    if "Traceback" in said or "Exception" in said:
        result.problems.append(f"traceback: {said[-600:]}")
    _scan(place / "run", result)
    if not result.struck:
        # a run asks now and then one request less than the one that was recorded; the table says how many were struck
        result.left = await remains(bench, result.run)
        result.problems += [f"left: {path}" for path in result.left]
    elif name in strikes.MERCIFUL:
        _merciful(process[0], proxy, began, result)
        result.left = await remains(bench, result.run)
        result.problems += [f"left: {path}" for path in result.left]
    else:
        result.left = await remains(bench, result.run)
        await _swept(bench, case, place, seed, result)
    shutil.rmtree(place, ignore_errors=True)
    return result


def _merciful(process: asyncio.subprocess.Process, proxy: Proxy, began: float, result: Result) -> None:
    """After a signal that lets it, a run cleans up, says so by its exit code, and takes no longer than it may."""
    after = result.wall_s - (proxy.struck_at - began)
    if after > AFTER_SIGNAL_S:
        result.problems.append(f"overrun: {after:.0f} s from the signal to the end")
    if process.returncode != INTERRUPTED:
        result.problems.append(f"exit: {process.returncode} after a signal, not {INTERRUPTED}")


async def _started(bench: Bench, place: Path, port: int, run: str) -> asyncio.subprocess.Process:
    command = [sys.executable, "-m", "tests.faults.subject", "run", rehearsal.GOOD.requirement]
    where = ["--kubeconfig", str(bench.kubeconfig(place, port)), "--output", str(place / "run")]
    return await asyncio.create_subprocess_exec(
        *command,
        *where,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        cwd=TOP,
        env={**os.environ, "FAULTS_RUN": run},
    )


def cleanup_command() -> bool:
    """Whether this version of aiconform can clean up after a run that was killed."""
    return importlib.util.find_spec("aiconform.cli.cleanup") is not None


async def _swept(bench: Bench, case: Case, place: Path, seed: int, result: Result) -> None:
    """One clean-up from elsewhere, which knows of the run by its id alone, leaves nothing."""
    if not cleanup_command():
        result.swept = "not yet run: there is no cleanup command; the root object was deleted instead"
        await deleted_roots(bench, result.run)
    else:
        result.swept = "cleanup"
        async with bench.proxy(case, seed, {}) as proxy:
            command = [sys.executable, "-m", "aiconform", "cleanup", "--run", result.run, "--yes"]
            elsewhere = place / "elsewhere"
            elsewhere.mkdir()
            process = await asyncio.create_subprocess_exec(
                *command,
                "--kubeconfig",
                str(bench.kubeconfig(elsewhere, proxy.port)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                cwd=elsewhere,
                env={**os.environ, "HOME": str(elsewhere), "XDG_STATE_HOME": str(elsewhere)},
            )
            _, err = await process.communicate()
        if process.returncode != 0:
            result.problems.append(f"cleanup: exit {process.returncode}: {err.decode(errors='replace')[-300:]}")
    result.problems += [f"left: {path} after the clean-up" for path in await remains(bench, result.run)]


async def deleted_roots(bench: Bench, run: str) -> None:
    """Delete what owns everything of a run, and wait until that is gone."""
    name = f"/api/v1/namespaces/aiconform-{run}"
    await bench.admin.json("DELETE", name)
    deadline = time.monotonic() + SWEEP_S
    while await remains(bench, run) and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.5)
