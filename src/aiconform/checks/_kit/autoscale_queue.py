"""The queue of an inference service as a custom metric, which a HorizontalPodAutoscaler follows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiconform.checks._kit import (
    autoscale,
    autoscale_watch,
    custom_metrics,
    prometheus_found,
    prometheus_operator,
    workloads,
)
from aiconform.checks._kit.autoscale import MAXIMUM, Scaled, Site
from aiconform.checks._kit.autoscale_watch import Look, Timed, Watcher
from aiconform.checks._kit.custom_metrics import GROUP
from aiconform.checks._kit.inference_metrics import QUEUE
from aiconform.checks._kit.workloads import Workload
from aiconform.engine import Context, Facts, State, Unmet, kinds

Obj = dict[str, Any]

TARGET = 5
LONG = 6 * TARGET
"""A queue for which six replicas would be wanted."""
NAME = "queue per pod"
UNIT = "requests"
UP = "longer queue to more replicas wanted"
DOWN = "empty queue to one replica"


def served(facts: Facts) -> Unmet | None:
    """Custom metrics are served, and Prometheus Operator is there to collect the metric of our own workload."""
    if custom_metrics.version(facts) is None:
        hint = "install a metrics adapter, such as Prometheus Adapter"
        return Unmet("not run", f"the API server does not serve {GROUP}: {hint}")
    if prometheus_operator.API not in facts.groups:
        why = "without Prometheus Operator the check cannot have its workload's metric collected"
        return Unmet("not run", f"the API server does not serve {prometheus_operator.API}: {why}")
    return None


async def service(ctx: Context) -> tuple[Workload, Site]:
    """Create the workload with one replica, and have its metrics collected."""
    monitoring = await prometheus_found.find(ctx)
    if monitoring.way == "annotations":
        raise ctx.undecided("a monitor for the workload", "annotations are used", "this check knows monitors alone")
    workload, site, pod = await autoscale.serve(ctx, "queue")
    await tell(ctx, [pod], 7)
    selector = {workloads.APP_LABEL: workload.app}
    await ctx.create(prometheus_operator.monitor(monitoring, ctx.name("monitor"), workloads.PORT_NAME, selector))
    return workload, site


async def tell(ctx: Context, pods: list[str], queue: int | None) -> None:
    """Tell pods how long their queue is; None: tell it no longer."""
    for pod in pods:
        proxy = kinds.POD.path(ctx.namespace, f"{pod}:{workloads.PORT}", "proxy")
        if queue is None:
            answer = await ctx.get(f"{proxy}/hide")
        else:
            answer = await ctx.get(f"{proxy}/set", query={"queue": str(queue)})
        told = "no length" if queue is None else str(queue)
        ctx.expect(f"{pod} takes {told} for its queue", str(answer.get("queue")), ok=answer.get("queue") == queue)


async def known(ctx: Context, workload: Workload) -> None:
    """The API answers the metric of the pod, whatever its value."""
    look = _answer(ctx, workload, lambda values: len(values) == 1, gone=True)
    await ctx.poll(look, expected=f"{GROUP} answers {QUEUE} of the pod", within_s=300)


async def answered(ctx: Context, workload: Workload, *, told: int) -> None:
    """The API answers what the pod was told."""
    look = _answer(ctx, workload, lambda values: values == [told])
    await ctx.poll(look, expected=f"{GROUP} answers {QUEUE} of the pod with {told}", within_s=60)


def _answer(
    ctx: Context, workload: Workload, right: Callable[[list[float]], bool], *, gone: bool = False
) -> autoscale_watch.Sample:
    async def look() -> State:
        found, why = await custom_metrics.of_pods(ctx, QUEUE, workload.app, gone=gone)
        if not found:
            return State("nothing", f"no value: {why}")
        observed = ", ".join(f"{pod}: {value:g}" for pod, value in found.items())
        return State("met" if right(list(found.values())) else "waiting", observed)

    return look


async def scaled(ctx: Context) -> Scaled:
    """Create the autoscaler, and see that it works with the metric and wants one replica for an empty queue."""
    workload, site = ctx.memo["queue"]
    target = {"type": "AverageValue", "averageValue": str(TARGET)}
    metric = {"type": "Pods", "pods": {"metric": {"name": QUEUE}, "target": target}}
    made = Scaled(workload, await autoscale.autoscaler(ctx, workload, metric), site)
    watched = watcher(ctx, made)
    await watched.until(
        autoscale_watch.wants(1),
        expected="with an empty queue the autoscaler works and wants one replica",
        within_s=120,
    )
    return made


def watcher(ctx: Context, made: Scaled, *, gone: bool = False) -> Watcher:
    """Looks at the autoscaler and, by itself, at the metric; which must be answered unless it may be ``gone``."""

    async def metric(_hpa: Obj) -> tuple[float | None, str]:
        found, why = await custom_metrics.of_pods(ctx, QUEUE, made.workload.app, gone=gone)
        return (sum(found.values()) / len(found), "") if found else (None, why)

    return Watcher(ctx, made, metric, NAME, UNIT, TARGET)


async def pods_now(ctx: Context, made: Scaled) -> list[str]:
    """The workload's pods."""
    found = await ctx.list(kinds.POD, ctx.namespace, labels={workloads.APP_LABEL: made.workload.app})
    return [pod["metadata"]["name"] for pod in found if not pod["metadata"].get("deletionTimestamp")]


async def grow(ctx: Context, made: Scaled) -> None:
    """A queue of twice the target makes the second replica run."""
    [first] = await pods_now(ctx, made)
    await tell(ctx, [first], 2 * TARGET)
    watched = watcher(ctx, made)
    await watched.until(
        autoscale_watch.asks_for(MAXIMUM),
        expected=f"a queue of {2 * TARGET}, with {TARGET} as the target for each, makes it ask for {MAXIMUM} replicas",
        within_s=300,
        timed=Timed(UP, ctx.now),
    )
    pods = await autoscale.running(ctx, made.workload, made.site, MAXIMUM)
    await autoscale.hold_their_own(ctx, made.workload, made.site, pods)
    settled = f"the autoscaler sees {MAXIMUM} replicas, and they are ready"
    await watched.until(autoscale_watch.wants(MAXIMUM), expected=settled, within_s=60)
    await autoscale.told_by_event(ctx, made, MAXIMUM, QUEUE)
    await ctx.show([made.autoscaler, made.workload.deployment])
    ctx.memo["first"] = first
    others = [pod for pod in pods if pod != first]
    ctx.expect("the first pod still runs beside the new one", ", ".join(pods), ok=first in pods and len(others) == 1)


async def stays(ctx: Context, made: Scaled) -> None:
    """At the target nothing changes for two periods."""

    def judge(look: Look) -> State:
        if look.desired != MAXIMUM:
            return State("wrong", look.text)
        # the new pod's queue is known a moment after it runs; until then nothing is shown
        good = look.metric == TARGET and look.active.startswith("True")
        return State("met" if good else "nothing", look.text)

    watched = watcher(ctx, made)
    expected = f"the queue is {TARGET} per pod, the target"
    await watched.until(judge, expected=expected, within_s=60)
    still = f"it stays {MAXIMUM} replicas for {autoscale.STEADY_S} s"
    await watched.hold(judge, expected=still, during_s=autoscale.STEADY_S)


async def capped(ctx: Context, made: Scaled) -> None:
    """However long the queue, there are never more than the maximum, and the autoscaler says that it is limited."""
    await tell(ctx, [ctx.memo["first"]], LONG)
    watched = watcher(ctx, made)

    def limited(look: Look) -> State:
        said = " ".join(look.conditions.get("ScalingLimited", ("not told", "")))
        observed = f"{look.text}, ScalingLimited {said}"
        if look.desired > MAXIMUM:
            return State("wrong", observed)
        return State("met" if said == "True TooManyReplicas" else "waiting", observed)

    expected = f"a queue of {LONG} is more than {MAXIMUM} replicas can take, and the autoscaler says so"
    await watched.until(limited, expected=expected, within_s=120)
    still = f"it stays {MAXIMUM} for {autoscale.ONCE_MORE_S} s"
    await watched.hold(limited, expected=still, during_s=autoscale.ONCE_MORE_S)


async def blind(ctx: Context, made: Scaled) -> None:
    """Without the metric the autoscaler says so and changes nothing."""
    pods = await pods_now(ctx, made)
    # the metrics of several pods do not go in one instant: what is left of them must not ask for fewer replicas
    await tell(ctx, pods, LONG)
    look = _answer(ctx, made.workload, lambda values: values == [LONG] * len(pods))
    await ctx.poll(look, expected=f"{GROUP} answers {QUEUE} of every pod with {LONG}", within_s=60)
    await tell(ctx, pods, None)

    def cannot(objects: list[Obj]) -> State:
        status = objects[0].get("status") or {}
        said: Obj = next((c for c in status.get("conditions") or () if c["type"] == "ScalingActive"), {})
        desired = int(status.get("desiredReplicas") or 0)
        observed = f"ScalingActive {said.get('status')} {said.get('reason')}, {desired} desired"
        if desired != MAXIMUM:
            return State("wrong", observed)
        return State("met" if said.get("status") == "False" else "waiting", observed)

    expected = "the autoscaler says that it cannot work: ScalingActive False"
    await ctx.until(made.autoscaler, cannot, expected=expected, within_s=180)

    def unmoved(look: Look) -> State:
        still = look.metric is None and look.active.startswith("False") and look.desired == look.ready == MAXIMUM
        return State("met" if still else "wrong", look.text)

    expected = f"{GROUP} answers the metric no more, and nothing changes for {autoscale.ONCE_MORE_S} s"
    watched = watcher(ctx, made, gone=True)
    await watched.hold(unmoved, expected=expected, during_s=autoscale.ONCE_MORE_S)


async def shrink(ctx: Context, made: Scaled) -> None:
    """An empty queue brings it back to one replica."""
    await tell(ctx, await pods_now(ctx, made), 0)
    emptied = Timed(DOWN, ctx.now)
    look = _answer(ctx, made.workload, lambda values: sum(values) == 0, gone=True)
    await ctx.poll(look, expected=f"{GROUP} answers {QUEUE} with 0 again", within_s=120)
    watched = watcher(ctx, made)
    back = "an empty queue brings it back to one replica"
    await watched.until(autoscale_watch.wants(1), expected=back, within_s=240, timed=emptied)
    await autoscale.running(ctx, made.workload, made.site, 1)
    await autoscale.told_by_event(ctx, made, 1, "metric")
