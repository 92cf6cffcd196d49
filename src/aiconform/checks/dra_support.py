"""Pods claim devices through the resource.k8s.io API, one claim a device, and give them back (KAR-0051, KEP-4381)."""

from __future__ import annotations

from aiconform.checks._kit import claims, pods
from aiconform.engine import Check, Context, needs

CHECK = Check(
    "dra_support",
    needs=(claims.served,),
    holds=needs.holds_dra,
    limits=(
        "One driver's devices are claimed; other drivers on the cluster are not looked at.",
        "Where a beta of the API is served alone, as by Kubernetes 1.33, nothing is claimed by it.",
    ),
    headline="given {first} and {second}",
    rights=(
        "create delete get list watch pods",
        "get pods/log",
        "create delete get list watch resourceclaims.resource.k8s.io",
        "create delete list watch resourceclaimtemplates.resource.k8s.io",
        "?list events.events.k8s.io",
    ),
    usual_s=41,
)


@CHECK.positive("the four kinds are served with all verbs", fails_if="a kind or one of its verbs is missing")
async def kinds_served(ctx: Context) -> None:
    served = await claims.served_kinds(ctx)
    missing = claims.missing_verbs(served)
    observed = "; ".join(f"{kind}: {', '.join(verbs)}" for kind, verbs in served.items()) or "none of them"
    kinds = ", ".join(claims.KINDS)
    beta = "" if claims.version(ctx.facts).endswith("/v1") else f" of {claims.version(ctx.facts)}"
    ctx.expect(f"{kinds}{beta}, each with {', '.join(claims.VERBS)}", observed, ok=not missing, cause=missing)


@CHECK.positive(
    "a claim from a template is allocated, and its container alone sees the device",
    fails_if="the claim is not allocated or not reserved for the pod, or its container sees no more than its sibling",
    needs=(claims.claimable,),
)
async def claim_allocated(ctx: Context) -> None:
    pod = await claims.claiming_pod(ctx, "claim")
    ctx.memo["first"] = await claims.granted(ctx, pod)


@CHECK.positive("two claims get two devices", fails_if="both claims are given the same device", after=claim_allocated)
async def distinct(ctx: Context) -> None:
    first = ctx.memo["first"]
    second = ctx.memo["second"] = await claims.granted(ctx, await claims.claiming_pod(ctx, "second"))
    ctx.expect(
        "another device",
        second.device,
        ok=second.device != first.device,
        figures={"first": first.device, "second": second.device},
    )


@CHECK.negative(
    "a claim that no device meets stays pending",
    fails_if="its pod is given a node, or the claim a device",
    control=claim_allocated,
)
async def unsatisfiable(ctx: Context) -> None:
    if second := ctx.memo.get("second"):  # so that a device is free, and only the selector stands in the way
        await ctx.delete(second.pod.handle)
        await ctx.until_gone(second.claim, within_s=120)
    pod = await claims.claiming_pod(ctx, "impossible", expression="false")
    await ctx.until(pod.handle, pods.refused_for("cannot allocate"), expected="the scheduler says why", within_s=60)
    await ctx.never(pod.handle, pods.started, expected="no node for 15 s", during_s=15)
    await claims.unallocated(ctx, pod)


@CHECK.recovery(
    "deleting the pods releases their devices",
    fails_if="the claim made for a pod outlives it, or a standing claim keeps its device with no pod using it",
    after=claim_allocated,
    timeout_s=300,
)
async def released(ctx: Context) -> None:
    first = ctx.memo["first"]
    await ctx.delete(first.pod.handle)
    await ctx.until_gone(first.pod.handle, within_s=60)
    await ctx.until_gone(first.claim, within_s=120)
    standing = await claims.standing_claim(ctx, "standing")
    used = await claims.granted(ctx, await claims.pod_on(ctx, "user", standing))
    await ctx.delete(used.pod.handle)
    await ctx.until(standing, claims.free, expected="the standing claim holds no device any more", within_s=120)
    again = await claims.granted(ctx, await claims.pod_on(ctx, "next-user", standing))
    ctx.expect("the next pod gets a device by the same claim", again.device, ok=bool(again.device))
