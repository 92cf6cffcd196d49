"""Exit codes, and how every error becomes one.

0 every MUST passed or is justified n/a; 1 a MUST failed, or a bundle does not hold; 2 usage; 3 none failed, one
undecided or not run, or the run left something on the cluster; 4 cluster unreachable or preflight refused; 5
``cleanup`` left something; 70 our bug; 130 interrupted, after clean-up and sealing; 141 whoever read standard output
has gone.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import click

from aiconform import __version__
from aiconform.cli.text import visible, visible_lines
from aiconform.errors import AiconformError

OK = 0
FAILED = 1
USAGE = 2
UNDECIDED = 3
UNREACHABLE = 4
LEFT = 5
BUG = 70
INTERRUPTED = 130
NOBODY_READS = 141


def guarded(work: Callable[[], int | None], *, verbose: bool) -> int:
    """Do the work of a command; tell what went wrong on standard error and return the exit code."""
    try:
        return work() or OK
    except click.exceptions.Exit as left:
        return left.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except Exception as caught:  # noqa: BLE001 - every error is told to a person, none is thrown at them
        problem = _leaf(caught)
        code = _tell(problem)
        if verbose:
            click.echo(traceback.format_exc(), err=True)
        elif code == BUG:
            click.echo(f"\nhint: {_kept(caught)}", err=True)
        return code


def _leaf(problem: Exception) -> Exception:
    """What went wrong inside a group of tasks: what is meant for people, else the first of all."""
    leaves = _leaves(problem)
    return next((leaf for leaf in leaves if isinstance(leaf, AiconformError)), leaves[0])


def _leaves(problem: Exception) -> list[Exception]:
    if isinstance(problem, ExceptionGroup):
        return [leaf for inner in problem.exceptions for leaf in _leaves(inner)]
    return [problem]


def _kept(problem: Exception) -> str:
    """Keep the traceback of a bug in a file, and say where it is."""
    text = "".join(traceback.format_exception(problem))
    try:
        home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "aiconform"
        file = home / "last-error.txt"
        home.mkdir(parents=True, exist_ok=True)
        file.write_text(f"aiconform {__version__}, Python {sys.version}\n{text}", encoding="utf-8")
    except (OSError, RuntimeError):  # the latter where nobody's home is known
        return "the same command with -v shows where it happened"
    return f"please report it with {file}; the same command with -v shows it at once"


def _tell(problem: Exception) -> int:
    if isinstance(problem, click.ClickException):
        where = getattr(problem, "ctx", None)
        path = where.command_path if where is not None else "aiconform"
        told = problem.format_message().rstrip(".")
        click.echo(f"error: {visible(told[:1].lower() + told[1:])}\n\nhint: {path} --help", err=True)
        return USAGE
    if isinstance(problem, AiconformError):
        click.echo(visible_lines(problem.render()), err=True)
        return problem.exit_code
    words = visible(f"{type(problem).__name__}: {problem}")
    click.echo(f"error: this is a bug of aiconform: {words}", err=True)
    return BUG
