"""Workloads that hold accelerators follow their own metric up and down, as far as accelerators go (KAR-0057)."""

from __future__ import annotations

from aiconform.checks._kit import (
    autoscale,
    autoscale_cpu,
    autoscale_queue,
    prometheus_found,
    prometheus_operator,
)
from aiconform.engine import Check, Context

CHECK = Check(
    "pod_autoscaling",
    needs=(autoscale.room, autoscale_queue.served),
    holds=autoscale.holds,
    limits=(
        "The metric is the queue of a small server of our own, which is told its length; no model is served.",
        "Both replicas go to one node with two accelerators, or where there is none, to two nodes with one each.",
        "Replicas ask for accelerators by their device plugin; replicas with resource claims are not tried.",
        "How fast an autoscaler should be is not judged: only what it does in the end.",
    ),
    headline="up in {longer queue to more replicas wanted}, down in {empty queue to one replica}",
    rights=(
        "create delete list watch pods services deployments.apps",
        "create delete get list watch horizontalpodautoscalers.autoscaling",
        "get deployments.apps pods/proxy",
        "?get pods/log",
        prometheus_found.FINDING,
        prometheus_operator.MONITORS,
        "list events.events.k8s.io",
        "get pods/inference_queue_depth.custom.metrics.k8s.io",
    ),
    usual_s=159,
)


@CHECK.positive(
    "the queue of a pod with an accelerator is served as a custom metric",
    fails_if="the API answers another value than the pod was told",
    timeout_s=540,
)
async def answered(ctx: Context) -> None:
    workload, site = ctx.memo["queue"] = await autoscale_queue.service(ctx)
    await autoscale_queue.known(ctx, workload)
    await autoscale_queue.answered(ctx, workload, told=7)
    [pod] = await autoscale.running(ctx, workload, site, 1)
    await autoscale_queue.tell(ctx, [pod], 0)
    await autoscale_queue.answered(ctx, workload, told=0)


@CHECK.positive(
    "a longer queue brings a second replica, which runs with an accelerator of its own",
    fails_if="it stays one replica, the second does not run or finds no device, or no event names the metric",
    after=answered,
    timeout_s=600,
)
async def grows(ctx: Context) -> None:
    ctx.memo["scaled"] = await autoscale_queue.scaled(ctx)
    await autoscale_queue.grow(ctx, ctx.memo["scaled"])


@CHECK.negative("at the target nothing changes", fails_if="another number of replicas is wanted", control=grows)
async def steady(ctx: Context) -> None:
    await autoscale_queue.stays(ctx, ctx.memo["scaled"])


@CHECK.negative(
    "never more replicas than the maximum", fails_if="more are wanted, however long the queue", control=grows
)
async def at_most(ctx: Context) -> None:
    await autoscale_queue.capped(ctx, ctx.memo["scaled"])


@CHECK.negative(
    "without its metric the autoscaler changes nothing and says so",
    fails_if="it scales on a metric that nobody answers, or calls itself active",
    control=grows,
    timeout_s=300,
)
async def blind(ctx: Context) -> None:
    await autoscale_queue.blind(ctx, ctx.memo["scaled"])


@CHECK.recovery("an empty queue brings it back to one replica", fails_if="it stays at two", after=grows, timeout_s=600)
async def shrinks(ctx: Context) -> None:
    await autoscale_queue.shrink(ctx, ctx.memo["scaled"])


@CHECK.positive(
    "on CPU use a second replica is asked for, too",
    fails_if="CPU use is unknown, or a busy pod brings no second replica",
    needs=(autoscale_cpu.served,),
    timeout_s=600,
)
async def busy(ctx: Context) -> None:
    await autoscale_cpu.clear(ctx)
    ctx.memo["on cpu"] = await autoscale_cpu.scaled(ctx)
    await autoscale_cpu.burn(ctx, ctx.memo["on cpu"])


@CHECK.negative(
    "a replica for which no accelerator is left waits",
    fails_if="it is given a node although every accelerator is taken",
    control=busy,
)
async def no_room(ctx: Context) -> None:
    await autoscale_cpu.waits(ctx, ctx.memo["on cpu"])


@CHECK.recovery("it runs once an accelerator is free", fails_if="it goes on waiting", after=no_room)
async def room_appears(ctx: Context) -> None:
    await autoscale_cpu.starts(ctx, ctx.memo["on cpu"])
