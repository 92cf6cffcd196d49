"""``aiconform run``: the main job."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aiconform.errors import UsageError

if TYPE_CHECKING:
    from aiconform.cli.console import Screen
    from aiconform.engine.runner import RunResult

FORMATS = ("html", "markdown", "json", "junit")


@dataclass(frozen=True)
class _Where:
    """The cluster to run against."""

    kubeconfig: Path | None
    context: str | None
    images: dict[str, str]


@click.command()
@click.argument("requirements", nargs=-1, metavar="[REQUIREMENT]...")
@click.option("--release", default="1.35", show_default=True, help="Release of the checklist.")
@click.option("--local", "on_local", is_flag=True, help="Run on a local cluster with simulated accelerators.")
@click.option("--name", default="run", show_default=True, help="Name of the local cluster.")
@click.option("--profile", default="default", show_default=True, help="Profile of the local cluster.")
@click.option("--context", help="Context of the kubeconfig; the current one if absent.")
@click.option("--kubeconfig", type=click.Path(path_type=Path), help="File; $KUBECONFIG or ~/.kube/config if absent.")
@click.option("--output", type=click.Path(path_type=Path), help="Directory of this run; runs/<id> if absent.")
@click.option("--keep", is_flag=True, help="Leave the objects (and a local cluster) for looking at.")
@click.option("--image", "images", multiple=True, metavar="ROLE=REF", help="Image for a role, such as probe=REF.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="Also print the report to standard output.")
@click.pass_context
def run(ctx: click.Context, **given: object) -> None:
    """Run the checklist, or only the REQUIREMENTs named, against a cluster, and seal the evidence.

    Exit codes: 0 every MUST passed or is justified n/a; 1 a MUST failed; 3 none failed, one undecided or not run; 4 the
    cluster cannot be reached; 130 interrupted, after clean-up and sealing.
    """
    if given["on_local"] and (given["context"] or given["kubeconfig"]):
        raise click.UsageError("--local brings its own cluster: leave --context and --kubeconfig out")
    result = execute(given)
    form = given["form"]
    if isinstance(form, str):
        from aiconform.cli.report import render
        from aiconform.evidence.reader import open_bundle

        click.echo(render(open_bundle(result.bundle), form))
    ctx.exit(result.exit_code)


def execute(given: dict[str, object]) -> RunResult:
    """Run with a screen, and write the page beside the bundle."""
    import anyio

    from aiconform import catalog
    from aiconform.checks import all_checks
    from aiconform.cli.console import Screen
    from aiconform.engine import runner

    requirements = tuple(str(name) for name in given["requirements"])  # type: ignore[attr-defined]
    for name in requirements:
        catalog.get(str(given["release"]), name)
    catalog.requirements(str(given["release"]))
    run_id = runner.new_run_id()
    output = Path(str(given["output"])) if given["output"] else Path("runs") / run_id
    _writable(output)
    images = dict(_image(text) for text in given["images"])  # type: ignore[attr-defined]
    with Screen(sys.stderr) as screen, _cluster(given, screen) as where:
        options = runner.RunOptions(
            release=str(given["release"]),
            output=output,
            requirements=requirements,
            kubeconfig=where.kubeconfig,
            context=where.context,
            keep=bool(given["keep"]),
            images={**where.images, **images},
            command=tuple(sys.argv[1:]),
            run=run_id,
        )
        result = anyio.run(runner.run, options, all_checks(), screen.handle)
        _page(result, output, screen)
    return result


def _page(result: RunResult, output: Path, screen: Screen) -> None:
    from aiconform.cli.report import render
    from aiconform.evidence.reader import open_bundle

    page = output / "report.html"
    page.write_text(render(open_bundle(result.bundle), "html"), encoding="utf-8")
    screen.finished(f"report     {page}")


@contextmanager
def _cluster(given: dict[str, object], screen: Screen) -> Iterator[_Where]:
    """The cluster to run against; a local one that we started goes down again at the end, unless it is to be kept."""
    if not given["on_local"]:
        path = given["kubeconfig"]
        context = str(given["context"]) if given["context"] else None
        yield _Where(path if isinstance(path, Path) else None, context, {})
        return
    from aiconform import local

    name = str(given["name"])
    ours = not local.running(name)
    owner = os.getpid() if ours and not given["keep"] else None
    cluster = local.up(name, str(given["profile"]), screen, owner_pid=owner)
    try:
        yield _Where(cluster.kubeconfig, None, dict(cluster.images))
    finally:
        if ours and not given["keep"]:
            screen.update(f"taking the local cluster {name} down")
            local.down(name)
            screen.finished(f"local cluster {name} is down, nothing of it is left")


def _image(text: str) -> tuple[str, str]:
    role, sign, reference = text.partition("=")
    if not sign or not role or not reference:
        raise UsageError(
            f"--image {text}: not ROLE=REF", hint="for example --image probe=docker.io/library/ubuntu:22.04"
        )
    return role, reference


def _writable(output: Path) -> None:
    """Find out before a cluster is started whether the evidence can be written."""
    existing = next(parent for parent in [output, *output.absolute().parents] if parent.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise UsageError(f"cannot write to {output}", hint="name a directory you own with --output")
    if output.is_dir() and any(output.iterdir()):
        raise UsageError(f"{output} is not empty", hint="a run's evidence is never overwritten: name a new directory")
