"""``aiconform images``: what a run's pods use, for whoever has to mirror, pin or check it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiconform.cli.text import visible
from aiconform.errors import UsageError

if TYPE_CHECKING:
    from aiconform.engine.images import Role

IMAGE = click.option(
    "--image", "images", multiple=True, metavar="ROLE=REF", help="Image for a role, such as probe=REF, as it stands."
)
IMAGE_PREFIX = click.option(
    "--image-prefix",
    metavar="REGISTRY[/PATH]",
    default="",
    help="Mirror to take images from: their registry is replaced, their path kept.",
)


@click.command()
@click.argument("requirements", nargs=-1, metavar="[REQUIREMENT]...")
@click.option("--release", default="1.35", show_default=True, help="Release of the checklist.")
@IMAGE_PREFIX
@IMAGE
@click.option(
    "--bundle",
    type=click.Path(path_type=Path),
    help="Show instead what the pods of this run's bundle ran, by the nodes' own word.",
)
@click.option(
    "--archive",
    type=click.Path(path_type=Path),
    help="Build them here, as the local cluster does, and write an archive of each into this directory.",
)
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Of the list."
)
def images(  # noqa: PLR0917 - one for each option
    requirements: tuple[str, ...],
    release: str,
    image_prefix: str,
    images: tuple[str, ...],
    bundle: Path | None,
    archive: Path | None,
    form: str,
) -> None:
    """List the images that a run needs, or only those of the REQUIREMENTs named; asks no cluster and no registry."""
    if bundle is not None:
        if requirements or image_prefix or images or archive:
            raise click.UsageError("--bundle shows what was run: leave everything else out")
        found = _ran(bundle)
    else:
        found = _needed(requirements, release, given_images(images), image_prefix)
    if archive is not None:
        found = _built([entry["role"] for entry in found], archive)
    if form == "json":
        click.echo(json.dumps(found, indent=2))
        return
    for entry in found:
        _show(entry)


def given_images(texts: Iterable[str]) -> dict[str, str]:
    """What ``--image ROLE=REF`` names, by role.

    Raises:
        UsageError: one of them is not of that form.
    """
    given = {}
    for text in texts:
        role, sign, reference = text.partition("=")
        if not sign or not role or not reference:
            hint = "for example --image probe=docker.io/library/ubuntu:22.04"
            raise UsageError(f"--image {text}: not ROLE=REF", hint=hint)
        given[role] = reference
    return given


def _needed(requirements: tuple[str, ...], release: str, given: dict[str, str], prefix: str) -> list[dict[str, Any]]:
    from aiconform import catalog
    from aiconform.checks._kit.images import needed_by
    from aiconform.engine.images import ROLES, chosen

    asked = [catalog.get(release, name) for name in requirements] or catalog.requirements(release)
    needs = {requirement.id: needed_by(requirement.id, ROLES) for requirement in asked}
    references = chosen(given, prefix)
    whose = {name: [id_ for id_, roles in needs.items() if name in roles] for name in ROLES}
    return [_entry(role, references[name], whose[name]) for name, role in ROLES.items() if whose[name]]


def _entry(role: Role, reference: str, needed_by: list[str]) -> dict[str, Any]:
    from aiconform.engine.images import parse, why_unpinned

    return {
        "role": role.name,
        "reference": reference,
        "digest": parse(reference).digest,
        "not_pinned": why_unpinned(role.name, reference),
        "public": role.reference,
        "asks": role.asks,
        "needed_by": needed_by,
    }


def _ran(path: Path) -> list[dict[str, Any]]:
    from aiconform.evidence.reader import open_bundle
    from aiconform.report.images import ran

    found = ran(open_bundle(path))
    return [
        {"role": seen.role, "reference": seen.reference, "ran": list(seen.ids), "shows": seen.verdict} for seen in found
    ]


def _built(roles: list[str], directory: Path) -> list[dict[str, Any]]:
    from aiconform.cli.image_archives import write

    return [
        {
            "role": made.role,
            "reference": str(made.path),
            "digest": made.digest,
            "imported_as": made.reference,
            "bytes": made.size,
        }
        for made in write(roles, directory)
    ]


def _show(entry: dict[str, Any]) -> None:
    click.echo(f"{entry['role']:<8} {visible(entry['reference'])}")
    if "imported_as" in entry:
        lines = [f"{entry['bytes'] / 2**20:.1f} MiB, {entry['digest']}", f"imported as {entry['imported_as']}"]
    elif "ran" in entry:
        lines = [*(f"ran {found}" for found in entry["ran"]), entry["shows"]]
    else:
        lines = [f"not pinned: {entry['not_pinned']}"] if entry["not_pinned"] else [f"pinned by {entry['digest']}"]
        lines += [f"a copy of {entry['public']}, or of another"] if entry["reference"] != entry["public"] else []
        lines += [f"has to have: {entry['asks']}", f"needed by: {', '.join(entry['needed_by'])}"]
    for line in lines:
        click.echo(f"         {visible(line)}")
