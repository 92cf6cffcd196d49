"""A pending accelerator pod brings a node, and the node goes when the pod has gone (KAR-0055)."""

from __future__ import annotations

from aiconform.checks._kit import claims, nodepools, pool_steps
from aiconform.engine import Check, Context

CHECK = Check(
    "cluster_autoscaling",
    needs=(nodepools.grows,),
    holds=nodepools.held,
    limits=(
        "One pool is looked at, and one step up and down; the maximum is not reached.",
        "The bounds of a pool that is known by a label alone are not known: one of fixed size fails, as no node comes.",
        "Where accelerators are claimed by DRA, devices that several nodes reach are not counted as a node's own.",
    ),
    headline="{autoscaler}: pending to Ready {pending to node Ready with accelerators}",
    rights=(
        "create delete get list watch pods",
        "get pods/log",
        "list watch nodes",
        "list events.events.k8s.io",
        claims.RIGHTS,
        claims.DEVICES,
    ),
    usual_s=107,
)


@CHECK.positive(
    "the nodes of the pool are in use, and stay",
    fails_if="a pod for each node does not start, or nodes come and go without cause",
    timeout_s=nodepools.UP_S + 300,
)
async def in_use(ctx: Context) -> None:
    watched = await pool_steps.fill(ctx, nodepools.chosen(ctx.facts))
    await pool_steps.stays(ctx, watched)
    ctx.memo["watched"] = watched


@CHECK.positive(
    "a pod that finds no free accelerator brings a node",
    fails_if="the pod stays pending, runs where it could before or without its accelerators, or a node is lost",
    after=in_use,
    timeout_s=nodepools.UP_S + 300,
)
async def grows(ctx: Context) -> None:
    watched = ctx.memo["watched"]
    trigger = await pool_steps.ask_for_more(ctx, watched)
    node = await pool_steps.new_node(ctx, watched)
    await pool_steps.runs_there(ctx, watched, trigger, node)
    await pool_steps.says_it_acted(ctx, watched, trigger.handle)
    ctx.memo["trigger"], ctx.memo["node"] = trigger.handle, node


@CHECK.recovery(
    "the new node goes once its pod has gone, and no other",
    fails_if="it stays, or a node is lost that was there before",
    after=grows,
    timeout_s=nodepools.DOWN_S + 60,
)
async def shrinks(ctx: Context) -> None:
    watched = ctx.memo["watched"]
    await ctx.delete(ctx.memo["trigger"])
    await pool_steps.back_to_baseline(ctx, watched, ctx.memo["node"])
    await pool_steps.stays(ctx, watched)


@CHECK.negative(
    "a pod that no node of the pool could take brings none",
    fails_if="the pool grows all the same, or the autoscaler does not say why it did not",
    control=grows,
    timeout_s=nodepools.QUIET_TIMES * nodepools.UP_S + 300,
)
async def not_for_what_it_lacks(ctx: Context) -> None:
    watched = ctx.memo["watched"]
    refused = await pool_steps.ask_for_what_it_lacks(ctx, watched)
    await pool_steps.says_why_not(ctx, watched, refused)
    await pool_steps.stays(ctx, watched, during_s=watched.quiet_s)
