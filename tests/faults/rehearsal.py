"""What runs are made of while faults are injected: checks that are over in seconds on a control plane without a node.

They do with the engine all that checks do: read, create objects of many kinds in and outside the namespace, change,
list, wait for controllers and for the scheduler, wait that nothing happens, be refused, delete, wait until it is gone.

:data:`GOOD` passes where nothing is injected. :data:`BAD` fails there in each probe: its claims about the cluster are
wrong. Whatever is injected, what fails here must not pass.
"""

from __future__ import annotations

from typing import Any

from aiconform.checks import dra_support
from aiconform.checks._kit import pods, script
from aiconform.engine import Check, Context, Handle, State, kinds
from aiconform.engine.waits import Target

Obj = dict[str, Any]
GOOD = Check("dra_support")
BAD = Check("gpu_sharing")
CHECKS = {check.requirement: check for check in (GOOD, BAD)}
RUN_TIME_S = 60.0
"""Time limit of each probe here."""
_PATIENCE_S = 20.0
_WINDOW_S = 1.0
_DRA = "resource.k8s.io/v1"

GOOD.probes.append(dra_support.kinds_served)


def _claim(ctx: Context) -> Obj:
    request = {"name": "one", "exactly": {"deviceClassName": "nothing.invalid"}}
    meta = {"name": ctx.name("claim")}
    return {
        "apiVersion": _DRA,
        "kind": "ResourceClaim",
        "metadata": meta,
        "spec": {"devices": {"requests": [request]}},
    }


def _config(ctx: Context, **data: str) -> Obj:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": ctx.name("config")}, "data": data}


def _pod(ctx: Context) -> Obj:
    return pods.pod(ctx, "pending", pods.Container("main", script.script(ctx)))


def _deployment(ctx: Context) -> Obj:
    name = ctx.name("workload")
    spec = _pod(ctx)["spec"]
    spec = {key: value for key, value in spec.items() if key not in ("restartPolicy", "activeDeadlineSeconds")}
    template = {"metadata": {"labels": {"app": name}}, "spec": spec}
    body = {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": body}


def _counted(number: int) -> Any:
    """A condition: a Deployment has this many pods."""

    def counted(objects: list[Obj]) -> State:
        if not objects:
            return State("nothing", "no Deployment")
        seen = (objects[0].get("status") or {}).get("replicas", 0)
        return State("met" if seen == number else "waiting", f"{seen} of {number} pods made")

    return counted


@GOOD.positive("objects are made and read", fails_if="one is not as it was made", timeout_s=RUN_TIME_S)
async def made(ctx: Context) -> None:
    config = await ctx.create(_config(ctx, colour="green"))
    whole = await ctx.create(
        {"apiVersion": _DRA, "kind": "DeviceClass", "metadata": {"name": ctx.name("class")}, "spec": {}}
    )
    await ctx.create(_claim(ctx))
    seen = await ctx.read(config)
    await ctx.read(whole)
    ctx.expect("it is green", str(seen["data"]), ok=seen["data"] == {"colour": "green"})
    ctx.memo["config"] = config


@GOOD.positive("a change is kept", fails_if="it is not", after=made, timeout_s=RUN_TIME_S)
async def changed(ctx: Context) -> None:
    config: Handle = ctx.memo["config"]
    await ctx.patch(config, {"data": {"colour": "red"}})
    labels = {"aiconform.dev/run": "", "aiconform.dev/check": GOOD.requirement}
    found = await ctx.list(kinds.CONFIG_MAP, ctx.namespace, labels=labels)
    colours = [each["data"]["colour"] for each in found]
    ctx.expect("one, red", str(colours), ok=colours == ["red"])


@GOOD.positive("controllers make pods of a Deployment", fails_if="they do not", timeout_s=RUN_TIME_S)
async def controlled(ctx: Context) -> None:
    deployment = await ctx.create(_deployment(ctx))
    await ctx.until(deployment, _counted(1), expected="one pod is made", within_s=_PATIENCE_S)


@GOOD.positive("the scheduler says why a pod does not fit", fails_if="it does not", timeout_s=RUN_TIME_S)
async def scheduled(ctx: Context) -> None:
    pod = await ctx.create(_pod(ctx))
    await ctx.until(pod, pods.refused_for("available"), expected="the scheduler says why", within_s=_PATIENCE_S)
    ctx.memo["pod"] = pod


@GOOD.negative("a pod that does not fit is not bound", fails_if="it is", control=scheduled, timeout_s=RUN_TIME_S)
async def unbound(ctx: Context) -> None:
    await ctx.never(ctx.memo["pod"], pods.started, expected="no node", during_s=_WINDOW_S)


@GOOD.negative("a privileged pod is refused", fails_if="it is accepted", control=scheduled, timeout_s=RUN_TIME_S)
async def refused(ctx: Context) -> None:
    manifest = _pod(ctx)
    manifest["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    refusal = await ctx.refused(manifest)
    if refusal.status != 403 or "PodSecurity" not in refusal.message:
        raise ctx.undecided("refused for what it asks", str(refusal), "refused for another reason")
    ctx.expect("refused by Pod Security", refusal.message, ok=True)


@GOOD.recovery("a deleted pod goes", fails_if="it stays", after=scheduled, timeout_s=RUN_TIME_S)
async def deleted(ctx: Context) -> None:
    pod: Handle = ctx.memo["pod"]
    await ctx.delete(pod)
    await ctx.until_gone(pod, within_s=_PATIENCE_S)


@BAD.positive("a kind that is not served is served", fails_if="it is not", timeout_s=RUN_TIME_S)
async def not_served(ctx: Context) -> None:
    served = await ctx.get(f"/apis/{_DRA}")
    names = sorted(str(item.get("name")) for item in served.get("resources") or [])
    ctx.expect("unicorns", ", ".join(names), ok="unicorns" in names)


@BAD.positive("a pod runs where there is no node", fails_if="it does not", timeout_s=RUN_TIME_S)
async def not_running(ctx: Context) -> None:
    pod = await ctx.create(_pod(ctx))
    await ctx.until(pod, pods.running, expected="it runs", within_s=_WINDOW_S)


@BAD.positive("a value is as nobody wrote it", fails_if="it is not", timeout_s=RUN_TIME_S)
async def not_written(ctx: Context) -> None:
    config = await ctx.create(_config(ctx, colour="green"))
    await ctx.patch(config, {"data": {"colour": "red"}})
    seen = await ctx.read(config)
    ctx.expect("it is still green", str(seen["data"]), ok=seen["data"] == {"colour": "green"})


@BAD.positive("a pod that fits every rule is refused", fails_if="it is accepted", timeout_s=RUN_TIME_S)
async def not_refused(ctx: Context) -> None:
    refusal = await ctx.refused(_pod(ctx))
    raise ctx.undecided("refused by Pod Security", str(refusal), "refused for another reason")


@BAD.positive("no pod is ever made of a Deployment", fails_if="one is", timeout_s=RUN_TIME_S)
async def not_idle(ctx: Context) -> None:
    deployment = await ctx.create(_deployment(ctx))
    await ctx.never(deployment, _counted(1), expected="no pod is made", during_s=_WINDOW_S)


@BAD.positive("an object that nobody deletes goes", fails_if="it stays", timeout_s=RUN_TIME_S)
async def not_gone(ctx: Context) -> None:
    config = await ctx.create(_config(ctx, colour="green"))
    target = Target(kinds.CONFIG_MAP, ctx.namespace, {}, f"metadata.name={config.name}")
    await ctx.never(target, _there, expected="it is gone", during_s=_WINDOW_S)


def _there(objects: list[Obj]) -> State:
    return State("met", "it is there") if objects else State("waiting", "nothing")
