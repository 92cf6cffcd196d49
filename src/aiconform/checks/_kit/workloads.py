"""Workloads that stay: Deployments of a small inference-shaped server, Services, and a client pod that asks them.

The programs are in :mod:`aiconform.checks._kit.in_pods`; their image (role ``python``) needs Python and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from aiconform.checks._kit import pods
from aiconform.checks._kit.script import parse
from aiconform.engine import Condition, Context, Explain, Handle, State, Target, kinds, pod_security
from aiconform.engine.guards import NETWORK_LABEL, NETWORK_NEEDED

Obj = dict[str, Any]

PORT = 8000
PORT_NAME = "http"
APP_LABEL = "app.kubernetes.io/name"
_HOST_LABEL = "kubernetes.io/hostname"
TALKS = {NETWORK_LABEL: NETWORK_NEEDED}
"""Labels of pods that serve or ask; the network policy of our namespaces cuts all others off."""


@dataclass(frozen=True)
class Workload:
    """A Deployment and the Service before it; pods carry ``app`` under :data:`APP_LABEL`."""

    deployment: Handle
    service: Handle
    app: str


def program(name: str) -> str:
    """The text of a program that runs in pods."""
    return files("aiconform.checks._kit.in_pods").joinpath(f"{name}.py").read_text(encoding="utf-8")


def python_container(
    ctx: Context,
    name: str,
    text: str,
    *arguments: str,
    limits: Mapping[str, str] | None = None,
    requests: Mapping[str, str] | None = None,
    port: int = 0,
    claims: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
) -> Obj:
    """A container that runs a Python program; with a port, it is ready once ``/healthz`` answers there.

    Args:
        ctx: the probe's context.
        name: of the container.
        text: the program.
        arguments: its arguments.
        limits: beside the usual ones, such as ``{"nvidia.com/gpu": "1"}``; asked for too.
        requests: instead of the usual small ones.
        port: that it serves, called :data:`PORT_NAME`.
        claims: those of its pod that it uses.
        env: its environment, beside the image's.
    """
    container: Obj = {
        "name": name,
        "image": ctx.image("python"),
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-u", "-c", text, *arguments],
        "resources": {
            "requests": {"cpu": "10m", "memory": "32Mi", **(requests or {}), **(limits or {})},
            "limits": {"cpu": "1", "memory": "256Mi", **(limits or {})},
        },
        "securityContext": pod_security.CONTAINER,
    }
    if env:
        container["env"] = [{"name": key, "value": value} for key, value in env.items()]
    if claims:
        container["resources"]["claims"] = [{"name": name} for name in claims]
    if port:
        container["ports"] = [{"name": PORT_NAME, "containerPort": port}]
        container["readinessProbe"] = {"httpGet": {"path": "/healthz", "port": port}, "periodSeconds": 1}
    return container


def pod_spec(
    ctx: Context,
    container: Obj,
    *,
    nodes: Sequence[str] = (),
    restart: str = "Always",
    claims: Mapping[str, Mapping[str, str]] | None = None,
) -> Obj:
    """A restricted pod with one container; ``nodes`` pins it by their hostname labels, ``claims`` are the pod's."""
    spec: Obj = {
        "restartPolicy": restart,
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod_security.pod_context(ctx.facts.groups),
        "containers": [container],
        "tolerations": pods.tolerations(ctx),
        "nodeSelector": pods.on_linux({_HOST_LABEL: nodes[0]} if len(nodes) == 1 else {}),
    }
    if chosen := pods.class_of(ctx, [container]):
        spec["runtimeClassName"] = chosen
    if len(nodes) > 1:
        among = {"matchExpressions": [{"key": _HOST_LABEL, "operator": "In", "values": list(nodes)}]}
        required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [among]}}
        spec["affinity"] = {"nodeAffinity": required}
    if claims:
        spec["resourceClaims"] = [{"name": name, **source} for name, source in claims.items()]
    return spec


async def serve(
    ctx: Context,
    hint: str,
    *,
    replicas: int = 1,
    nodes: Sequence[str] = (),
    limits: Mapping[str, str] | None = None,
    requests: Mapping[str, str] | None = None,
) -> Workload:
    """Create a Deployment of the serving program and a Service before it, both of the same new name."""
    app = ctx.name(hint)
    container = python_container(
        ctx, "server", program("serving"), app, str(PORT), limits=limits, requests=requests, port=PORT
    )
    deployment = await ctx.create(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": app, "labels": {APP_LABEL: app}},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {APP_LABEL: app}},
                "template": {
                    "metadata": {"labels": {APP_LABEL: app, **TALKS}},
                    "spec": pod_spec(ctx, container, nodes=nodes),
                },
            },
        }
    )
    service = await ctx.create(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": app, "labels": {APP_LABEL: app}},
            "spec": {
                "selector": {APP_LABEL: app},
                "ports": [{"name": PORT_NAME, "port": 80, "targetPort": PORT}],
            },
        }
    )
    return Workload(deployment, service, app)


def available(replicas: int) -> Condition:
    """A condition on a Deployment: exactly so many replicas are there and ready."""

    def condition(objects: list[Obj]) -> State:
        found = objects[0]
        status = found.get("status", {})
        ready, there = int(status.get("readyReplicas") or 0), int(status.get("replicas") or 0)
        fresh = status.get("observedGeneration") == found["metadata"].get("generation")
        text = f"{ready} of {replicas} replicas ready" + (f", {there} there" if there != ready else "")
        return State("met" if fresh and ready == there == replicas else "waiting", text)

    return condition


def pods_of(ctx: Context, workload: Workload) -> Target:
    """The pods of a workload."""
    return Target(kinds.POD, ctx.namespace, {APP_LABEL: workload.app})


NO_POD = State("blocked", "no pod yet")
"""A Deployment's controller has made nothing: what was to be looked at is not there."""


def why_no_pods(ctx: Context, workload: Workload) -> Explain:
    """Looks further where a workload lacks pods: what keeps its controller from making them (a quota, a policy, a
    security context constraint) says nothing about the requirement, and is told of in the controller's words.
    """

    async def refusal() -> str:
        found = await ctx.list(kinds.DEPLOYMENT, ctx.namespace, labels={APP_LABEL: workload.app})
        return next(filter(None, map(_refusal, found)), "")

    return pods.not_let_in(refusal)


def _refusal(deployment: Obj) -> str:
    """What keeps a Deployment's controller from making pods; empty if nothing does."""
    for said in (deployment.get("status") or {}).get("conditions") or ():
        if (said.get("type"), said.get("status"), said.get("reason")) == ("ReplicaFailure", "True", "FailedCreate"):
            return f"its pods cannot be made: {said.get('message', '')}"
    return ""


@dataclass(frozen=True)
class Batch:
    """Requests that a client pod sends one after another; see ``in_pods/asking.py`` for the fields."""

    name: str
    url: str
    count: int = 1
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    settle: Mapping[str, Any] = field(default_factory=dict)
    every_ms: int = 0


@dataclass(frozen=True)
class Answers:
    """What came of a batch: see ``in_pods/asking.py``."""

    count: int
    status: Mapping[int, int]
    served: Mapping[str, int]
    order: tuple[str, ...]
    at_s: tuple[float, ...]
    first_status: int
    first_headers: Mapping[str, str]
    first_body: str
    settled_s: float | None


@dataclass(frozen=True)
class Client:
    """A pod that sends batches, and the last line of its report."""

    pod: Handle
    batches: tuple[Batch, ...]
    end: str


async def ask(ctx: Context, hint: str, batches: Sequence[Batch], *, within_s: float = 120) -> dict[str, Answers]:
    """Send the batches from a pod of ours and read what it saw, by the name of the batch.

    Raises:
        StopProbe: the pod did not run, or its report is not whole.
    """
    return await answers(ctx, await client(ctx, hint, batches), within_s=within_s)


async def client(ctx: Context, hint: str, batches: Sequence[Batch]) -> Client:
    """Start a pod that sends the batches, and wait until it runs.

    Raises:
        StopProbe: it does not.
    """
    end = ctx.name("report-ends")
    spec = json.dumps([_sent(batch) for batch in batches])
    container = python_container(ctx, "client", program("asking"), spec, end)
    whole = {**pod_spec(ctx, container, restart="Never"), "activeDeadlineSeconds": pods.DEADLINE_S}
    pod = await ctx.create(pods.manifest(ctx, ctx.name(hint), whole, TALKS))
    await ctx.until(pod, pods.running, expected=f"{pod} runs", within_s=90)
    return Client(pod, tuple(batches), end)


async def answers(ctx: Context, sending: Client, *, within_s: float = 120) -> dict[str, Answers]:
    """Wait until a client is done, and read what it saw, by the name of the batch.

    Raises:
        StopProbe: its report is not whole.
    """
    report = parse((await ctx.log(sending.pod, "client", end=sending.end, within_s=within_s)).splitlines())
    return {batch.name: _answers(report.one(f"batch_{batch.name}")) for batch in sending.batches}


def _sent(batch: Batch) -> Obj:
    fields = {
        "name": batch.name,
        "url": batch.url,
        "method": batch.method,
        "headers": dict(batch.headers),
        "body": batch.body,
        "count": batch.count,
        "settle": dict(batch.settle),
        "every_ms": batch.every_ms,
    }
    return {name: value for name, value in fields.items() if value}


def _answers(text: str) -> Answers:
    seen = json.loads(text)
    first = seen["first"]
    return Answers(
        count=seen["count"],
        status={int(status): number for status, number in seen["status"].items()},
        served=seen["served"],
        order=tuple(seen["names"][index] for index in seen["order"]),
        at_s=tuple(at / 1000 for at in seen["at_ms"]),
        first_status=first["status"],
        first_headers=first["headers"],
        first_body=first["body"],
        settled_s=seen["settled_s"],
    )
