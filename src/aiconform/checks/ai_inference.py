"""Inference requests reach models through the Gateway API, split by weight and routed by header (no KAR yet)."""

from __future__ import annotations

from aiconform.checks._kit import chat, gateway, gateway_status, shares, traffic
from aiconform.checks._kit.gateway import Rule
from aiconform.engine import Check, Context, needs

CHECK = Check(
    "ai_inference",
    needs=(needs.api(gateway.API),),
    limits=(
        "One GatewayClass is tried: by name the first that is accepted and not a mesh's, or the one asked for.",
        "Requests are plain HTTP, sent by a pod to the Gateway's address; the way there from outside is not tried.",
    ),
    headline="asked {asked}, measured {measured}",
    pod_security="baseline",  # of some classes the Gateway's own pods run beside it, and have no seccomp profile
    rights=(
        "create delete list watch pods services deployments.apps",
        "get pods/log",
        "create delete list watch gateways.gateway.networking.k8s.io httproutes.gateway.networking.k8s.io",
        "get patch httproutes.gateway.networking.k8s.io",
        "get list watch gatewayclasses.gateway.networking.k8s.io",
        "get customresourcedefinitions.apiextensions.k8s.io=gatewayclasses.gateway.networking.k8s.io",
    ),
    usual_s=41,
)


@CHECK.positive("a GatewayClass is accepted by its controller", fails_if="classes are there and none is accepted")
async def class_accepted(ctx: Context) -> None:
    ctx.memo["class"] = await gateway.accepted_class(ctx)


@CHECK.positive(
    "a Gateway of that class is programmed and has an address",
    fails_if="its controller does not accept or program it",
    after=class_accepted,
    timeout_s=600,
)
async def programmed(ctx: Context) -> None:
    ctx.memo["gateway"] = await gateway.create(ctx, "gateway", ctx.memo["class"])


@CHECK.positive(
    "a route is resolved, and its backend answers /predict at the Gateway's address",
    fails_if="a condition of its current generation is not True, or another answer comes than 200 from that backend",
    after=programmed,
    timeout_s=1200,
)
async def routed(ctx: Context) -> None:
    scene = ctx.memo["scene"] = await traffic.scene(ctx, ctx.memo["gateway"])
    seen = await scene.ask(ctx, scene.batch("predict", scene.host, settle=scene.champion))
    traffic.reached(ctx, scene.gateway, seen["predict"])
    traffic.all_by(ctx, seen["predict"], scene.champion, what=f"/predict at {scene.gateway.address}")


@CHECK.negative(
    "what no route is for is answered 404 by the Gateway",
    fails_if="another path or an unknown host gets another answer than 404, or one from a backend",
    control=routed,
    timeout_s=1200,
)
async def unmatched(ctx: Context) -> None:
    scene = ctx.memo["scene"]
    seen = await scene.ask(
        ctx,
        scene.batch("control", scene.host, settle=scene.champion, count=5),
        scene.batch("root", scene.host, path="/", count=5),
        scene.batch("longer", scene.host, path="/predictor", count=5),
        scene.batch("host", f"{ctx.name('unknown')}.test", count=5),
    )
    traffic.all_by(ctx, seen["control"], scene.champion, what="/predict of the known host, just before")
    traffic.not_found(ctx, seen["root"], what="/")
    traffic.not_found(ctx, seen["longer"], what="/predictor")
    traffic.not_found(ctx, seen["host"], what="/predict of an unknown host")


@CHECK.positive(
    "traffic is split 80/20 between two backends",
    fails_if="a request is not answered by one of them, or the shares are more than 4 sigma off",
    after=routed,
    timeout_s=1200,
)
async def split(ctx: Context) -> None:
    scene = ctx.memo["scene"]
    weights = Rule({scene.champion: 80, scene.challenger: 20})
    _, host = ctx.memo["split"] = await gateway.route(ctx, "split", scene.gateway, weights)
    seen = await scene.ask(ctx, scene.batch("split", host, settle="", count=300, every_ms=5))
    traffic.shared(ctx, seen["split"], scene.champion, scene.challenger, percent=20)


@CHECK.positive(
    "the header x-model chooses the backend, every time",
    fails_if="a request with the header's value goes elsewhere, or one with another value or without it does not",
    after=routed,
    timeout_s=1200,
)
async def by_header(ctx: Context) -> None:
    scene = ctx.memo["scene"]
    chosen = Rule({scene.challenger: 1}, headers={"x-model": "challenger"})
    _, host = await gateway.route(ctx, "header", scene.gateway, chosen, Rule({scene.champion: 1}))
    seen = await scene.ask(
        ctx,
        scene.batch("named", host, headers={"x-model": "challenger"}, settle=scene.challenger),
        scene.batch("other", host, headers={"x-model": "champion"}, settle=scene.champion),
        scene.batch("without", host, settle=scene.champion),
    )
    traffic.all_by(ctx, seen["named"], scene.challenger, what="x-model: challenger")
    traffic.all_by(ctx, seen["other"], scene.champion, what="x-model: champion")
    traffic.all_by(ctx, seen["without"], scene.champion, what="without x-model")


@CHECK.positive(
    "an OpenAI-shaped POST is forwarded as it was sent",
    fails_if="its method, path, host, headers or body arrive changed, or at another backend",
    after=routed,
    timeout_s=1200,
)
async def forwarded(ctx: Context) -> None:
    scene = ctx.memo["scene"]
    chosen = Rule({scene.challenger: 1}, path="/v1", headers={"x-model": "challenger"})
    _, host = await gateway.route(ctx, "chat", scene.gateway, chosen, Rule({scene.champion: 1}, path="/v1"))
    sent = chat.completion(ctx, scene.gateway, host, model="challenger")
    seen = await scene.ask(ctx, sent)
    chat.intact(ctx, sent, seen["chat"], scene.challenger)


@CHECK.recovery(
    "weights changed to 0/100 are followed",
    fails_if="a backend of weight 0 still gets requests",
    after=split,
    timeout_s=1200,
)
async def reweighted(ctx: Context) -> None:
    scene, (route, host) = ctx.memo["scene"], ctx.memo["split"]
    client = await scene.send(
        ctx,
        scene.batch("during", host, count=100, every_ms=30),
        scene.batch("changed", host, settle=scene.challenger, count=100),
    )
    changed = ctx.now
    await gateway.change(ctx, route, scene.gateway, Rule({scene.champion: 0, scene.challenger: 100}))
    seen = await scene.read(ctx, client)
    plot = shares.passage(ctx, seen["during"], seen["changed"], scene.challenger, changed=changed)
    meanwhile = {"while they changed": traffic.told(seen["during"])}
    traffic.all_by(ctx, seen["changed"], scene.challenger, what="weights 0/100", figures=meanwhile, series=plot)


@CHECK.negative(
    "a route to a Service that does not exist is not resolved, and answers an error",
    fails_if="ResolvedRefs is not False for that reason, or its requests are answered, by whatever backend",
    control=routed,
    timeout_s=1200,
)
async def unresolved(ctx: Context) -> None:
    scene = ctx.memo["scene"]
    dangling = Rule({ctx.name("nothing"): 1})
    _, host = await gateway.route(ctx, "missing", scene.gateway, dangling, until=gateway_status.unresolved)
    seen = await scene.ask(ctx, scene.batch("missing", host, settle=traffic.ERRORS))
    traffic.broken(ctx, seen["missing"], what="/predict of the route without a backend")


@CHECK.recovery(
    "a deleted route is answered 404 again",
    fails_if="its host still gets another answer",
    after=routed,
    timeout_s=1200,
)
async def deleted(ctx: Context) -> None:
    scene = ctx.memo["scene"]
    _, kept = await gateway.route(ctx, "kept", scene.gateway, Rule({scene.champion: 1}))
    await ctx.delete(scene.route)
    await ctx.until_gone(scene.route, within_s=60)
    seen = await scene.ask(
        ctx,
        scene.batch("kept", kept, settle=scene.champion, count=5),
        scene.batch("gone", scene.host, settle=(404,)),
    )
    traffic.all_by(ctx, seen["kept"], scene.champion, what="/predict of another route")
    traffic.not_found(ctx, seen["gone"], what="/predict of the deleted route")
