"""``aiconform catalog``: what a release asks, and ``catalog diff``: what another asks otherwise."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from aiconform.catalog import Requirement
    from aiconform.catalog.changes import Changes

FORMAT = click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Of the list."
)


@click.command()
@click.argument("old")
@click.argument("new")
@FORMAT
def diff(old: str, new: str, form: str) -> None:
    """Show what release NEW asks otherwise than release OLD."""
    from aiconform.catalog import changes

    found = changes.between(old, new)
    if form == "json":
        click.echo(json.dumps(asdict(found), indent=2))
        return
    click.echo(_told(found))
    _note(old, new)


class _Catalog(click.Command):
    """A command whose first word may be the name of one below it; ids of requirements never are."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if args[:1] != [diff.name]:
            return super().make_context(info_name, args, parent, **extra)
        prefix = f"{parent.auto_envvar_prefix}_CATALOG_DIFF" if parent and parent.auto_envvar_prefix else None
        return diff.make_context(f"{info_name} diff", args[1:], parent, auto_envvar_prefix=prefix, **extra)


@click.command(cls=_Catalog)
@click.argument("requirement", required=False)
@click.option("--release", default="1.35", show_default=True, help="Release of the checklist.")
@FORMAT
def catalog(requirement: str | None, release: str, form: str) -> None:
    """Show what a release asks, or one requirement of it.

    `aiconform catalog diff OLD NEW` shows what a release asks otherwise than another.
    """
    from aiconform import catalog as catalogue

    asked = catalogue.requirements(release)
    found = [catalogue.get(release, requirement)] if requirement else list(asked)
    if form == "json":
        click.echo(json.dumps([asdict(item) for item in found], indent=2))
        return
    from aiconform.checks import all_checks

    checks = all_checks()
    for item in found:
        check = checks.get(item.id)
        state = ("by hand" if check.by_hand else "checked") if check else "no check yet"
        click.echo(f"{_line(item)} {state:<13} {item.title}")
    if requirement:
        _details(found[0], checks.get(found[0].id))
    _note(release)


def _note(*releases: str) -> None:
    """Say of what was listed that it is not from a form, where that is so."""
    from aiconform import catalog as catalogue

    for release in dict.fromkeys(releases):
        if not catalogue.form_known(release):
            words = f"the official form of {release} was not at hand: its listing was, without its words"
            click.echo(f"note: {words}; conditions are taken to be those of the release before", err=True)


def _line(item: Requirement) -> str:
    return f"{item.level:<6}  {item.id:<28} {item.kar or '-':<9}"


def _details(item: Requirement, check: object) -> None:
    click.echo(f"\n{item.asks}")
    if item.condition:
        click.echo(f"\n  asked if  {item.condition}\n  else n/a: {item.why_na}")
    for probe in getattr(check, "probes", []):
        click.echo(f"\n  {probe.kind:<9} {probe.title}\n            fails if {probe.fails_if}")
    for limit in getattr(check, "limits", ()):
        click.echo(f"\n  does not show: {limit}")


def _told(found: Changes) -> str:
    lines = [f"{release}: {count['MUST']} MUST, {count['SHOULD']} SHOULD" for release, count in found.totals.items()]
    parts = {
        "added": [f"{_line(item)} {item.title}" for item in found.added],
        "removed": [f"{_line(item)} {item.title}" for item in found.removed],
        "level changed": [f"{one.id:<28} {one.old} -> {one.new}" for one in found.levels],
        "condition changed": [
            f"{one.id:<28} asked {one.old or 'always'} -> {one.new or 'always'}" for one in found.conditions
        ],
    }
    for title, rows in parts.items():
        lines += ["", title, *(f"  {row.rstrip()}" for row in rows or ["nothing"])]
    return "\n".join(lines)
