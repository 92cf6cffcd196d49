"""``aiconform doctor``: what can be examined on a cluster, what is missing, and which rights are needed."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from aiconform.cli import telling
from aiconform.cli.images import IMAGE, IMAGE_PREFIX, given_images

if TYPE_CHECKING:
    from aiconform.cluster.connection import Connection
    from aiconform.engine.diagnosis import Diagnosis
    from aiconform.engine.doctor import Patient
    from aiconform.engine.plain import PlainLane

Found = TypeVar("Found")
ROLE = "aiconform"


@click.command()
@click.argument("requirements", nargs=-1, metavar="[REQUIREMENT]...")
@click.option("--release", default="1.35", show_default=True, help="Release of the checklist.")
@click.option("--context", help="Context of the kubeconfig; the current one if absent.")
@click.option("--kubeconfig", type=click.Path(path_type=Path), help="File; $KUBECONFIG or ~/.kube/config if absent.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Of what is found."
)
@click.option("--rbac", is_flag=True, help="Print the least role that a run needs on this cluster, as YAML.")
@IMAGE
@IMAGE_PREFIX
@telling.options
@click.option("--no-dry-run", is_flag=True, help="Do not ask admission, by requests that store nothing.")
@click.pass_context
def doctor(ctx: click.Context, /, **given: object) -> None:
    """Look at a cluster and say what a run could examine, of all or of the REQUIREMENTs named.

    Changes nothing: it reads, asks what it may do, and has admission judge a namespace and a pod that are not stored.
    At most 10 requests a second, one at a time.

    Exit codes: 0 every MUST can run or does not apply; 3 one cannot; 4 the cluster cannot be reached.
    """
    from aiconform import catalog
    from aiconform.checks import all_checks
    from aiconform.cluster.connection import connect
    from aiconform.engine.doctor import Patient
    from aiconform.engine.images import chosen

    release = str(given["release"])
    requirements = tuple(str(name) for name in given["requirements"])  # type: ignore[attr-defined]
    catalog.requirements(release)
    for name in requirements:
        catalog.get(release, name)
    image = chosen(given_images(given["images"]), str(given["image_prefix"]))["probe"]  # type: ignore[arg-type]
    told = telling.told(given)
    path, context = given["kubeconfig"], given["context"]
    connection = connect(path if isinstance(path, Path) else None, str(context) if context else None)
    dry_run = not given["no_dry_run"]
    patient = Patient(connection.server, release, requirements, all_checks(), image, dry_run=dry_run, options=told)
    if given["rbac"]:
        click.echo(_role(connection, patient), nl=False)
        return
    found = _examined(connection, patient)
    if given["form"] == "json":
        click.echo(found.model_dump_json(indent=2))
    else:
        _draw(found)
    ctx.exit(found.exit_code)


def _role(connection: Connection, patient: Patient) -> str:
    import yaml  # type: ignore[import-untyped]

    from aiconform.engine import doctor as looking
    from aiconform.engine.rights import role

    rights = _on_lane(connection, lambda lane: looking.role_for(lane, patient))
    documents = role(ROLE, rights, release=patient.release)
    what = ", ".join(patient.requirements) or f"release {patient.release}"
    head = f"# What aiconform needs for {what} on this cluster.\n"
    head += "# Put your user or ServiceAccount in the place of the subject. Access reviews need nothing beside this.\n"
    return head + str(yaml.safe_dump_all(documents, sort_keys=False))


def _examined(connection: Connection, patient: Patient) -> Diagnosis:
    from aiconform.engine import doctor as looking

    return _on_lane(connection, lambda lane: looking.examine(lane, patient))


def _on_lane(connection: Connection, work: Callable[[PlainLane], Awaitable[Found]]) -> Found:
    import anyio

    from aiconform.cluster.http import ClusterHttp
    from aiconform.engine.plain import PlainLane
    from aiconform.engine.runner import new_run_id

    async def talk() -> Any:
        async with ClusterHttp(connection) as http:
            return await work(PlainLane(http, new_run_id()))

    found: Found = anyio.run(talk)
    return found


def _draw(found: Diagnosis) -> None:
    from rich.console import Console

    from aiconform.cli.doctor_screen import draw

    draw(Console(file=sys.stdout, highlight=False), found)
