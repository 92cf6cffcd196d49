"""Looking at accelerators from inside containers: device nodes, the vendor's tool, versions.

Pods ask for devices in the way that the run has chosen for the vendor: see :func:`wish`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aiconform.catalog.accelerators import AcceleratorKind
from aiconform.checks._kit import claims, pods, script
from aiconform.checks._kit.script import Report, Script
from aiconform.engine import AcceleratorNode, Context, Explain, Handle, kinds, needs
from aiconform.engine.nodepools import NodePool

CONTAINER = "probe"
CLAIM = "accelerators"

_WORDS = {
    "device_glob": "device nodes",
    "tool": "a tool on the node",
    "driver_command": "how a container reads the driver's version",
    "runtime_command": "how a container reads the runtime's version",
    "runtime_label": "a node label with the runtime's version",
    "uuid_command": "how a container reads its device's identity",
    "product_command": "how a container reads its device's product",
    "pci_command": "how a container reads its device's PCI address",
    "health_command": "a command that tells whether a device answers",
    "load_program": "a program that keeps a device busy",
    "exporter": "an exporter of metrics",
}


@dataclass(frozen=True)
class Wish:
    """How a container asks for accelerators: limits of extended resources, or claims of the pod, by name."""

    limits: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def claims(self) -> tuple[str, ...]:
        """The claims that the container uses."""
        return tuple(self.sources)


@dataclass(frozen=True)
class Probing:
    """A probe pod and the script it runs; ``node`` is where it holds a device, if it asked for one."""

    handle: Handle
    script: Script
    node: AcceleratorNode | None = None


def chosen(ctx: Context, choose: needs.Choose, *, claims: bool = False) -> AcceleratorNode:
    """The node a check uses; ``claims`` says that the check can ask by claims too."""
    return needs.first(ctx.facts.chosen if claims else ctx.facts.accelerators, choose)


def must_know(ctx: Context, kind: AcceleratorKind, *facts: str, by_hand: str) -> None:
    """Go on only if the vendor table has these facts.

    Raises:
        StopProbe: it has not (undecided); says what a person has to show.
    """
    missing = [_WORDS[fact] for fact in facts if not getattr(kind, fact)]
    if missing:
        expected = f"the vendor table of {kind.words} names {', '.join(_WORDS[fact] for fact in facts)}"
        cause = f"not known of {kind.words} devices: {', '.join(missing)}; show by hand: {by_hand}"
        raise ctx.undecided(expected, f"it does not name {', '.join(missing)}", cause)


async def wish(ctx: Context, hint: str, node: AcceleratorNode | NodePool, number: int = 1) -> Wish:
    """Ask for so many accelerators of a node, or of a pool's nodes, in the way the run has chosen.

    This is the only place that knows both ways.
    The pod must go to the node by its hostname label and never by ``spec.nodeName``: with that the scheduler would not
    see the pod, and its claim would stay unallocated.
    """
    if not node.device_class:
        return Wish(limits={node.resource: str(number)})
    name = await claims.template(ctx, hint, node.device_class, number)
    return Wish(sources={CLAIM: {"resourceClaimTemplateName": name}})


def refusal(node: AcceleratorNode | NodePool) -> tuple[str, ...]:
    """Words of the scheduler where no accelerator of a node is free."""
    return ("cannot allocate all claims",) if node.device_class else ("Insufficient", node.resource)


def explain(ctx: Context, probing: Probing) -> Explain | None:
    """Looks further where a pod with a claim does not run."""
    node = probing.node
    if node is None or not node.claimed:
        return None
    return claims.who_holds(ctx, probing.handle, node.resource, node.devices)


async def allocatable(ctx: Context, node: AcceleratorNode) -> int:
    """How many of its resource the node offers to pods now."""
    found = await ctx.read_named(kinds.NODE, node.node)
    return int((found["status"].get("allocatable") or {}).get(node.resource, "0"))


def list_nodes(kind: AcceleratorKind) -> str:
    """Shell: one line ``device=<path> <major>:<minor in hexadecimal>`` for each device node, and their number."""
    if not kind.device_glob:
        return "true"  # so that nothing is counted where nobody knows what to count
    look = f'for d in {kind.device_glob}; do [ -c "$d" ] && echo "device=$d $(stat -c %t:%T "$d")"; done'
    return f'{look}; echo "devices=$(ls -d {kind.device_glob} 2>/dev/null | wc -l)"'


def look_in(kind: AcceleratorKind) -> tuple[str, ...]:
    """Shell: have the shell and the vendor's tool look where else the node may inject it; first in a script."""
    told = " ".join(f'{name}="${{{name}:+${name}:}}{where}"' for name, where in sorted(kind.paths.items()))
    return (f"export {told}",) if told else ()


def ask_tool(key: str, command: str) -> str:
    """Shell: the lines a command prints as ``<key>=...``, and its exit status as ``<key>_exit=``."""
    run = f'out=$({command} 2>/dev/null); echo "{key}_exit=$?"'
    return f'{run}; [ -n "$out" ] && printf "%s\\n" "$out" | sed "s/^/{key}=/"'


def has_tool(kind: AcceleratorKind) -> str:
    """Shell: where the vendor's tool is, or ``none``."""
    return f'echo "tool=$(command -v {kind.tool} || echo none)"'


def every_answer(kind: AcceleratorKind) -> tuple[str, ...]:
    """Shell: all that a container can tell of the devices it holds, as far as the vendor table knows how."""
    asked = {
        "driver": kind.driver_command,
        "runtime": kind.runtime_command,
        "uuid": kind.uuid_command,
        "product": kind.product_command,
    }
    # the health command's output is a picture for people; only whether it exits 0 counts
    health = f'{kind.health_command} >/dev/null 2>&1; echo "health_exit=$?"'
    return (
        *look_in(kind),
        list_nodes(kind),
        *([has_tool(kind)] if kind.tool else []),
        *(ask_tool(key, command) for key, command in asked.items() if command),
        *([health] if kind.health_command else []),
    )


async def holding_pod(
    ctx: Context,
    hint: str,
    node: AcceleratorNode,
    *commands: str,
    root: bool = False,
    capabilities: tuple[str, ...] = (),
) -> Probing:
    """Create a pod that asks for one accelerator on a node, runs the commands and holds the device."""
    asked = await wish(ctx, hint, node)
    return await _pod(ctx, hint, node, commands, asked, root=root, capabilities=capabilities)


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
    return await _pod(ctx, hint, node, commands, Wish(), root=root, env=env, runtime_class=runtime_class)


async def _pod(
    ctx: Context,
    hint: str,
    node: AcceleratorNode,
    commands: tuple[str, ...],
    asked: Wish,
    *,
    root: bool = False,
    env: dict[str, str] | None = None,
    runtime_class: str = "",
    capabilities: tuple[str, ...] = (),
) -> Probing:
    run = script.script(ctx, *commands)
    container = pods.Container(
        CONTAINER, run, limits=asked.limits, env=env or {}, claims=asked.claims, capabilities=capabilities
    )
    manifest = pods.pod(
        ctx,
        hint,
        container,
        node=node.label["kubernetes.io/hostname"],
        root=root,
        runtime_class=runtime_class,
        claims=asked.sources,
    )
    holds = node if asked.limits or asked.sources else None
    return Probing(await ctx.create(manifest), run, holds)


async def report(ctx: Context, probing: Probing, *, expected: str) -> Report:
    """Wait until the pod runs, and read its whole report.

    Raises:
        StopProbe: it does not run, or it lacks the device that it asked for because it has to name a RuntimeClass, and
            the run was not told which (undecided).
    """
    await ctx.until(probing.handle, pods.running, expected=expected, within_s=90, explain=explain(ctx, probing))
    seen = await script.report(ctx, probing.handle, CONTAINER, probing.script)
    if probing.node is not None and count(seen) == 0:
        await only_by_class(ctx, probing.handle, probing.node)
    return seen


def classes_untold(ctx: Context, kind: AcceleratorKind) -> list[str]:
    """RuntimeClasses of the vendor's that are there, where the run was not told whether pods have to name one."""
    known = () if ctx.option("runtime-class") else kind.runtime_classes or ()
    return [name for name in known if name in ctx.facts.runtime_classes]


async def only_by_class(ctx: Context, without: Handle, node: AcceleratorNode) -> None:
    """Look whether a pod is given its device under a RuntimeClass of the vendor's (k3s and RKE2 have it so).

    Nothing is looked at where the run was told which RuntimeClass to name. ``without`` holds a device that its
    containers do not see; it is deleted, so that there is one to give.

    Raises:
        StopProbe: it is, or that cannot be known; undecided.
    """
    if ctx.option("runtime-class") or not node.kind.runtime_classes:
        return
    if unread := needs.unread_classes(ctx.facts):
        cause = f"whether pods have to name a RuntimeClass is not known: {unread}"
        raise ctx.undecided("a pod is given the device that it asks for", "0 device nodes", cause)
    present = classes_untold(ctx, node.kind)
    if present:
        await ctx.delete(without)
        await ctx.until_gone(without, within_s=60)
    for name in present:
        asked = await wish(ctx, "by-class", node)
        look = (list_nodes(node.kind),)
        again = await _pod(ctx, "by-class", node, look, asked, runtime_class=name)
        state, _ = await ctx.seen(again.handle, pods.running, expected=f"a pod of {name} runs", within_s=60)
        found = await script.report(ctx, again.handle, CONTAINER, again.script) if state.outcome == "met" else None
        if found is not None and count(found):
            cause = f"here pods have to name RuntimeClass {name} to be given a device: run with --runtime-class {name}"
            observed = f"0 device nodes; {found.one('devices')} with runtimeClassName {name}"
            raise ctx.undecided("a pod is given the device that it asks for", observed, cause)
        await ctx.delete(again.handle)
        await ctx.until_gone(again.handle, within_s=60)


def count(seen: Report) -> int | None:
    """How many device nodes a container saw; None if it did not say."""
    text = seen.one("devices")
    return int(text) if text.isdigit() else None
