"""A Prometheus by its URL, asked from a pod of ours: the tool itself speaks to the API server alone.

The pod passes on what the API server's proxy brings it, and nothing but the HTTP API below the URL.
"""

from __future__ import annotations

from aiconform.checks._kit import pods, prometheus_service, workloads
from aiconform.checks._kit.operator import is_ready
from aiconform.checks._kit.prometheus import Monitoring
from aiconform.engine import Context, Handle, State, kinds

PORT = 8000


async def to(ctx: Context, url: str) -> Monitoring:
    """Start a pod that asks this URL; it lives as long as the check.

    Raises:
        StopProbe: the pod does not get ready.
    """
    pod: Handle = ctx.memo.get("relay") or await _start(ctx, url)
    ctx.memo["relay"] = pod
    proxy = kinds.POD.path(pod.namespace, f"{pod.name}:{PORT}", "proxy")
    return Monitoring(url, f"{pod}, which asks it", f"{proxy}/api/v1", {}, "", prometheus_service.way(ctx))


async def _start(ctx: Context, url: str) -> Handle:
    container = workloads.python_container(
        ctx, "relay", workloads.program("relaying"), url.rstrip("/"), str(PORT), port=PORT
    )
    spec = {**workloads.pod_spec(ctx, container, restart="Never"), "activeDeadlineSeconds": 2 * pods.DEADLINE_S}
    pod = await ctx.create(pods.manifest(ctx, ctx.name("relay"), spec))

    def ready(objects: list[dict[str, object]]) -> State:
        state = pods.running(objects)
        if state.outcome != "met":
            return state
        return State("met" if is_ready(objects[0]) else "waiting", f"{state.observed}")

    await ctx.until(pod, ready, expected=f"{pod}, which asks {url}, is ready", within_s=90)
    return pod
