"""What may be told of a cluster, on the command line: the options of the catalog, alike for every command."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import click

from aiconform.catalog.options import OPTIONS, checked

Command = TypeVar("Command", bound=Callable[..., None])


def options(command: Command) -> Command:
    """Give a command what may be told of a cluster."""
    for option in reversed(tuple(OPTIONS.values())):
        kind = click.Choice(option.choices) if option.choices else None
        metavar = None if option.choices else option.metavar
        command = click.option(f"--{option.name}", metavar=metavar, type=kind, help=option.help)(command)
    return command


def told(given: Mapping[str, object]) -> dict[str, str]:
    """What was told, of the parameters that a command was given.

    Raises:
        UsageError: a value is not allowed.
    """
    return checked({name: str(given[name.replace("-", "_")] or "") for name in OPTIONS})
