"""Queries of a Prometheus through the API server's proxy, and samples of them for waits.

An error of Prometheus is told from one of Kubernetes: the first is no Status object.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from prometheus_client.parser import text_string_to_metric_families

from aiconform.engine import Context, RefusedError, State, UndecidableError

Way = Literal["ServiceMonitor", "PodMonitor", "annotations"]
EVERY_S: Mapping[Way, int] = {"ServiceMonitor": 1, "PodMonitor": 1, "annotations": 60}


@dataclass(frozen=True)
class Monitoring:
    """A Prometheus that answers queries, and how a workload of ours is made known to it.

    Attributes:
        name: ``namespace/name`` of the Prometheus object, or of its Service; or its URL.
        door: what is asked, in words: a Service of it, or a pod.
        api: path of its HTTP API through the API server's proxy.
        labels: what a monitor must be labelled with to be taken.
        version: as the object names it.
        way: how a workload is made known to it.
    """

    name: str
    door: str
    api: str
    labels: Mapping[str, str]
    version: str
    way: Way = "ServiceMonitor"

    @property
    def every_s(self) -> int:
        """Seconds between two looks at a workload: a monitor says it; for annotations Prometheus's own setting does."""
        return EVERY_S[self.way]


@dataclass(frozen=True)
class Sample:
    """One series of an instant query's answer."""

    labels: Mapping[str, str]
    value: float


async def query(ctx: Context, monitoring: Monitoring, promql: str) -> list[Sample]:
    """The vector that an instant query answers.

    Raises:
        UndecidableError: no answer, or one that is no vector; the cause tells Prometheus from Kubernetes.
    """
    try:
        body = await ctx.get(f"{monitoring.api}/query", query={"query": promql})
    except RefusedError as refused:
        if refused.reason:
            raise
        raise UndecidableError(f"{monitoring.name} itself answered {refused.status} to {promql}") from refused
    found = _vector(body)
    if found is None:
        raise UndecidableError(f"{monitoring.name} answered {promql} with no vector: {body.get('error', '')}")
    return found


def _vector(body: Mapping[str, Any]) -> list[Sample] | None:
    """The vector in an answer; None if there is none, or if it is an object of Kubernetes'."""
    try:
        if "kind" in body or (body["status"], body["data"]["resultType"]) != ("success", "vector"):
            return None
        return [Sample(dict(item["metric"]), float(item["value"][1])) for item in body["data"]["result"]]
    except (KeyError, IndexError, TypeError, ValueError):
        return None


def absent(ctx: Context, monitoring: Monitoring, promql: str) -> Callable[[], Awaitable[State]]:
    """A sample: the query answers an empty vector."""

    async def look() -> State:
        found = await query(ctx, monitoring, promql)
        if not found:
            return State("met", "no series")
        return State("wrong", f"{len(found)} series, such as {dict(found[0].labels)}")

    return look


def equal(
    ctx: Context,
    monitoring: Monitoring,
    promql: str,
    wanted: float,
    *,
    points: list[tuple[float, float]] | None = None,
    never_more: bool = False,
) -> Callable[[], Awaitable[State]]:
    """A sample: the query answers one series, of this value.

    Args:
        ctx: the probe's context.
        monitoring: which is asked.
        promql: the query.
        wanted: the value.
        points: gets what was seen, for a plot.
        never_more: a larger value is wrong: what is counted does not shrink.
    """

    async def look() -> State:
        found = await query(ctx, monitoring, promql)
        if points is not None:
            points.extend((ctx.now, sample.value) for sample in found[:1] if math.isfinite(sample.value))
        values = [sample.value for sample in found]
        observed = ", ".join(f"{value:g}" for value in values) or "no series"
        if values == [wanted]:
            return State("met", observed)
        too_much = never_more and any(value > wanted for value in values)
        return State("wrong" if too_much else "waiting", observed)

    return look


def samples(text: str) -> dict[str, float]:
    """Values by series name of a metrics page in the text format; of several series of one name the sum.

    Raises:
        UndecidableError: it is not in that format.
    """
    found: dict[str, float] = {}
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found[sample.name] = found.get(sample.name, 0.0) + sample.value
    except ValueError as problem:
        raise UndecidableError(f"not in the text format of metrics: {problem}") from problem
    return found
