"""Looking at accelerators from inside containers: device nodes, the vendor's tool, versions."""

from __future__ import annotations

from dataclasses import dataclass

from aiconform.catalog.accelerators import AcceleratorKind
from aiconform.checks._kit import pods, script
from aiconform.checks._kit.script import Report, Script
from aiconform.engine import AcceleratorNode, Context, Handle, kinds, needs

CONTAINER = "probe"


@dataclass(frozen=True)
class Probing:
    """A probe pod and the script it runs."""

    handle: Handle
    script: Script


def chosen(ctx: Context, choose: needs.Choose) -> AcceleratorNode:
    """The node a check uses."""
    return needs.first(ctx.facts.accelerators, choose)


async def allocatable(ctx: Context, node: AcceleratorNode) -> int:
    """How many of its resource the node offers to pods now."""
    found = await ctx.read_named(kinds.NODE, node.node)
    return int((found["status"].get("allocatable") or {}).get(node.resource, "0"))


def list_nodes(kind: AcceleratorKind) -> str:
    """Shell: one line ``device=<path> <major>:<minor in hexadecimal>`` for each device node, and their number."""
    look = f'for d in {kind.device_glob}; do [ -c "$d" ] && echo "device=$d $(stat -c %t:%T "$d")"; done'
    return f'{look}; echo "devices=$(ls -d {kind.device_glob} 2>/dev/null | wc -l)"'


def ask_tool(key: str, command: str) -> str:
    """Shell: the lines a command prints as ``<key>=...``, and its exit status as ``<key>_exit=``."""
    run = f'out=$({command} 2>/dev/null); echo "{key}_exit=$?"'
    return f'{run}; [ -n "$out" ] && printf "%s\\n" "$out" | sed "s/^/{key}=/"'


def has_tool(kind: AcceleratorKind) -> str:
    """Shell: where the vendor's tool is, or ``none``."""
    return f'echo "tool=$(command -v {kind.tool} || echo none)"'


def every_answer(kind: AcceleratorKind) -> tuple[str, ...]:
    """Shell: all that a container can tell of the devices it holds."""
    return (
        list_nodes(kind),
        has_tool(kind),
        ask_tool("driver", kind.driver_command),
        ask_tool("runtime", kind.runtime_command),
        ask_tool("uuid", kind.uuid_command),
        ask_tool("product", kind.product_command),
        # the health command's output is a picture for people; only whether it exits 0 counts
        f'{kind.health_command} >/dev/null 2>&1; echo "health_exit=$?"',
    )


async def holding_pod(ctx: Context, hint: str, node: AcceleratorNode, *commands: str, root: bool = False) -> Probing:
    """Create a pod that asks for one accelerator on a node, runs the commands and holds the device."""
    return await _pod(ctx, hint, node, commands, {node.resource: "1"}, root=root)


async def plain_pod(
    ctx: Context,
    hint: str,
    node: AcceleratorNode,
    *commands: str,
    root: bool = False,
    env: dict[str, str] | None = None,
    runtime_class: str = "",
) -> Probing:
    """Create a pod on a node that asks for no accelerator, and runs the commands."""
    return await _pod(ctx, hint, node, commands, {}, root=root, env=env, runtime_class=runtime_class)


async def _pod(
    ctx: Context,
    hint: str,
    node: AcceleratorNode,
    commands: tuple[str, ...],
    limits: dict[str, str],
    *,
    root: bool = False,
    env: dict[str, str] | None = None,
    runtime_class: str = "",
) -> Probing:
    run = script.script(ctx, *commands)
    container = pods.Container(CONTAINER, run, limits=limits, env=env or {})
    manifest = pods.pod(
        ctx, hint, container, node=node.label["kubernetes.io/hostname"], root=root, runtime_class=runtime_class
    )
    return Probing(await ctx.create(manifest), run)


async def report(ctx: Context, probing: Probing, *, expected: str) -> Report:
    """Wait until the pod runs, and read its whole report."""
    await ctx.until(probing.handle, pods.running, expected=expected, within_s=90)
    return await script.report(ctx, probing.handle, CONTAINER, probing.script)


def count(seen: Report) -> int | None:
    """How many device nodes a container saw; None if it did not say."""
    text = seen.one("devices")
    return int(text) if text.isdigit() else None
