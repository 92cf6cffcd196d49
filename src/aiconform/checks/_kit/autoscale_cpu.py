"""An autoscaler that wants a replica for which no accelerator is left: what the scheduler does, and what then helps."""

from __future__ import annotations

from typing import Any

from aiconform.checks._kit import autoscale, autoscale_watch, pods, script, workloads
from aiconform.checks._kit.autoscale import MAXIMUM, Scaled, Site
from aiconform.checks._kit.autoscale_watch import Watcher
from aiconform.engine import Condition, Context, Facts, Handle, State, Target, Unmet, kinds

Obj = dict[str, Any]

METRICS = "metrics.k8s.io/v1beta1"
TARGET = 50
NAME = "CPU use"
UNIT = "% of the request"
BURN_S = 300
WINDOW_S = 20


def served(facts: Facts) -> Unmet | None:
    """CPU metrics are served."""
    if METRICS in facts.groups:
        return None
    return Unmet("not run", f"the API server does not serve {METRICS}: install metrics-server")


async def clear(ctx: Context) -> None:
    """Remove the workload that follows its queue, and see its accelerators come back."""
    if "queue" not in ctx.memo:
        return
    workload = ctx.memo["queue"][0]
    if "scaled" in ctx.memo:
        await ctx.delete(ctx.memo["scaled"].autoscaler)
    await ctx.delete(workload.deployment)

    def gone(objects: list[Obj]) -> State:
        return State("waiting" if objects else "met", f"{len(objects)} pods left")

    target = workloads.pods_of(ctx, workload)
    await ctx.until(target, gone, expected=f"the pods of {workload.app} go away", within_s=90)


async def scaled(ctx: Context) -> Scaled:
    """Leave one accelerator free where the workload may run, and give it to one that is scaled on CPU use."""
    ctx.memo["filler"] = await _fill(ctx, autoscale.sites(ctx.facts)[0])
    workload, site, pod = await autoscale.serve(ctx, "cpu")
    metric = {"type": "Resource", "resource": {"name": "cpu", "target": _target()}}
    made = Scaled(workload, await autoscale.autoscaler(ctx, workload, metric), site)
    watched = watcher(ctx, made)
    await watched.until(
        autoscale_watch.wants(1), expected="an idle pod keeps it one replica, and its CPU use is known", within_s=180
    )
    ctx.memo["burning"] = pod
    return made


def _target() -> Obj:
    return {"type": "Utilization", "averageUtilization": TARGET}


async def _fill(ctx: Context, site: Site) -> Handle:
    """Hold all accelerators of the site but one, by a pod on each node; returns that of the first."""
    made: list[Handle] = []
    for part, number in zip(site.parts, held_of(site), strict=True):
        if not number:
            continue
        container = pods.Container("filler", script.script(ctx), limits={site.resource: str(number)})
        manifest = pods.pod(ctx, "filler", container, node=part.label["kubernetes.io/hostname"])
        made.append(await ctx.create(manifest))
        expected = f"a pod holds {number} of {part.allocatable} {site.resource} on {part.node}"
        await ctx.until(made[-1], pods.running, expected=expected, within_s=90)
    return made[0]


def held_of(site: Site) -> list[int]:
    """How many accelerators of each node of a site are held, so that one is left, on the last."""
    return [part.allocatable - (part is site.parts[-1]) for part in site.parts]


def watcher(ctx: Context, made: Scaled) -> Watcher:
    """Looks at the autoscaler, and at the CPU use as it sees it."""

    async def metric(hpa: Obj) -> tuple[float | None, str]:
        for one in (hpa.get("status") or {}).get("currentMetrics") or ():
            value = ((one.get("resource") or {}).get("current") or {}).get("averageUtilization")
            if value is not None:
                return float(value), ""
        return None, "the autoscaler knows no CPU use"

    return Watcher(ctx, made, metric, NAME, UNIT, TARGET)


async def burn(ctx: Context, made: Scaled) -> None:
    """A busy pod makes the autoscaler ask for a second replica."""
    proxy = kinds.POD.path(ctx.namespace, f"{ctx.memo['burning']}:{workloads.PORT}", "proxy")
    answer = await ctx.get(f"{proxy}/burn", query={"seconds": str(BURN_S)})
    said = str(answer.get("burning_s"))
    ctx.expect(f"the pod keeps a CPU busy for {BURN_S} s", said, ok=answer.get("burning_s") == BURN_S)
    watched = watcher(ctx, made)
    await watched.until(
        autoscale_watch.asks_for(MAXIMUM),
        expected=f"CPU use over {TARGET} % of the request makes it ask for {MAXIMUM} replicas",
        within_s=240,
    )
    await autoscale.told_by_event(ctx, made, MAXIMUM, "cpu")


async def waits(ctx: Context, made: Scaled) -> None:
    """The second pod stays pending, and the scheduler says for want of what."""
    ctx.memo["second"] = await _second(ctx, made)
    # made by the Deployment, so it carries its labels, not those of the run
    second = Target(
        kinds.POD, ctx.namespace, {workloads.APP_LABEL: made.workload.app}, f"metadata.name={ctx.memo['second']}"
    )
    refused = pods.refused_for("Insufficient", made.site.resource)
    await ctx.until(second, refused, expected=f"it is refused for want of {made.site.resource}", within_s=60)
    await ctx.never(second, pods.started, expected=f"no node for {WINDOW_S} s", during_s=WINDOW_S)
    watched = watcher(ctx, made)
    await watched.until(
        autoscale_watch.asks_for(MAXIMUM), expected=f"the autoscaler still asks for {MAXIMUM}", within_s=30
    )
    await ctx.show([made.autoscaler, made.workload.deployment])


async def _second(ctx: Context, made: Scaled) -> str:
    """The name of the pod beside the one that was there before."""
    where, why = workloads.pods_of(ctx, made.workload), workloads.why_no_pods(ctx, made.workload)
    second = beside(ctx.memo["burning"])
    found = await ctx.until(where, second, expected=f"the workload has {MAXIMUM} pods", within_s=60, explain=why)
    names = [str(pod["metadata"]["name"]) for pod in found]
    return next(name for name in names if name != ctx.memo["burning"])


def beside(first: str) -> Condition:
    """A condition: a second pod is made beside this one, and waits."""

    def two(objects: list[Obj]) -> State:
        others = [found for found in objects if found["metadata"]["name"] != first]
        before = [found for found in objects if found["metadata"]["name"] == first]
        if not before or pods.taken(before[0]):
            # what is made in its place gets its accelerator, as it should
            return State("blocked", f"{first}, which ran before, is no more: its node ended it, or somebody else did")
        given = pods.started(others)
        if given.outcome == "met":  # the node's kubelet refuses such a pod, and another is made in its place
            return State("wrong", given.observed)
        names = ", ".join(found["metadata"]["name"] for found in objects)
        return State("met" if len(objects) == MAXIMUM else "waiting", f"{len(objects)} pods: {names}")

    return two


async def starts(ctx: Context, made: Scaled) -> None:
    """Once an accelerator is free the second pod runs."""
    await ctx.delete(ctx.memo["filler"])
    watched = watcher(ctx, made)
    await watched.until(autoscale_watch.wants(MAXIMUM), expected=f"both of {MAXIMUM} replicas are ready", within_s=90)
    names = await autoscale.running(ctx, made.workload, made.site, MAXIMUM)
    waited = ctx.memo["second"]
    ctx.expect("the pod that waited is one of them", ", ".join(names), ok=waited in names)
