"""Exit codes, and how every error becomes one.

0 every MUST passed or is justified n/a; 1 a MUST failed, or a bundle does not hold; 2 usage; 3 none failed, one
undecided or not run; 4 cluster unreachable or preflight refused; 70 our bug; 130 interrupted, after clean-up and
sealing.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable

import click

from aiconform.errors import AiconformError

OK = 0
FAILED = 1
USAGE = 2
UNDECIDED = 3
UNREACHABLE = 4
BUG = 70
INTERRUPTED = 130


def guarded(work: Callable[[], int | None], *, verbose: bool) -> int:
    """Do the work of a command; tell what went wrong on standard error and return the exit code."""
    try:
        return work() or OK
    except click.exceptions.Exit as left:
        return left.exit_code
    except BrokenPipeError:
        # whoever read our output has gone; the interpreter must not try to flush to it again
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return FAILED
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except Exception as problem:  # noqa: BLE001 - every error is told to a person, none is thrown at them
        code = _tell(problem)
        if verbose:
            click.echo(traceback.format_exc(), err=True)
        elif code == BUG:
            click.echo("\nhint: the same command with -v shows where it happened", err=True)
        return code


def _tell(problem: Exception) -> int:
    if isinstance(problem, click.ClickException):
        problem.show()
        return USAGE
    if isinstance(problem, AiconformError):
        click.echo(problem.render(), err=True)
        return problem.exit_code
    click.echo(f"error: this is a bug of aiconform: {type(problem).__name__}: {problem}", err=True)
    return BUG
