"""The monitoring system finds an inference service and counts its requests exactly (KAR-0061)."""

from __future__ import annotations

from aiconform.checks._kit import inference_metrics, prometheus_found, prometheus_operator
from aiconform.engine import Check, Context

CHECK = Check(
    "ai_service_metrics",
    limits=(
        "A workload is made known in one way: by ServiceMonitor, PodMonitor or annotations, whichever the cluster has.",
        "What answers Prometheus' queries is taken for it; monitoring systems that answer others are not tried.",
        "The service is a small one of our own that answers and counts like an inference server; it runs no model.",
    ),
    headline="{requests counted} requests counted",
    rights=(
        "create delete list watch pods services deployments.apps",
        "get pods/log pods/proxy",
        "patch deployments.apps",
        prometheus_found.FINDING,
        prometheus_operator.MONITORS,
    ),
    usual_s=69,
)


@CHECK.positive("a Prometheus answers queries", fails_if="none takes our monitors, or vector(1) is not 1")
async def answers(ctx: Context) -> None:
    ctx.memo["monitoring"] = await prometheus_found.find(ctx)


@CHECK.positive(
    "an inference service tells its requests, their duration and its queue",
    fails_if="its pod does not run, or its page of metrics lacks one of them",
    after=answers,
)
async def serving(ctx: Context) -> None:
    ctx.memo["service"] = await inference_metrics.service(ctx, "inference")
    ctx.memo["unwatched"] = await inference_metrics.service(ctx, "unwatched")


@CHECK.negative(
    "nothing is collected before the service is made known",
    fails_if="Prometheus has a series of its job already, or one of its pod under another job",
    control=serving,
    timeout_s=300,
)
async def unmonitored(ctx: Context) -> None:
    await inference_metrics.never_collected(ctx, ctx.memo["monitoring"], ctx.memo["service"])


@CHECK.positive(
    "once it is made known the service's pod becomes a target that is up",
    fails_if="up of its job is not 1, or is of another pod",
    after=serving,
    timeout_s=700,
)
async def discovered(ctx: Context) -> None:
    monitoring, service = ctx.memo["monitoring"], ctx.memo["service"]
    service = await inference_metrics.made_known(ctx, monitoring, service)
    ctx.memo["service"] = await inference_metrics.collected(ctx, monitoring, service, within_s=300)


@CHECK.positive(
    "37 requests are counted as exactly 37",
    fails_if="counter or histogram settle on another number, or the histogram has lost its buckets",
    after=discovered,
    timeout_s=1200,
)
async def counted(ctx: Context) -> None:
    await inference_metrics.count(ctx, ctx.memo["monitoring"], ctx.memo["service"], waves=(7, 30))


@CHECK.positive(
    "the queue's depth is followed",
    fails_if="the gauge does not show what it is set to",
    after=discovered,
    timeout_s=600,
)
async def queue_followed(ctx: Context) -> None:
    await inference_metrics.follow_queue(ctx, ctx.memo["monitoring"], ctx.memo["service"], depths=(11, 3))


@CHECK.negative(
    "a service that is not made known stays unseen, though it is asked",
    fails_if="Prometheus has a series of its job, or one of its pod under another job",
    control=counted,
    timeout_s=600,
)
async def unwatched(ctx: Context) -> None:
    service = ctx.memo["unwatched"]
    await inference_metrics.ask(ctx, service, 5, already=0)
    await inference_metrics.never_collected(ctx, ctx.memo["monitoring"], service)


@CHECK.recovery(
    "collection resumes with the pod that replaces its pod",
    fails_if="the new pod is not collected, or its requests are not counted anew",
    after=counted,
    timeout_s=1200,
)
async def resumed(ctx: Context) -> None:
    monitoring = ctx.memo["monitoring"]
    service = await inference_metrics.replace_pod(ctx, ctx.memo["service"])
    service = await inference_metrics.collected(ctx, monitoring, service, within_s=180)
    await inference_metrics.count(ctx, monitoring, service, waves=(5,))
