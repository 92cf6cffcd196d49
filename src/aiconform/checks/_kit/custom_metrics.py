"""Metrics of pods as the custom metrics API answers them."""

from __future__ import annotations

import math
import re

from aiconform.checks._kit import workloads
from aiconform.engine import Context, Facts, RefusedError, UndecidableError

GROUP = "custom.metrics.k8s.io"
_QUANTITY = re.compile(r"(-?[0-9]+(?:\.[0-9]+)?)([mk]?)")
_FACTORS = {"m": 0.001, "": 1.0, "k": 1000.0}


def version(facts: Facts) -> str | None:
    """The version of the API that is served, the newest first; None where none is."""
    versions = (f"{GROUP}/v1beta2", f"{GROUP}/v1beta1")
    return next((version for version in versions if version in facts.groups), None)


async def of_pods(ctx: Context, metric: str, app: str, *, gone: bool = False) -> tuple[dict[str, float], str]:
    """A metric of the pods of a workload, by pod, as the API answers it; if it may be ``gone``, none with the reason.

    Raises:
        UndecidableError: any other answer.
    """
    path = f"/apis/{version(ctx.facts)}/namespaces/{ctx.namespace}/pods/*/{metric}"
    selector = f"{workloads.APP_LABEL}={app}"
    try:
        body = await ctx.get(path, query={"labelSelector": selector})
    except RefusedError as refused:
        if not gone or (refused.status, refused.reason) != (404, "NotFound"):
            raise
        return {}, f"404 {refused.message}"
    if body.get("kind") != "MetricValueList" or not isinstance(body.get("items"), list):
        raise UndecidableError(f"{path} answered {body.get('kind')} instead of a MetricValueList")
    objects = [(item["describedObject"], quantity(str(item["value"]))) for item in body["items"]]
    foreign = [of for of, _ in objects if (of.get("kind"), of.get("namespace")) != ("Pod", ctx.namespace)]
    if foreign:
        raise UndecidableError(f"{path} answered a metric of {foreign[0]}")
    if any(math.isnan(value) for _, value in objects):
        raise UndecidableError(f"{path} answered a value that is no quantity")
    if not objects and not gone:
        raise UndecidableError(f"{GROUP} answers {metric} no more: an empty list")
    return {of["name"]: value for of, value in objects}, "" if objects else "an empty list"


def quantity(text: str) -> float:
    """A Kubernetes quantity of a metric: ``7``, ``2500m``, ``1k``; not a number where it is none of these."""
    found = _QUANTITY.fullmatch(text)
    return float(found.group(1)) * _FACTORS[found.group(2)] if found else float("nan")
