"""Which Prometheus is asked: the one that was told, one of Prometheus Operator's, or one that a Service leads to."""

from __future__ import annotations

from aiconform.checks._kit import prometheus_operator, prometheus_relay, prometheus_service
from aiconform.checks._kit.prometheus import Monitoring, query
from aiconform.engine import Choice, Context, Facts, UndecidableError

_PROXY = "get services/proxy"
_OBJECTS = "list prometheuses.monitoring.coreos.com"
_OWN = "get namespaces"
"""Our own namespace: its labels decide whether a monitor in it is taken."""


def _asking(facts: Facts) -> tuple[str, ...]:
    if facts.option("prometheus-url"):
        return ()
    return (_PROXY,) if facts.option("prometheus") else (_PROXY, _OBJECTS)


def _finding(facts: Facts) -> tuple[str, ...]:
    told = facts.option("prometheus-url") or facts.option("prometheus")
    return (*_asking(facts), *(() if told or prometheus_operator.API not in facts.groups else (_OWN,)))


ASKING = Choice((_PROXY, _OBJECTS), _asking)
"""What a check must be allowed to ask every Prometheus that there is."""
FINDING = Choice((_PROXY, _OBJECTS, _OWN), _finding)
"""What it must be allowed to find the one that a workload of ours can be made known to."""


async def find(ctx: Context) -> Monitoring:
    """The first Prometheus that answers, and that a workload of ours can be made known to; states which.

    Raises:
        StopProbe: there is none; undecided, with the reason for each that was passed over.
    """
    expected = "a Prometheus that collects from workloads of our namespace answers vector(1) with 1"
    found, passed_over = await _candidates(ctx)
    for monitoring in found:
        named = f"{monitoring.name} {monitoring.version}".strip()
        try:
            answer = await query(ctx, monitoring, "vector(1)")
        except UndecidableError as problem:
            passed_over.append(f"{monitoring.name} by {monitoring.door}: {problem.cause}")
            continue
        values = ", ".join(f"{sample.value:g}" for sample in answer) or "nothing"
        by = f", workloads made known by {monitoring.way}"
        ctx.expect(
            expected,
            f"{named} answers {values}, asked through {monitoring.door}{by}",
            ok=[sample.value for sample in answer] == [1.0],
        )
        return monitoring
    reasons = "; ".join(passed_over) or "no Prometheus object, and no Service with labels that are known"
    cause = "no Prometheus that we could use; --prometheus names a Service, --prometheus-url a URL"
    raise ctx.undecided(expected, reasons, cause)


async def every(ctx: Context) -> list[Monitoring]:
    """Every Prometheus by each of its doors, whether a workload of ours could be made known to it or not."""
    if told := await _told(ctx):
        return [told]
    found = await prometheus_operator.every(ctx) if _operated(ctx) else []
    return found or await prometheus_service.found(ctx)


async def _candidates(ctx: Context) -> tuple[list[Monitoring], list[str]]:
    if told := await _told(ctx):
        return [told], []
    if _operated(ctx):
        found, passed_over = await prometheus_operator.candidates(ctx)
        if found or passed_over:
            return found, passed_over
    return await prometheus_service.found(ctx), []


async def _told(ctx: Context) -> Monitoring | None:
    if url := ctx.option("prometheus-url"):
        return await prometheus_relay.to(ctx, url)
    if service := ctx.option("prometheus"):
        return await prometheus_service.told(ctx, service)
    return None


def _operated(ctx: Context) -> bool:
    return prometheus_operator.API in ctx.facts.groups
