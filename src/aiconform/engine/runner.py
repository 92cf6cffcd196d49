"""Runs a plan on a live cluster and seals what was seen."""

from __future__ import annotations

import secrets
import shutil
import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from aiconform.cluster.connection import connect
from aiconform.cluster.http import ClusterHttp
from aiconform.cluster.plugin_process import Aside
from aiconform.engine.api import import_path
from aiconform.engine.conduct import Outcome, compose, conduct
from aiconform.engine.events import Emit, PluginAsks, PluginDone, RunFinished, RunStarted, Told
from aiconform.engine.images import DEFAULT_IMAGES
from aiconform.engine.journal import NAME, Journal
from aiconform.engine.live import Clock, Wire
from aiconform.engine.ownership import namespaces
from aiconform.engine.planner import plan as make_plan
from aiconform.engine.preflight import PreflightError
from aiconform.engine.stage import LiveStage
from aiconform.engine.sweep import find, remove_left
from aiconform.engine.undecidable import UndecidableError
from aiconform.engine.unrecorded import UnrecordedLane
from aiconform.errors import AiconformError, UnreachableError
from aiconform.evidence.redact import Redactor
from aiconform.evidence.writer import BundleWriter

if TYPE_CHECKING:
    from aiconform.engine.arrivals import Arrivals
    from aiconform.engine.model import Check
    from aiconform.evidence.documents import Plan, Verdicts


@dataclass(frozen=True)
class RunOptions:
    """What a run is asked to do.

    Attributes:
        requirements: ids; empty for all of the release.
        output: directory of the run; the bundle goes to ``<output>/bundle``.
        keep: leave the objects on the cluster.
        run: the run's id; made if empty.
        images: reference by role; the public ones where it names none.
        arrivals: tells of parts of the cluster that come up while the run goes on.
        command: the command line, for the plan.
        options: what was told of the cluster, by name: see :mod:`aiconform.catalog.options`.
        imports: files that the user gives, by requirement; each is sealed into the bundle as it is.
        report_sha256: digest of what will render the page, for the plan.
    """

    release: str
    output: Path
    requirements: tuple[str, ...] = ()
    kubeconfig: Path | None = None
    context: str | None = None
    keep: bool = False
    images: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    run: str = ""
    arrivals: Arrivals | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    imports: Mapping[str, bytes] = field(default_factory=dict)
    report_sha256: str = ""


@dataclass(frozen=True)
class RunResult:
    """What a run came to."""

    verdicts: Verdicts
    bundle: Path
    root_sha256: str
    exit_code: int


class AbandonedError(AiconformError):
    """A second interrupt ended the run before its clean-up was over."""

    exit_code = 130


def new_run_id() -> str:
    """64 random bits."""
    return secrets.token_hex(8)


async def run(options: RunOptions, checks: Mapping[str, Check], emit: Emit) -> RunResult:
    """Run the checks against a cluster and write a sealed bundle.

    The first SIGINT, SIGTERM or SIGHUP ends the probes; clean-up and sealing follow. The second ends everything.

    Raises:
        UsageError: unknown release or requirement, or an output that cannot be written.
        UnreachableError: the cluster cannot be reached or refuses what is needed; nothing is left on it.
        AbandonedError: interrupted twice; says how to remove the rest.
    """
    connection = connect(options.kubeconfig, options.context)
    redactor = Redactor(connection.secrets)
    cluster = ClusterHttp(connection, redactor.learn_secret, _aside(redactor, emit))
    clock = Clock()
    run_id = options.run or new_run_id()
    plan = make_plan(
        run=run_id,
        release=options.release,
        requirements=options.requirements,
        checks=checks,
        created=clock.wall(),
        command=[redactor.without_secrets(word) for word in options.command],
        server_ca_sha256=connection.ca_sha256,
        unusual=connection.unusual,
        images={**DEFAULT_IMAGES, **options.images},
        options=options.options,
        report_sha256=options.report_sha256,
    )
    bundle = options.output / "bundle"
    writer = BundleWriter(bundle, wall=clock.wall, mono_us=clock.mono_us)
    started = writer.commit_plan(plan).wall
    emit(RunStarted(plan, bundle))
    journal = Journal(options.output / NAME, run_id, connection.server)
    async with cluster as http:
        imports = {import_path(name): data for name, data in options.imports.items()}
        stage = LiveStage(Wire(run_id, http, writer, redactor, clock, journal, imports=imports), options.arrivals)

        async def work() -> Outcome:
            return await conduct(stage, plan, checks, emit, keep=options.keep, side_by_side=True)

        left = True
        try:
            outcome = await _until_told(stage, plan, work)
            left = options.keep or bool(outcome.left)
        except PreflightError as refused:
            left = bool(refused.left)
            # nothing was observed: an unsealed bundle would only be litter
            shutil.rmtree(bundle, ignore_errors=True)
            trouble = http.trouble and http.trouble.hint
            raise _refusal(refused, connection.server, run_id, trouble or "") from refused
        except (AbandonedError, anyio.get_cancelled_exc_class()):
            raise
        except BaseException:
            # a bug, or a disk that is full: what can no longer be recorded is removed all the same
            left = not await _swept(http, run_id)
            raise
        finally:
            journal.close(keep=left)
    verdicts = compose(plan, outcome, started=started, ended=writer.last_wall, keep=options.keep)
    root = writer.seal(verdicts=verdicts, partial=outcome.partial)
    emit(RunFinished(verdicts, bundle, root, clock.seconds()))
    return RunResult(verdicts, bundle, root, verdicts.exit_code)


def _aside(redactor: Redactor, emit: Emit) -> Aside:
    """How credential plugins talk to whoever watches the run."""

    @contextmanager
    def terminal(name: str) -> Iterator[None]:
        emit(PluginAsks(name))
        try:
            yield
        finally:
            emit(PluginDone())

    return Aside(lambda line: emit(Told(redactor.redact_text(line))), terminal)


def _refusal(refused: PreflightError, server: str, run: str, hint: str) -> UnreachableError:
    details = [*refused.details, f"server {server}", *(f"may be left on the cluster: {name}" for name in refused.left)]
    hint = (
        f"aiconform cleanup --run {run}"
        if refused.left
        else refused.hint or hint or "try kubectl get nodes with the same context"
    )
    return UnreachableError(refused.cause, details=details, hint=hint)


async def _swept(http: ClusterHttp, run: str) -> bool:
    """Remove what is there of a run without recording it; returns whether nothing is left."""
    lane = UnrecordedLane(http, run, "sweep")
    still: list[str] = []
    with anyio.CancelScope(shield=True):
        try:
            found = await find(lane, run)
            still += found.unseen
            for left in found.runs:
                still += (await remove_left(lane, left, lambda _: None)).left
        except UndecidableError as problem:
            still.append(problem.cause)
    return not still


async def _until_told(stage: LiveStage, plan: Plan, work: Callable[[], Awaitable[Outcome]]) -> Outcome:
    """Do the work; the first signal interrupts the stage, the second ends everything."""
    result: list[Outcome] = []
    abandoned = False

    async def listen() -> None:
        nonlocal abandoned
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
            async for _ in signals:
                if stage.interrupted:
                    abandoned = True
                    stage.abandon()
                    raise _SecondSignalError
                stage.interrupt()

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(listen)
            result.append(await work())
            group.cancel_scope.cancel()
    except* _SecondSignalError:
        pass
    except* PreflightError as refused:
        raise refused.exceptions[0] from None
    if abandoned or not result:
        name = namespaces(plan.run)["restricted"]
        raise AbandonedError(
            "interrupted before the clean-up was over",
            details=[f"namespace {name} may be left on the cluster"],
            hint=f"aiconform cleanup --run {plan.run}",
        )
    return result[0]


class _SecondSignalError(Exception):
    """Ends the task group at once."""
