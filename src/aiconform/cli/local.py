"""``aiconform local``: a real Kubernetes with simulated accelerators on this machine."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from aiconform.local.inspection import Status

NAME = click.option("--name", default="default", show_default=True, metavar="NAME", help="Which local cluster.")


K0S_DISTRIBUTION = click.option(
    "--distribution",
    type=click.Choice(["upstream", "k0s"]),
    default="upstream",
    show_default=True,
    help="Whose Kubernetes the local cluster runs.",
)
K0S_PROGRAM = click.option(
    "--k0s", type=click.Path(path_type=Path), metavar="PATH", help="The binary for --distribution k0s."
)
CLUSTER_AUTOSCALER = click.option(
    "--cluster-autoscaler",
    default="",
    metavar="PATH|IMAGE",
    help="Scale nodes with this Cluster Autoscaler, not with Karpenter: its binary, or an image that has it.",
)


def k0s_program(given: Mapping[str, object]) -> Path | None:
    """The binary that was given for k0s, where that distribution was asked for."""
    program = given["k0s"]
    if given["distribution"] == "k0s":
        if not isinstance(program, Path):
            raise click.UsageError("--distribution k0s needs the binary: --k0s PATH")
        return program
    if program is not None:
        raise click.UsageError("--k0s goes with --distribution k0s")
    return None


@click.group()
def local() -> None:
    """A real Kubernetes with simulated accelerators on this machine.

    It runs upstream's own programs in namespaces of their own and touches nothing of the machine's. Needs root.
    """


@local.command()
@NAME
@click.option("--profile", default="default", show_default=True, metavar="PROFILE", help="default, vgpu or plain.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Port of the API server on 127.0.0.1; 0: a free one."
)
@click.option("--with", "addons", default="", metavar="ADD-ONS", help="Add-ons, comma-separated, or all.")
@CLUSTER_AUTOSCALER
@K0S_DISTRIBUTION
@K0S_PROGRAM
def up(**given: object) -> None:
    """Start a cluster, or say that it runs already, and install add-ons into it."""
    from aiconform.cli.console import Screen
    from aiconform.cli.signals import interruptible
    from aiconform.local import up as start
    from aiconform.local.addons import autoscalers, registry
    from aiconform.local.parts import require_root
    from aiconform.local.state import Home

    name, program = str(given["name"]), k0s_program(given)
    text, own = str(given["addons"]), str(given["cluster_autoscaler"])
    chosen = registry.chosen(text)
    require_root()
    with interruptible(), Screen(sys.stderr) as screen:
        autoscaler = autoscalers.choose(Home.of(name), own, screen)
        addons = autoscalers.together(chosen, autoscaler, every=text == registry.EVERY)
        cluster = start(name, str(given["profile"]), screen, port=int(str(given["port"])), addons=addons, k0s=program)
    if not cluster.fresh:
        click.echo(f"local cluster {name} is running already", err=True)
    click.echo(f"KUBECONFIG={cluster.kubeconfig}")


@local.command()
@NAME
@click.option("--all", "every", is_flag=True, help="Every local cluster, and what is left of stale ones.")
def down(name: str, *, every: bool) -> None:
    """Stop a cluster and remove everything that belongs to it."""
    from aiconform.local import down as stop
    from aiconform.local.parts import require_root
    from aiconform.local.state import homes

    require_root()

    names = [home.name for home in homes()] if every else [name]
    for each in names:
        done = stop(each)
        click.echo(f"local cluster {each}: {'removed' if done else 'there is none'}", err=True)


@local.command()
@NAME
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def status(name: str, output: str) -> None:
    """Show versions, nodes, accelerators, add-ons, memory, and where the logs are.

    Exit code 0: it runs; 4: it does not.
    """
    from aiconform.local import status as look
    from aiconform.local.parts import require_root

    require_root()

    found = look(name)
    if output == "json":
        click.echo(json.dumps(dataclasses.asdict(found), indent=2))
    else:
        click.echo("\n".join(_lines(found)))
    if found.condition != "running":
        sys.exit(4)


@local.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@NAME
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def kubectl(name: str, arguments: tuple[str, ...]) -> None:
    """Run our kubectl against a cluster: aiconform local kubectl -- get pods -A."""
    from aiconform.local import find
    from aiconform.local.parts import kubectl as program
    from aiconform.local.parts import require_root

    require_root()
    cluster = find(name)
    path = str(program())
    os.execve(path, ["kubectl", *arguments], {**os.environ, "KUBECONFIG": str(cluster.kubeconfig)})  # noqa: S606


def _lines(found: Status) -> list[str]:
    if not found.nodes:
        return [f"local cluster {found.name}: {found.condition}", *_past(found.name), *_problems(found)]
    minutes, seconds = divmod(int(found.uptime_s), 60)
    lines = [
        f"local cluster {found.name}: {found.condition} for {minutes} min {seconds} s",
        *_pairs(
            {
                "profile": found.profile,
                "versions": ", ".join(f"{name} {version}" for name, version in found.versions.items()),
                "api": found.api,
                "kubeconfig": found.kubeconfig,
                "logs": found.logs,
                "memory": f"{found.memory_bytes / 2**20:.0f} MiB",
            }
        ),
        "",
        *_table(found),
        "",
        *_columns([("ADD-ON", "VERSION"), *found.addons.items()]),
    ]
    return [*lines, *_problems(found)]


def _problems(found: Status) -> list[str]:
    return [f"problem: {problem}" for problem in found.problems]


def _past(name: str) -> list[str]:
    from aiconform.local.logs import kept

    return [f"  logs of its last failure: {kept(name)}"] if kept(name).is_dir() else []


def _pairs(pairs: dict[str, str]) -> list[str]:
    return [f"  {key:<11}{value}" for key, value in pairs.items() if value]


def _table(found: Status) -> list[str]:
    rows = [("NODE", "STATUS", "VERSION", "ACCELERATORS (simulated)", "RESTARTS")]
    for node in found.nodes:
        accelerators = {key: value for key, value in node.allocatable.items() if "/" in key and value != "0"}
        rows.append(
            (
                node.name,
                "Ready" if node.ready else "NotReady",
                node.version or "-",
                ", ".join(f"{key}: {value}" for key, value in accelerators.items()) or "-",
                str(sum(service.restarts for service in node.services)),
            )
        )
    return _columns(rows)


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
