"""A group of pods starts as one or not at all, by every gang scheduling system that runs (KAR-0053)."""

from __future__ import annotations

from aiconform.checks._kit import gangs
from aiconform.engine import Check, Context

CHECK = Check(
    "gang_scheduling",
    needs=(gangs.need,),
    holds=gangs.holds,
    limits=(
        "Known are Volcano, Kueue (by topology-aware scheduling, from v0.15), KAI and the coscheduling plugin.",
        "A system that does not run, or admits no group, is set aside and told, as long as another admits its own.",
        "Groups are placed on one node, which they fill while they are tried.",
    ),
    headline="all or none by {tried}",
    rights=(
        "create delete list watch pods",
        gangs.RIGHTS,
    ),
    usual_s=91,
)


@CHECK.positive(
    "a group that fits runs as one and completes",
    fails_if="its members do not all run at the same time, or the system does not show that it admitted the group",
    timeout_s=300,
)
async def together(ctx: Context) -> None:
    arena, groups = await gangs.first_groups(ctx, await gangs.opened(ctx))
    await gangs.run_together(ctx, arena, groups)
    await gangs.removed(ctx, groups)
    ctx.memo["arena"] = arena


@CHECK.positive(
    "plain pods of the same shape start in part where one does not fit",
    fails_if="one that has a place does not run; undecided if all fit or none does, for then a group shows nothing",
    after=together,
)
async def plain_in_part(ctx: Context) -> None:
    ctx.memo["arena"], ctx.memo["fillers"] = await gangs.made_scarce(ctx, ctx.memo["arena"])
    await gangs.plain_in_part(ctx, ctx.memo["arena"])


@CHECK.negative(
    f"a group one member too big starts none of them for {gangs.WINDOW_S} s",
    fails_if="a member is given a node, or nothing says that it is the group that does not fit",
    control=plain_in_part,
    timeout_s=300,
)
async def too_big(ctx: Context) -> None:
    arena = ctx.memo["arena"]
    ctx.memo["groups"] = groups = await gangs.hand_over(ctx, arena)
    await gangs.refused(ctx, arena, groups, expected="says that the group as a whole does not fit")
    await gangs.none_starts(ctx, arena, groups, ctx.memo["fillers"])
    await gangs.still_fit(ctx, arena)
    await gangs.refused(ctx, arena, groups, expected="still says so")


@CHECK.recovery(
    "once there is room, the same group runs as one and completes",
    fails_if="it goes on waiting, starts in part, or its job does not complete",
    after=too_big,
    timeout_s=300,
)
async def room_appears(ctx: Context) -> None:
    arena, groups = ctx.memo["arena"], ctx.memo["groups"]
    for filler in ctx.memo["fillers"]:
        await ctx.delete(filler)
    await gangs.admitted(ctx, arena, groups)
    await gangs.run_together(ctx, arena, groups)
    await ctx.show([group.handle for group in groups])


@CHECK.recovery(
    "what the groups held is free again",
    fails_if="plain pods do not run in it; undecided if fewer fit than before, for others may have taken it",
    after=room_appears,
)
async def given_back(ctx: Context) -> None:
    arena = ctx.memo["arena"]
    await gangs.removed(ctx, ctx.memo["groups"])
    await gangs.full_again(ctx, arena)
