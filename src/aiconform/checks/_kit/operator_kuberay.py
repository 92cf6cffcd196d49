"""KubeRay: a Ray cluster that computes, loses its head, and goes."""

from __future__ import annotations

from typing import Any

from aiconform.checks._kit import operator, pods, ray_cluster, workloads
from aiconform.checks._kit.operator import Operator
from aiconform.checks._kit.script import parse
from aiconform.engine import Context, Handle, State, kinds

Obj = dict[str, Any]

TITLE = "KubeRay"
SQUARES = [0, 1, 4, 9, 16]
FINALIZER = "ray.io/rayjob-finalizer"

_START_S = 600
"""For clusters that still have to pull Ray's image, a gigabyte and more."""


def no_webhook(pod: Obj) -> str:
    """It serves webhooks when told so; upstream's helm chart does not tell it, one of its kustomizations does."""
    told = {
        item["name"]: item.get("value")
        for container in pod["spec"]["containers"]
        for item in container.get("env") or ()
    }
    if told.get("ENABLE_WEBHOOKS") == "true":
        return ""
    return "its pods are not told ENABLE_WEBHOOKS=true; upstream's config/default-with-webhooks does so"


def twins(ctx: Context) -> tuple[Obj, Obj]:
    """Two suspended clusters, which never get pods; in one of them two groups of workers have the same name."""
    template = {"spec": {"containers": [{"name": "ray", "image": ctx.image("ray")}]}}

    def suspended(name: str, *groups: str) -> Obj:
        none = {"replicas": 0, "minReplicas": 0, "maxReplicas": 0, "rayStartParams": {}, "template": template}
        spec = {
            "suspend": True,
            "headGroupSpec": {"rayStartParams": {}, "template": template},
            "workerGroupSpecs": [{"groupName": group, **none} for group in groups],
        }
        return {"apiVersion": "ray.io/v1", "kind": "RayCluster", "metadata": {"name": ctx.name(name)}, "spec": spec}

    return suspended("right", "first", "second"), suspended("wrong", "twice", "twice")


async def start(ctx: Context) -> None:
    """A cluster of a head and a worker."""
    made = await operator.make(ctx, TITLE, ray_cluster.cluster(ctx, ctx.name("ray")))
    where = ray_cluster.pods_of(ctx, made.name)
    why = ray_cluster.why_no_pods(ctx, made)
    expected = f"the operator makes pods for {made}"
    await ctx.until(where, ray_cluster.begun, expected=expected, within_s=60, explain=why)
    expected = f"a head and a worker of {made} become ready"
    members = await ctx.until(where, ray_cluster.whole(made.uid), expected=expected, within_s=_START_S, explain=why)
    await ctx.until(made, ray_cluster.told_ready, expected=f"{made} says that it is ready", within_s=60)
    await ctx.show([made])
    ctx.memo["cluster"], ctx.memo["members"] = made, members


async def compute(ctx: Context, *, join_s: int = 60) -> None:
    """Five squares, computed on both nodes; the answer read from the log of a pod of ours.

    Args:
        ctx: the probe's context.
        join_s: how long the nodes may take until Ray counts them all.
    """
    made, members = ctx.memo["cluster"], ctx.memo["members"]
    address = f"ray://{_service(await ctx.read(made))}.{made.namespace}:{ray_cluster.CLIENT_PORT}"
    end = ctx.name("report-ends")
    container = {
        "name": "client",
        "command": [
            "python",
            "-u",
            "-c",
            workloads.program("squares"),
            address,
            str(ray_cluster.NODES),
            str(join_s),
            end,
        ],
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}},
    }
    spec = {**ray_cluster.pod_spec(ctx, container), "restartPolicy": "Never", "activeDeadlineSeconds": pods.DEADLINE_S}
    client = await ctx.create(pods.manifest(ctx, ctx.name("task"), spec, workloads.TALKS))
    await ctx.until(client, pods.running, expected=f"{client} runs", within_s=90)
    report = parse((await ctx.log(client, "client", end=end, within_s=join_s + 150)).splitlines())
    names = sorted(pod["metadata"]["name"] for pod in members)
    seen, error = report.one("hosts"), report.one("error")
    good = report.one("result") == str(SQUARES) and seen == ",".join(names)
    ctx.expect(
        f"{SQUARES}, computed on {' and '.join(names)}",
        f"{report.one('result') or 'no result'}, on {seen or 'none'}" + (f"; {error}" if error else ""),
        ok=good,
        cause="" if good else error or f"Ray counts the nodes {report.one('nodes') or 'none'}",
        figures={"computed by": f"{len(names)} nodes in {report.one('seconds') or '?'} s"},
    )


def _service(found: Obj) -> str:
    """The Service before the head, as the cluster's status names it."""
    told = ((found.get("status") or {}).get("head") or {}).get("serviceName")
    return str(told or f"{found['metadata']['name']}-head-svc")


async def disturb(ctx: Context) -> None:
    """Delete the head's pod; the operator makes another, and the worker joins that one."""
    made, members = ctx.memo["cluster"], ctx.memo["members"]
    old = ray_cluster.head(members)["metadata"]
    await ctx.delete(Handle(kinds.POD, old["namespace"], old["name"], old["uid"]))
    expected = f"a new head replaces {old['name']}, and both pods are ready"
    condition = ray_cluster.whole(made.uid, without=[old["uid"]])
    ctx.memo["members"] = await ctx.until(
        ray_cluster.pods_of(ctx, made.name), condition, expected=expected, within_s=180
    )
    new = ray_cluster.head(ctx.memo["members"])["metadata"]["name"]
    await ctx.until(made, ray_cluster.head_is(new), expected=f"{made} names {new} as its head", within_s=60)
    await compute(ctx, join_s=150)


async def finalize(ctx: Context) -> None:
    """A suspended RayJob gets KubeRay's finalizer; once it is deleted, KubeRay takes that away and it goes."""
    head = ray_cluster.cluster(ctx, "unused")["spec"]["headGroupSpec"]
    spec = {"suspend": True, "shutdownAfterJobFinishes": True, "entrypoint": "true"}
    name = ctx.name("job")
    manifest = {"apiVersion": "ray.io/v1", "kind": "RayJob", "metadata": {"name": name}}
    whole = {**manifest, "spec": {**spec, "rayClusterSpec": {"headGroupSpec": head}}}
    job = await operator.make(ctx, TITLE, whole)
    await ctx.until(job, _suspended, expected=f"{job} is suspended and held by {FINALIZER}", within_s=60)
    await ctx.delete(job)
    await ctx.until_gone(job, within_s=60)


def _suspended(objects: list[Obj]) -> State:
    [job] = objects
    held, status = job["metadata"].get("finalizers") or [], job.get("status") or {}
    state = status.get("jobDeploymentStatus") or "not told"
    observed = f"{state}, finalizers: {', '.join(held) or 'none'}"
    if state != "Suspended":
        return State("waiting", observed)
    return State("met" if FINALIZER in held else "wrong", observed)


async def remove(ctx: Context) -> None:
    """Delete the cluster; its pods and Services go with it."""
    made: Handle = ctx.memo["cluster"]
    found = [*await ctx.list(kinds.POD, made.namespace, labels={ray_cluster.CLUSTER_LABEL: made.name})]
    services = await ctx.list(kinds.SERVICE, made.namespace, labels={ray_cluster.CLUSTER_LABEL: made.name})
    ctx.expect(
        "the cluster has pods and a Service that can go",
        f"{len(found)} pods, {len(services)} Services",
        ok=bool(found) and bool(services),
    )
    await ctx.delete(made)
    await ctx.until_gone(made, within_s=60)
    for obj in (*found, *services):
        meta = obj["metadata"]
        kind = kinds.POD if obj["kind"] == "Pod" else kinds.SERVICE
        await ctx.until_gone(Handle(kind, meta["namespace"], meta["name"], meta["uid"]), within_s=90)


KUBERAY = Operator(
    TITLE,
    kinds.RAY_CLUSTER,
    ("RayCluster", "RayJob", "RayService"),
    selectors=("app.kubernetes.io/name in (kuberay,kuberay-operator)",),
    no_webhook=no_webhook,
    twins=twins,
    mistake="spec.workerGroupSpecs[1]",
    start=start,
    compute=compute,
    disturb=disturb,
    finalize=finalize,
    remove=remove,
    rights=("create delete pods", "create delete get list watch rayclusters.ray.io rayjobs.ray.io", "get services"),
)
