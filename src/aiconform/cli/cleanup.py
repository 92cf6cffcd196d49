"""``aiconform cleanup``: removes what earlier runs left on a cluster, from any machine, and nothing else."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aiconform.cli import exit as exits
from aiconform.cli.text import took, visible
from aiconform.errors import UnreachableError, UsageError

if TYPE_CHECKING:
    from aiconform.engine.events import Event
    from aiconform.engine.sweep import Found, Left
    from aiconform.engine.unrecorded import UnrecordedLane

_AGAIN = "aiconform cleanup, once what holds it is gone; no finalizer is removed for you"
_LOOK_AGAIN = "aiconform cleanup, once the API server reads these again"


@dataclass(frozen=True)
class _Asked:
    run: str
    journal: Path | None
    alive: bool
    yes: bool
    dry_run: bool
    wait_s: float


@click.command()
@click.option("--context", help="Context of the kubeconfig; the current one if absent.")
@click.option("--kubeconfig", type=click.Path(path_type=Path), help="File; $KUBECONFIG or ~/.kube/config if absent.")
@click.option("--run", "run_id", metavar="ID", help="Of this run only, however young it is.")
@click.option(
    "--journal", type=click.Path(path_type=Path), help="Of the run with this journal, or directory, however young."
)
@click.option("--all", "alive", is_flag=True, help="Also of runs that may still be going on somewhere.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only show what would be removed.")
@click.option("--wait", "wait_s", type=click.FloatRange(1), default=120, show_default=True, help="Seconds to wait.")
def cleanup(
    *,
    context: str | None,
    kubeconfig: Path | None,
    run_id: str | None,
    journal: Path | None,
    alive: bool,
    yes: bool,
    dry_run: bool,
    wait_s: float,
) -> int:
    """Remove what earlier runs left on a cluster, from any machine, and nothing else.

    What is of a run is known by its label, its name, and an annotation that fits no other object. Runs that may still
    be going on are left alone unless they are named. What does not go is named with what holds it.

    Exit codes: 0 nothing is left; 2 nothing was removed, because nobody said yes; 4 the cluster cannot be reached; 5
    something is left.
    """
    import anyio

    from aiconform.engine.ownership import is_run

    if run_id is not None and not is_run(run_id):
        raise UsageError(f"{run_id} is no id of a run", hint="16 hexadecimal digits, as after runs/ or aiconform-")
    asked = _Asked(run_id or "", journal, alive, yes, dry_run, wait_s)
    return anyio.run(_work, kubeconfig, context, asked)


async def _work(kubeconfig: Path | None, context: str | None, asked: _Asked) -> int:
    from aiconform.cluster.connection import connect
    from aiconform.cluster.http import ClusterHttp
    from aiconform.engine import journal
    from aiconform.engine.sweep import find
    from aiconform.engine.undecidable import RefusedError, UndecidableError
    from aiconform.engine.unrecorded import UnrecordedLane

    beside = Path("runs") / asked.run / journal.NAME
    place = asked.journal or (beside if asked.run and beside.is_file() else None)
    told = journal.read(place) if place is not None else None
    run = told.run if told else asked.run
    if told and asked.run not in ("", told.run):
        raise UsageError(f"the journal is of run {told.run}, not of {asked.run}", hint="leave one of the two out")
    connection = connect(kubeconfig, context)
    async with ClusterHttp(connection) as http:
        lane = UnrecordedLane(http, f"cleanup-{secrets.token_hex(4)}")
        try:
            found = await find(lane, run, told.entries if told else None)
        except UndecidableError as problem:
            few_rights = isinstance(problem, RefusedError) and problem.status == 403 and not run
            hint = "aiconform cleanup --run ID needs no right to list" if few_rights else "try kubectl get namespaces"
            raise UnreachableError(problem.cause, details=[f"server {connection.server}"], hint=hint) from problem
        return await _removed(lane, found, asked, run)


async def _removed(lane: UnrecordedLane, found: Found, asked: _Asked, run: str) -> int:
    if not found.runs and not found.unseen:
        _say(f"nothing of run {run} is on this cluster" if run else "nothing of an earlier run is on this cluster")
        return exits.OK
    wanted = [left for left in found.runs if run or asked.alive or not left.may_be_alive]
    for left in found.runs:
        _show(left, spared=left not in wanted)
    if asked.dry_run:
        _say(*(f"could not look for {name}" for name in found.unseen))
        return exits.OK
    if wanted and not asked.yes and not _agreed(len(wanted)):
        return exits.USAGE
    whole = len(wanted) == len(found.runs) and not found.unseen
    for left in wanted:
        whole = await _remove(lane, left, asked.wait_s) and whole
    if len(wanted) < len(found.runs):
        _say("", "hint: aiconform cleanup --run ID removes what is left of a run that you know has ended")
    _tell_unseen(found.unseen)
    return exits.OK if whole else exits.LEFT


async def _remove(lane: UnrecordedLane, left: Left, wait_s: float) -> bool:
    """Remove what is left of a run; returns whether all of it is gone."""
    from aiconform.engine.sweep import remove_left

    result = await remove_left(lane, left, _tell, within_s=wait_s)
    for name in result.removed:
        click.echo(visible(f"removed {name}"))
    for name in result.left:
        click.echo(visible(f"left {name}"))
    if result.left:
        _say("", f"hint: {_AGAIN}")
    return not result.left


def _tell_unseen(unseen: Sequence[str]) -> None:
    for name in unseen:
        click.echo(visible(f"left {name}"))
    if unseen:
        _say("", f"hint: {_LOOK_AGAIN}")


def _show(left: Left, *, spared: bool) -> None:
    contents = left.contents
    inside = ", ".join(f"{number} {kind}" for kind, number in sorted(contents.items())) if contents else "nothing"
    _say(f"run {left.run}, begun {took(left.age_s)} ago" + (", may still be going on: left alone" if spared else ""))
    for handle in left.handles:
        _say(f"  {handle}")
    _say("  with what could not be looked at" if contents is None else f"  with {inside}")


def _agreed(runs: int) -> bool:
    if not sys.stdin.isatty():
        _say("", "nothing was removed", "", "hint: --yes removes without asking, --dry-run only shows")
        return False
    return click.confirm(f"remove what is left of {runs} run{'s' if runs > 1 else ''}?", err=True)


def _tell(event: Event) -> None:
    from aiconform.engine.events import CleaningUp

    if isinstance(event, CleaningUp) and event.held_by:
        _say(f"still there: {event.remaining[0]}", *(f"  {held}" for held in event.held_by))


def _say(*lines: str) -> None:
    for line in lines:
        click.echo(visible(line), err=True)
