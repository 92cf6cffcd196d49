"""``aiconform catalog``: what a release asks."""

from __future__ import annotations

import json
from dataclasses import asdict

import click


@click.command()
@click.argument("requirement", required=False)
@click.option("--release", default="1.35", show_default=True, help="Release of the checklist.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Of the list."
)
def catalog(requirement: str | None, release: str, form: str) -> None:
    """Show what a release asks, or one requirement of it."""
    from aiconform import catalog as catalogue

    asked = catalogue.requirements(release)
    found = [catalogue.get(release, requirement)] if requirement else list(asked)
    if form == "json":
        click.echo(json.dumps([asdict(item) for item in found], indent=2))
        return
    from aiconform.checks import all_checks

    checks = all_checks()
    for item in found:
        state = "checked" if item.id in checks else "no check yet"
        click.echo(f"{item.level:<6}  {item.id:<28} {item.kar or '-':<9} {state:<13} {item.title}")
    if requirement:
        _details(found[0].asks, checks.get(found[0].id))


def _details(asks: str, check: object) -> None:
    click.echo(f"\n{asks}")
    for probe in getattr(check, "probes", []):
        click.echo(f"\n  {probe.kind:<9} {probe.title}\n            fails if {probe.fails_if}")
    for limit in getattr(check, "limits", ()):
        click.echo(f"\n  does not show: {limit}")
