"""``aiconform run``: the main job."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from aiconform.cli import imports, telling
from aiconform.cli.images import IMAGE, IMAGE_PREFIX, given_images
from aiconform.cli.local import CLUSTER_AUTOSCALER, K0S_DISTRIBUTION, K0S_PROGRAM, k0s_program
from aiconform.cli.report import FORMATS
from aiconform.cli.signals import interruptible, listen, undisturbed
from aiconform.errors import UsageError

if TYPE_CHECKING:
    from aiconform.cli.console import Screen
    from aiconform.engine.arrivals import Arrivals
    from aiconform.engine.runner import RunOptions, RunResult
    from aiconform.local.addons.addon import Addon
    from aiconform.local.cluster import Cluster

_OF_LOCAL = ("name", "profile", "distribution", "k0s")
"""Options that say what a local cluster is, by their parameters."""


@dataclass(frozen=True)
class _Where:
    """The cluster to run against."""

    kubeconfig: Path | None
    context: str | None
    images: dict[str, str]
    arrivals: Arrivals | None = None


@click.command()
@click.argument("requirements", nargs=-1, metavar="[REQUIREMENT]...")
@click.option("--release", default="1.35", show_default=True, help="Release of the checklist.")
@click.option("--local", "on_local", is_flag=True, help="Run on a local cluster with simulated accelerators.")
@click.option("--name", default="run", show_default=True, help="Name of the local cluster.")
@click.option("--profile", default="default", show_default=True, help="Profile of the local cluster.")
@K0S_DISTRIBUTION
@K0S_PROGRAM
@CLUSTER_AUTOSCALER
@click.option("--context", help="Context of the kubeconfig; the current one if absent.")
@click.option(
    "--kubeconfig", type=click.Path(path_type=Path), help="File; those in $KUBECONFIG or ~/.kube/config if absent."
)
@click.option("--output", type=click.Path(path_type=Path), help="Directory of this run; runs/<id> if absent.")
@click.option("--keep", is_flag=True, help="Leave the objects (and a local cluster) for looking at.")
@IMAGE
@IMAGE_PREFIX
@telling.options
@click.option(
    "--import", "imports", multiple=True, metavar="REQUIREMENT=FILE", help="A file that backs it, sealed as it is."
)
@click.option("--format", "form", type=click.Choice(FORMATS), help="Also print the report to standard output.")
@click.pass_context
def run(ctx: click.Context, /, **given: object) -> None:
    """Run the checklist, or only the REQUIREMENTs named, against a cluster, and seal the evidence.

    Exit codes: 0 every MUST passed or is justified n/a; 1 a MUST failed; 3 none failed, one undecided or not run, or
    something was left on the cluster; 4 the cluster cannot be reached; 130 interrupted, after clean-up and sealing.
    """
    if given["on_local"] and (given["context"] or given["kubeconfig"]):
        raise click.UsageError("--local brings its own cluster: leave --context and --kubeconfig out")
    if given["cluster_autoscaler"] and not given["on_local"]:
        raise click.UsageError("--cluster-autoscaler goes with --local: nothing is installed on a cluster of yours")
    if given["image_prefix"] and given["on_local"]:
        raise click.UsageError("--local brings its own images: leave --image-prefix out")
    if not given["on_local"]:
        _without_local(ctx)
    result = execute(given)
    form = given["form"]
    if isinstance(form, str):
        from aiconform.cli.report import render
        from aiconform.evidence.reader import open_bundle

        click.echo(render(open_bundle(result.bundle), form))
    ctx.exit(result.exit_code)


def _without_local(ctx: click.Context) -> None:
    """Refuse what is said of a local cluster where none was asked for: the run would be on a cluster of the user's.

    Raises:
        UsageError: an option of a local cluster was given, be it with the value that it has anyway.
    """
    for name in _OF_LOCAL:
        if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise click.UsageError(f"--{name} goes with --local: a cluster of yours is taken as it is")


def execute(given: dict[str, object]) -> RunResult:
    """Run with a screen, and write the page beside the bundle."""
    from aiconform import catalog
    from aiconform.cli.console import Screen
    from aiconform.engine import runner
    from aiconform.engine.images import chosen
    from aiconform.report import page_digest

    release = str(given["release"])
    requirements = tuple(str(name) for name in given["requirements"])  # type: ignore[attr-defined]
    catalog.requirements(release)
    for name in requirements:
        catalog.get(release, name)
    run_id = runner.new_run_id()
    output = Path(str(given["output"])) if given["output"] else Path("runs") / run_id
    named = given_images(given["images"])  # type: ignore[arg-type]
    prefix = str(given["image_prefix"])
    chosen(named, prefix)
    told = telling.told(given)
    imported = imports.read(given["imports"])  # type: ignore[arg-type]
    _prepared(output)
    page: Path | None = None
    with Screen(sys.stderr) as screen:
        try:
            with interruptible(), _cluster(given, screen) as where:
                options = runner.RunOptions(
                    release=release,
                    output=output,
                    requirements=requirements,
                    kubeconfig=where.kubeconfig,
                    context=where.context,
                    keep=bool(given["keep"]),
                    images=chosen({**where.images, **named}, prefix),
                    command=tuple(sys.argv[1:]),
                    run=run_id,
                    arrivals=where.arrivals,
                    options=told,
                    imports=imported,
                    report_sha256=page_digest(),
                )
                result = _run(options, screen)
                page = write_page(result.bundle, output)
        finally:
            screen.conclude(page)
            _tidied(output, default=not given["output"])
    return result


def _run(options: RunOptions, screen: Screen) -> RunResult:
    import anyio

    from aiconform.checks import all_checks
    from aiconform.engine import runner

    try:
        return anyio.run(runner.run, options, all_checks(), screen.handle)
    finally:
        # the event loop has put the signals' handlers back to their defaults
        listen()


def write_page(bundle: Path, directory: Path) -> Path:
    """Render the page of a sealed bundle into a directory.

    Raises:
        UsageError: it cannot be written; the bundle is not touched.
    """
    from aiconform.cli.report import render
    from aiconform.evidence.reader import open_bundle
    from aiconform.report import DEFAULT_NAMES

    text = render(open_bundle(bundle), "html")
    page = directory / DEFAULT_NAMES["html"]
    try:
        page.write_text(text, encoding="utf-8")
    except OSError as problem:
        raise UsageError(
            f"cannot write {page}: {problem.strerror}",
            details=[f"the bundle is sealed: {bundle}"],
            hint=f"aiconform report {bundle} -o FILE",
        ) from problem
    return page


@contextmanager
def _cluster(given: dict[str, object], screen: Screen) -> Iterator[_Where]:
    """The cluster to run against; a local one that we started goes down again at the end, unless it is to be kept."""
    if not given["on_local"]:
        path = given["kubeconfig"]
        context = str(given["context"]) if given["context"] else None
        yield _Where(path if isinstance(path, Path) else None, context, {})
        return
    from aiconform.local import cluster as clusters
    from aiconform.local import start
    from aiconform.local.addons import autoscalers, registry
    from aiconform.local.addons.arrivals import Arrivals
    from aiconform.local.images import table
    from aiconform.local.state import Home

    name = str(given["name"])
    owner = None if given["keep"] else os.getpid()
    autoscaler = autoscalers.choose(Home.of(name), str(given["cluster_autoscaler"]), screen)
    addons = registry.for_requirements(_asked(given), autoscaler)
    cluster = start.up(name, str(given["profile"]), screen, owner_pid=owner, expected=addons, k0s=k0s_program(given))
    if not cluster.fresh:
        screen.finished(f"using the local cluster {name} that runs already")
    try:
        with Arrivals(cluster, _lacking(cluster, addons), registry.needs(autoscaler), screen) as arrivals:
            probe = {"probe": table.IMAGES["busybox"].reference}
            yield _Where(cluster.kubeconfig, None, probe, arrivals)
    finally:
        if given["keep"] or not cluster.fresh:
            screen.finished(f"local cluster {name} is left running", f"aiconform local down --name {name} ends it")
        else:
            with undisturbed():
                screen.update(f"taking the local cluster {name} down")
                clusters.down(name)
                screen.finished(f"local cluster {name} is down, nothing of it is left")


def _asked(given: dict[str, object]) -> list[str]:
    """The requirements that are asked and have a check."""
    from aiconform import catalog
    from aiconform.checks import all_checks

    named = [str(name) for name in given["requirements"]]  # type: ignore[attr-defined]
    every = [requirement.id for requirement in catalog.requirements(str(given["release"]))]
    known = all_checks()
    return [name for name in named or every if name in known]


def _lacking(cluster: Cluster, addons: Sequence[Addon]) -> list[Addon]:
    """The add-ons that a cluster does not have yet, or not as they should be."""
    from aiconform.local.addons import installation

    return [addon for addon in addons if not installation.works(cluster, addon)]


def _prepared(output: Path) -> None:
    """Make the run's directory, so that what cannot be written is known before a cluster is started."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output):
            pass
        full = any(output.iterdir())
    except OSError as problem:
        hint = "name a directory you own with --output"
        raise UsageError(f"cannot write to {output}: {problem.strerror}", hint=hint) from problem
    if full:
        raise UsageError(f"{output} is not empty", hint="a run's evidence is never overwritten: name a new directory")


def _tidied(output: Path, *, default: bool) -> None:
    """Remove the directory of a run that came to nothing."""
    for directory in [output, output.parent] if default else [output]:
        with suppress(OSError):
            directory.rmdir()
