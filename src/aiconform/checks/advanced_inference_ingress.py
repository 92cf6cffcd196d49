"""An implementation of the Gateway API's inference extension routes to models by what their servers say (KAR-0011)."""

from __future__ import annotations

from aiconform.checks._kit import gateway, inference_pools
from aiconform.engine import Check, Context, needs

CHECK = Check(
    "advanced_inference_ingress",
    needs=(inference_pools.served, needs.api(gateway.API)),
    imports="the report of the inference extension's conformance suite",
    limits=(
        "How endpoints are picked is shown by upstream's suite alone; we read its report and do not run it.",
        "The report names releases and implementation, not the cluster: that it is of this one, its giver vouches for.",
        "One GatewayClass is tried: by name the first that is accepted and not a mesh's.",
    ),
    pod_security="baseline",  # of some classes the Gateway's own pods run beside it, and have no seccomp profile
    rights=(
        "create delete list watch gateways.gateway.networking.k8s.io httproutes.gateway.networking.k8s.io services",
        "get list watch gatewayclasses.gateway.networking.k8s.io",
        "create delete list watch inferencepools.inference.networking.k8s.io",
        "get customresourcedefinitions.apiextensions.k8s.io=gatewayclasses.gateway.networking.k8s.io",
        "get customresourcedefinitions.apiextensions.k8s.io=gateways.gateway.networking.k8s.io",
        "get customresourcedefinitions.apiextensions.k8s.io=inferencepools.inference.networking.k8s.io",
    ),
)


@CHECK.positive(
    "a pool is accepted, and a route to it resolved, by the class' implementation",
    fails_if="the implementation says that it knows no pools, or nothing at all",
    timeout_s=420,
)
async def accepted(ctx: Context) -> None:
    chosen = ctx.memo["class"] = await gateway.accepted_class(ctx)
    made = await gateway.create(ctx, "gateway", chosen)
    pool, route = await inference_pools.create(ctx, made)
    await ctx.until(route, inference_pools.resolved(made), expected="the route's pool is resolved", within_s=60)
    await ctx.until(pool, inference_pools.accepted(made), expected="the pool is accepted", within_s=60)


@CHECK.positive(
    "the inference extension's own conformance suite passed with that class",
    fails_if="its report says that a core test failed",
    after=accepted,
)
async def suite(ctx: Context) -> None:
    found = await inference_pools.report(ctx)
    await inference_pools.is_of_this_cluster(ctx, found, ctx.memo["class"])
    if not (found.whole or found.bad):
        expected = f"every core test ran, {found.core_tests} at least"
        raise ctx.undecided(expected, str(found), "the report is of a part of the suite, or of an older one")
    ctx.expect("every core test passed", str(found), ok=found.whole)
