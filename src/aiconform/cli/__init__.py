"""The command line: one file per command; turns events into a screen and errors into exit codes.

Commands are imported when they are used, so that ``--help`` answers at once.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from aiconform import __version__
from aiconform.cli import exit as exits
from aiconform.cli import streams

COMMANDS = {
    "run": "Run the checklist against a cluster and seal the evidence.",
    "doctor": "Look at a cluster: what can be examined there, and which rights are needed.",
    "verify": "Check a bundle offline: intact, complete, every verdict derived again.",
    "report": "Render a bundle as a page, Markdown, JSON or JUnit.",
    "images": "List the images that a run needs, to mirror or pin them.",
    "cleanup": "Remove what earlier runs left on a cluster, from any machine.",
    "catalog": "Show what a release asks.",
    "local": "A real Kubernetes with simulated accelerators on this machine.",
}
"""Commands and their one-line help, in the order shown. Each lives in the module of its name."""


class _Lazy(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        found = getattr(importlib.import_module(f"aiconform.cli.{cmd_name}"), cmd_name)
        assert isinstance(found, click.Command)  # noqa: S101 - each module defines the command of its name
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise click.UsageError(f"no command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.command(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="aiconform %(version)s")
@click.option("-v", "--verbose", is_flag=True, help="Show the traceback of an error.")
def cli(verbose: bool) -> None:  # noqa: FBT001 - taken by main, here for the help
    """Prove that a Kubernetes cluster is AI-conformant, and let others check the proof."""


def main(argv: list[str] | None = None) -> None:
    """The ``aiconform`` command."""
    args = sys.argv[1:] if argv is None else argv
    args, verbose = _without_verbose(args)

    def work() -> int | None:
        result: Any = cli.main(args, prog_name="aiconform", standalone_mode=False, auto_envvar_prefix="AICONFORM")
        return result if isinstance(result, int) else None

    with streams.watched(exits.NOBODY_READS):
        code = exits.guarded(work, verbose=verbose)
    sys.exit(code)


def _without_verbose(args: list[str]) -> tuple[list[str], bool]:
    """Take ``-v`` from wherever it stands; what follows ``kubectl`` or ``--`` is not ours."""
    end = next((n for n, arg in enumerate(args) if arg in ("--", "kubectl")), len(args))
    ours = [arg for arg in args[:end] if arg not in ("-v", "--verbose")]
    return ours + args[end:], len(ours) != end
