"""One inference request is served by separate prefill and decode pods (KAR-0041)."""

from __future__ import annotations

from aiconform.checks._kit import disaggregated
from aiconform.engine import Check, Context

CHECK = Check(
    "disaggregated_inference",
    by_hand=True,
    limits=(
        "Pods are known by the labels of llm-d, Dynamo and AIBrix; no request is sent, and no log of theirs is read.",
    ),
    rights=("list pods",),
)


@CHECK.positive(
    "prefill and decode of a model run in separate pods",
    fails_if="nothing: where no such pods are ready, nothing is known of the platform",
)
async def apart(ctx: Context) -> None:
    for framework in disaggregated.FRAMEWORKS:
        groups = disaggregated.apart(await disaggregated.pods(ctx, framework), framework)
        for name, roles in sorted(groups.items()):
            counted = ", ".join(f"{len(pods)} {role}" for role, pods in sorted(roles.items()))
            ctx.expect(f"ready pods of both roles, by {framework.name}", f"{name}: {counted}", ok=True)
            return
    known = ", ".join(framework.name for framework in disaggregated.FRAMEWORKS)
    raise ctx.undecided(
        f"ready pods for prefill and for decode, by {known}",
        "none",
        f"deploy a solution with a small model, then {disaggregated.HOW}",
    )


@CHECK.positive("one request is served by both", fails_if="nothing yet: it is not tried, and so undecided", after=apart)
async def both(ctx: Context) -> None:
    # asked again, so that what is told rests on something
    for framework in disaggregated.FRAMEWORKS:
        await disaggregated.pods(ctx, framework)
    raise ctx.undecided("one request id in the logs of both", "no request was sent", disaggregated.HOW)
