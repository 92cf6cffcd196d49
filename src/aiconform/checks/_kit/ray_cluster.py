"""Ray clusters as KubeRay's objects describe them: small ones that meet the restricted Pod Security Standard."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from aiconform.checks._kit import pods
from aiconform.checks._kit.operator import is_ready
from aiconform.engine import Condition, Context, Explain, Handle, State, Target, kinds, pod_security

Obj = dict[str, Any]

CLUSTER_LABEL = "ray.io/cluster"
NODE_LABEL = "ray.io/node-type"
NODES = 2
"""A head and one worker."""

CLIENT_PORT = 10001

_USER = (1000, 100)
"""The user of Ray's public image, whose home only he can write to."""

_CREATES = "FailedCreate"
_NO_RIGHT = 'cannot create resource "pods"'
"""How the API server puts it that somebody lacks a right; whoever refuses a pod for what it is puts it otherwise."""
_HEALTHY_SINCE = (2, 53)
"""From this version on one path tells a node's health; older ones are left to the operator's own way of asking."""


def pod_spec(ctx: Context, container: Obj) -> Obj:
    """The rest of a pod around a container of Ray's image."""
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 2,
        "securityContext": pod_security.pod_context(ctx.facts.groups, _USER),
        "tolerations": pods.tolerations(ctx),
        "nodeSelector": pods.on_linux({}),
        "containers": [
            {
                "image": ctx.image("ray"),
                "imagePullPolicy": "IfNotPresent",
                "securityContext": pod_security.CONTAINER,
                **container,
            }
        ],
    }


def cluster(ctx: Context, name: str) -> Obj:
    """A head and a worker with one CPU each in Ray's books."""
    version = _version(ctx.image("ray"))
    worker = {
        "groupName": "workers",
        "replicas": NODES - 1,
        "minReplicas": NODES - 1,
        "maxReplicas": NODES - 1,
        "rayStartParams": dict(_STARTED),
        "template": {"spec": pod_spec(ctx, _node("ray-worker", version, _IMPATIENT, cpu="150m", memory="400Mi"))},
    }
    head = {
        "rayStartParams": {**_STARTED, "include-dashboard": "false"},
        "template": {"spec": pod_spec(ctx, _node("ray-head", version, _QUIET, cpu="250m", memory="700Mi"))},
    }
    spec = {"rayVersion": version, "headGroupSpec": head, "workerGroupSpecs": [worker]}
    return {"apiVersion": "ray.io/v1", "kind": "RayCluster", "metadata": {"name": name}, "spec": spec}


_QUIET = {"RAY_USAGE_STATS_ENABLED": "0"}
"""Ray reports to nobody."""

_IMPATIENT = {**_QUIET, "RAY_gcs_rpc_server_reconnect_timeout_s": "10"}
"""A worker that has lost its head starts anew after ten seconds, not after a minute."""

_STARTED = {"num-cpus": "1", "object-store-memory": "100000000"}


def _node(name: str, version: str, environment: Mapping[str, str], *, cpu: str, memory: str) -> Obj:
    container: Obj = {
        "name": name,
        "env": [{"name": key, "value": value} for key, value in environment.items()],
        "resources": {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": "2Gi"}},
    }
    if tuple(int(part) for part in version.split(".")[:2]) >= _HEALTHY_SINCE:
        # the question the operator would ask, but from the first second on: it starts after ten
        ask = {"path": "/api/healthz", "port": 52365}
        often = {"initialDelaySeconds": 1, "periodSeconds": 1, "timeoutSeconds": 2, "failureThreshold": 5}
        container["readinessProbe"] = {"httpGet": ask, **often}
    return container


def _version(image: str) -> str:
    """Ray's version by its image's tag."""
    found = re.search(r":(\d+\.\d+\.\d+)", image)
    return found[1] if found else "2.54.0"


def pods_of(ctx: Context, name: str) -> Target:
    """The pods that the operator makes for a cluster."""
    return Target(kinds.POD, ctx.namespace, {CLUSTER_LABEL: name})


def begun(objects: list[Obj]) -> State:
    """There is a pod."""
    return State("met" if objects else "waiting", f"{len(objects)} pods")


def whole(uid: str, *, without: Iterable[str] = ()) -> Condition:
    """Head and worker are ready, belong to the cluster with this uid, and are none of the pods ``without``."""
    gone = frozenset(without)

    def is_whole(objects: list[Obj]) -> State:
        left = [pod["metadata"]["name"] for pod in objects if pod["metadata"]["uid"] in gone]
        ours = [pod for pod in objects if pod["metadata"]["uid"] not in gone]
        foreign = [pod["metadata"]["name"] for pod in ours if not _controlled_by(pod, uid)]
        if foreign:
            return State("wrong", f"{', '.join(foreign)} is not controlled by the RayCluster")
        ready = sorted(_described(pod) for pod in ours if is_ready(pod))
        observed = f"{len(ready)} of {NODES} pods ready" + (f": {', '.join(ready)}" if ready else "")
        if left:
            return State("waiting", f"{observed}; {', '.join(left)} still there")
        types = {pod["metadata"]["labels"].get(NODE_LABEL) for pod in ours if is_ready(pod)}
        if len(ready) == len(ours) == NODES and types == {"head", "worker"}:
            return State("met", observed)
        return _held_up(ours) or State("waiting", observed)

    return is_whole


def _held_up(objects: list[Obj]) -> State | None:
    """What keeps a pod from starting that says nothing about the operator: no image, no room."""
    states = [pods.running([pod]) for pod in objects]
    return next((state for state in states if state.outcome == "blocked"), None)


def why_no_pods(ctx: Context, made: Handle) -> Explain:
    """Looks further where a cluster lacks pods: that a policy or a quota lets the operator make none says nothing about
    it, and is told of in its words. That it has no right to make them is its own fault.
    """

    async def refusal() -> str:
        return _refusal(await ctx.read(made))

    return pods.not_let_in(refusal)


def _refusal(found: Obj) -> str:
    """What admission says to the operator, by its object's conditions; empty if nothing."""
    for item in (found.get("status") or {}).get("conditions") or ():
        if (item["type"], item["status"]) == ("ReplicaFailure", "True") and item.get("reason", "").startswith(_CREATES):
            message = " ".join(str(item.get("message", "")).split())
            return "" if _NO_RIGHT in message else f"its pods are not let in: {message}"
    return ""


def _controlled_by(pod: Obj, uid: str) -> bool:
    owners = pod["metadata"].get("ownerReferences") or ()
    return any(owner["uid"] == uid and owner.get("controller") for owner in owners)


def _described(pod: Obj) -> str:
    return f"{pod['metadata']['name']} on {pod['spec'].get('nodeName')}"


def head(objects: Iterable[Obj]) -> Obj:
    """The head among a cluster's pods."""
    return next(pod for pod in objects if pod["metadata"]["labels"].get(NODE_LABEL) == "head")


def told_ready(objects: list[Obj]) -> State:
    """The cluster's own status says that it is ready, of the generation that it has."""
    [found] = objects
    status, meta = found.get("status") or {}, found["metadata"]
    conditions = condition_of(found)
    observed = (
        f"state {status.get('state') or 'not told'}, HeadPodReady {conditions.get('HeadPodReady', 'not told')}, "
        f"{status.get('readyWorkerReplicas', 0)} of {NODES - 1} workers ready"
    )
    current = status.get("observedGeneration") == meta["generation"]
    good = status.get("state") == "ready" and status.get("readyWorkerReplicas") == NODES - 1 and current
    return State("met" if good and conditions.get("HeadPodReady", "True") == "True" else "waiting", observed)


def head_is(name: str) -> Condition:
    """The cluster's status names this pod as its head, and calls it ready.

    Its ``state`` is of no use here: it stays ``ready`` while the head is gone.
    """

    def named(objects: list[Obj]) -> State:
        [found] = objects
        known = ((found.get("status") or {}).get("head") or {}).get("podName", "not told")
        ready = condition_of(found).get("HeadPodReady", "not told")
        return State("met" if known == name and ready == "True" else "waiting", f"head {known}, HeadPodReady {ready}")

    return named


def condition_of(found: Obj) -> dict[str, str]:
    """An object's conditions, type to status."""
    return {item["type"]: item["status"] for item in (found.get("status") or {}).get("conditions") or ()}
