"""Load on one device, and what exporters and Prometheus say of all devices meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from aiconform.checks._kit import devices, metrics_exporters, pods, prometheus, script, workloads
from aiconform.checks._kit.devices import Probing
from aiconform.checks._kit.metrics_devices import Held
from aiconform.checks._kit.metrics_watch import Watch
from aiconform.checks._kit.prometheus import Monitoring
from aiconform.engine import AcceleratorNode, Context, Handle, State

MEMORY_MIB = 1024
"""What the load takes of its device's memory."""

BUSY, IDLE = 50.0, 10.0
"""Per cent: at least so much under load; at most so much above what it was without."""

MEMORY_SLACK = 64.0
"""MiB: what a device's memory may move by without a load."""

_LIBRARIES = "LD_LIBRARY_PATH"
WITHIN_S = 120.0
"""DCGM Exporter looks at its devices every 30 s unless told otherwise."""


@dataclass(frozen=True)
class Load:
    """A pod that loads a device, and the device."""

    pod: Handle
    identity: str
    node: AcceleratorNode


async def start(ctx: Context, node: AcceleratorNode) -> Load:
    """Load a free device of a node.

    Raises:
        StopProbe: the pod did not run, or made no load (undecided: that says nothing about metrics).
    """
    by_hand = "a workload on one device, and utilisation and memory of every device before, during and after it"
    devices.must_know(ctx, node.kind, "load_program", by_hand=by_hand)
    end = ctx.name("report-ends")
    text = workloads.program(node.kind.load_program)
    wish = await devices.wish(ctx, "load", node)
    limits = {**wish.limits, "memory": "1Gi"}
    libraries = {key: where for key, where in node.kind.paths.items() if key == _LIBRARIES}
    container = workloads.python_container(
        ctx, "load", text, str(MEMORY_MIB), end, limits=limits, claims=wish.claims, env=libraries
    )
    hostname = node.label["kubernetes.io/hostname"]
    spec = workloads.pod_spec(ctx, container, nodes=(hostname,), restart="Never", claims=wish.sources)
    whole = {**spec, "activeDeadlineSeconds": pods.DEADLINE_S}
    pod = await ctx.create(pods.manifest(ctx, ctx.name("load"), whole))
    expected = f"{pod} runs on {node.node} with one {node.resource}"
    further = devices.explain(ctx, Probing(pod, script.Script(text, end), node))
    await ctx.until(pod, pods.running, expected=expected, within_s=90, explain=further)
    seen = script.parse((await ctx.log(pod, "load", end=end)).splitlines())
    if seen.one("load") != "on" or not seen.one("uuid"):
        why = seen.one("load") or "it did not say why"
        raise ctx.undecided("the pod keeps its device busy", why, f"no load could be made: {why}")
    return Load(pod, seen.one("uuid"), node)


async def rises(ctx: Context, watch: Watch, load: Load, monitoring: Monitoring | None) -> None:
    """State that the loaded device's values rise, and that Prometheus follows where there is one."""
    began = ctx.now
    await watch.look(ctx)
    expected = f"{load.identity} rises to {BUSY:g} % or more, and by {MEMORY_MIB} MiB"
    await ctx.poll(_risen(ctx, watch, load), expected=expected, within_s=WITHIN_S)
    watch.rise_s = ctx.now - began
    if monitoring is not None:
        sample = _queried(ctx, monitoring, load, busy=True, base=watch.base(load.identity))
        await ctx.poll(sample, expected=f"{monitoring.name} follows", within_s=WITHIN_S)


async def others_stay(ctx: Context, watch: Watch, load: Load, held: Sequence[Held]) -> None:
    """State that no other device that is ours alone shows the load, for longer than it took to show.

    Raises:
        StopProbe: one did (failed), or there is none to look at though there are others (undecided).
    """
    others = [name for node in held if not node.node.shared for name in node.found if name != load.identity]
    expected = f"{load.identity} is busy, " + (", ".join(others) or "no other device") + " as idle as before"
    if not others and len(watch.idle) > 1:
        raise ctx.undecided(expected, "every other device is shared with others' pods", "no device to compare with")
    window_s = min(max(5.0, 2 * watch.rise_s), 60.0)
    await ctx.hold(_alone(ctx, watch, load, others), expected=expected, during_s=window_s)


async def falls(ctx: Context, watch: Watch, load: Load, monitoring: Monitoring | None) -> None:
    """State that the device's values are what they were at rest, and draw all of them."""
    await ctx.poll(_fallen(ctx, watch, load), expected=f"{load.identity} falls to what it was", within_s=WITHIN_S)
    if monitoring is not None:
        sample = _queried(ctx, monitoring, load, busy=False, base=watch.base(load.identity))
        await ctx.poll(sample, expected=f"{monitoring.name} follows", within_s=WITHIN_S)
    peaks = {name: max(value for _, value in points) for name, points in watch.points.items()}
    last = {name: points[-1][1] for name, points in watch.points.items()}
    ctx.expect(
        "utilisation rose with the load and fell after it",
        f"{load.identity}: up to {peaks[load.identity]:g} %, now {last[load.identity]:g} %",
        ok=peaks[load.identity] >= BUSY > last[load.identity],
        figures={f"highest of {name}": f"{value:g} %" for name, value in sorted(peaks.items())},
        series=watch.series(),
    )


def _risen(ctx: Context, watch: Watch, load: Load) -> Callable[[], Awaitable[State]]:
    """A sample: the loaded device is busy, and its memory is taken."""

    async def look() -> State:
        seen = await watch.look(ctx)
        grown = watch.grown(load.identity, seen.get(load.identity))
        if grown is None:
            return State("waiting", f"{load.identity} is not told of")
        busy, memory = grown
        met = busy >= BUSY and memory >= MEMORY_MIB - MEMORY_SLACK
        change = ((load.identity, f"{watch.base(load.identity):g} to {busy:g} %, {memory:+g} MiB"),)
        return State("met" if met else "waiting", f"{load.identity}: {busy:g} %, {memory:+g} MiB", change)

    return look


def _alone(ctx: Context, watch: Watch, load: Load, others: Iterable[str]) -> Callable[[], Awaitable[State]]:
    """A sample: the loaded device is busy, the others are not."""
    quiet = sorted(others)

    async def look() -> State:
        seen = await watch.look(ctx)
        loaded = watch.grown(load.identity, seen.get(load.identity))
        grown = {name: watch.grown(name, seen.get(name)) for name in quiet}
        if loaded is None or loaded[0] < BUSY or None in grown.values():
            return State(
                "blocked", f"{load.identity} is not busy any more, or another is not told of: {loaded}, {grown}"
            )
        words = ", ".join(f"{name} {value[0]:g} % {value[1]:+g} MiB" for name, value in grown.items() if value)
        bad = [name for name, value in grown.items() if value and _rose(watch, name, value)]
        observed = f"{load.identity} {loaded[0]:g} %; {words or 'no other device'}"
        return State("wrong" if bad else "met", f"{', '.join(bad)} rose too: {observed}" if bad else observed)

    return look


def _fallen(ctx: Context, watch: Watch, load: Load) -> Callable[[], Awaitable[State]]:
    """A sample: the device is as it was before the load."""

    async def look() -> State:
        seen = await watch.look(ctx)
        grown = watch.grown(load.identity, seen.get(load.identity))
        if grown is None:
            return State("waiting", f"{load.identity} is not told of")
        met = not _rose(watch, load.identity, grown)
        return State("met" if met else "waiting", f"{load.identity}: {grown[0]:g} %, {grown[1]:+g} MiB")

    return look


def _rose(watch: Watch, name: str, grown: tuple[float, float]) -> bool:
    return grown[0] > watch.base(name) + IDLE or abs(grown[1]) > MEMORY_SLACK


def _queried(
    ctx: Context, monitoring: Monitoring, load: Load, *, busy: bool, base: float
) -> Callable[[], Awaitable[State]]:
    """A sample: Prometheus says of the device that it is busy, or that it is not any more."""
    exporter = metrics_exporters.known(load.node)
    promql = f'max({exporter.utilization.name}{{{exporter.identity}="{load.identity}"}})'

    async def look() -> State:
        found = await prometheus.query(ctx, monitoring, promql)
        if not found:
            return State("waiting", f"{promql}: nothing")
        value = exporter.utilization.common(found[0].value)
        met = value >= BUSY if busy else value <= base + IDLE
        return State("met" if met else "waiting", f"{promql}: {value:g} %")

    return look
