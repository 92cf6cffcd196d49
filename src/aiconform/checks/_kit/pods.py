"""Probe pods: their manifests, and the conditions that waits look at."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiconform.checks._kit.script import Script
from aiconform.engine import Condition, Context, Explain, State, UndecidableError, pod_security

Obj = dict[str, Any]

DEADLINE_S = 900
"""No probe pod outlives this, whatever becomes of us."""

_LINUX = {"kubernetes.io/os": "linux"}

_NO_ROOM = ("Insufficient", "Too many pods", "cannot allocate all claims")
_TAKEN = frozenset({"Evicted", "NodeShutdown", "Terminated", "Preempting", "OutOfcpu", "OutOfmemory", "OutOfpods"})
"""Reasons of a kubelet that ends pods or takes none for its own sake: it is short of something, or shuts down."""
_IMAGE_TROUBLE = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_START_TROUBLE = frozenset({"CreateContainerError", "CreateContainerConfigError", "RunContainerError"})


@dataclass(frozen=True)
class Container:
    """A container of a probe pod: a script, and what it asks for."""

    name: str
    script: Script
    limits: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    claims: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()


def pod(
    ctx: Context,
    hint: str,
    *containers: Container,
    node: str = "",
    runtime_class: str = "",
    claims: Mapping[str, Mapping[str, str]] | None = None,
    root: bool = False,
) -> Obj:
    """The manifest of a probe pod.

    Args:
        ctx: the probe's context.
        hint: beginning of the pod's name.
        containers: what runs in it.
        node: pin it there by its hostname label, so that the scheduler still decides whether it fits.
        runtime_class: RuntimeClass by name; if empty, that of :func:`class_of`.
        claims: pod-level resource claims by name, each with its source.
        root: run as the image's root user with the runtime's default capabilities, for probes that try to break out;
            needs a namespace of the baseline standard. Otherwise the pod meets the restricted standard.
    """
    made = [_container(ctx, container, root=root) for container in containers]
    spec: Obj = {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": DEADLINE_S,
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "containers": made,
        "tolerations": tolerations(ctx),
        "nodeSelector": on_linux({"kubernetes.io/hostname": node} if node else {}),
    }
    if not root:
        spec["securityContext"] = pod_security.pod_context(ctx.facts.groups)
    if chosen := runtime_class or class_of(ctx, made):
        spec["runtimeClassName"] = chosen
    if claims:
        spec["resourceClaims"] = [{"name": name, **source} for name, source in claims.items()]
    return manifest(ctx, ctx.name(hint), spec)


def manifest(ctx: Context, name: str, spec: Obj, labels: Mapping[str, str] | None = None) -> Obj:
    """A pod that no controller makes."""
    meta: Obj = {"name": name, **({"labels": dict(labels)} if labels else {})}
    said = pod_security.bare_pod_annotations(ctx.facts.groups) if spec.get("securityContext") else {}
    if said:
        meta["annotations"] = said
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def on_linux(labels: Mapping[str, str]) -> dict[str, str]:
    """A node selector for these labels; a node of another system could run none of our images."""
    return {**_LINUX, **labels}


def class_of(ctx: Context, containers: Iterable[Obj]) -> str:
    """The RuntimeClass of a pod with these containers: what was told for those that ask for devices, else none."""
    asked = [container["resources"] for container in containers]
    devices = any("claims" in one or any("/" in name for name in one["limits"]) for one in asked)
    return ctx.option("runtime-class") if devices else ""


def _container(ctx: Context, container: Container, *, root: bool) -> Obj:
    resources: Obj = {
        "requests": {"cpu": "10m", "memory": "16Mi", **container.limits},
        "limits": {"cpu": "500m", "memory": "128Mi", **container.limits},
    }
    if container.claims:
        resources["claims"] = [{"name": name} for name in container.claims]
    result: Obj = {
        "name": container.name,
        "image": ctx.image("probe"),
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", container.script.text],
        "env": [{"name": name, "value": value} for name, value in container.env.items()],
        "resources": resources,
    }
    if not root:
        result["securityContext"] = pod_security.CONTAINER
    elif container.capabilities:
        result["securityContext"] = {"capabilities": {"add": list(container.capabilities)}}
    return result


def tolerations(ctx: Context) -> list[Obj]:
    """For the taints that keep nodes with accelerators for those who ask for them: named like the resource."""
    claimed = {resource for found in ctx.facts.claimable for resource in found.kind.resources}
    keys = sorted({found.resource for found in ctx.facts.accelerators} | claimed)
    return [{"key": key, "operator": "Exists"} for key in keys]


def running(objects: list[Obj]) -> State:
    """Every pod runs (or has run to its end), all at the same time.

    A runtime that refuses to start a container is a refusal. A container that was not yet created says nothing: its
    image, its network or its volumes may be slow.
    """
    states = sorted((_state(found) for found in objects), key=lambda ranked: ranked[0])
    rank, worst = states[0] if states else (_RUNS, None)
    if worst is not None and rank != _RUNS:
        return worst
    where = ", ".join(sorted({str(found["spec"].get("nodeName")) for found in objects}))
    return State("met", f"{len(objects)} of {len(objects)} pods run on {where}")


_FAILED, _REFUSED, _BLOCKED, _WAITS, _RUNS = range(5)
"""How much a pod's state says, most first: of several pods the first in this order is told of."""


def _state(found: Obj) -> tuple[int, State]:
    name, status = found["metadata"]["name"], found.get("status", {})
    phase, node = status.get("phase"), found["spec"].get("nodeName")
    if phase in ("Running", "Succeeded") and node:
        return _RUNS, State("met", f"{name} runs")
    if trouble := _trouble(name, status):
        return trouble
    if node and phase in (None, "Pending"):
        return _BLOCKED, State("blocked", f"{name} was given {node}, which has not created its containers yet")
    refusal = unschedulable_message(found)
    if any(words in refusal for words in _NO_ROOM):
        # somebody else may hold it: that says nothing about the requirement
        return _BLOCKED, State("blocked", f"{name} does not fit: {refusal}")
    return _WAITS, State("waiting", f"{name} is {phase or 'not seen'}" + (f": {refusal}" if refusal else ""))


def _trouble(name: str, status: Obj) -> tuple[int, State] | None:
    """What a kubelet says of a pod that it ends or refuses, or of a container that it cannot start."""
    if status.get("phase") == "Failed":
        why = f"{name} failed: {status.get('reason', '')} {status.get('message', '')}".strip()
        return (_BLOCKED, State("blocked", why)) if _is_taken(status) else (_FAILED, State("wrong", why))
    for container in status.get("containerStatuses") or []:
        waiting = (container.get("state") or {}).get("waiting") or {}
        why = f"{name}: {waiting.get('reason')}: {waiting.get('message', '')}"
        if waiting.get("reason") in _IMAGE_TROUBLE:
            return _BLOCKED, State("blocked", why)
        if waiting.get("reason") in _START_TROUBLE:
            return _REFUSED, State("waiting", why)
    return None


def taken(found: Obj) -> bool:
    """Whether a node ended or refused a pod for its own sake, which says nothing about the requirement."""
    return _is_taken(found.get("status", {}))


def _is_taken(status: Obj) -> bool:
    return status.get("phase") == "Failed" and status.get("reason") in _TAKEN


def started(objects: list[Obj]) -> State:
    """Some pod was given a node, or runs: what must not happen to one that is refused."""
    for found in objects:
        node = found["spec"].get("nodeName")
        if node or found.get("status", {}).get("phase") not in (None, "Pending"):
            return State("met", f"{found['metadata']['name']} was given node {node}")
    if not objects:
        return State("nothing", "no pod to look at")
    refusals = "; ".join(filter(None, (unschedulable_message(found) for found in objects)))
    return State("waiting", f"{len(objects)} pending, none bound" + (f": {refusals}" if refusals else ""))


def not_let_in(refusal: Callable[[], Awaitable[str]]) -> Explain:
    """Looks further where a wait for pods ended otherwise: whoever is to make them may have been refused.

    Args:
        refusal: asks what keeps them from being made that says nothing about the requirement; empty if nothing does.
    """

    async def look(state: State) -> State:
        if state.outcome == "wrong":
            return state
        try:
            said = await refusal()
        except UndecidableError:
            return state
        return State("blocked", f"{state.observed}; {said}") if said else state

    return look


def refused_for(*words: str) -> Condition:
    """A condition: the scheduler says that each pod does not fit, in a message that names all of ``words``."""

    def refused(objects: list[Obj]) -> State:
        for found in objects:
            name = found["metadata"]["name"]
            if found["spec"].get("nodeName"):
                return State("wrong", f"{name} was given node {found['spec']['nodeName']}")
            message = unschedulable_message(found)
            if not message or not all(word in message for word in words):
                return State("waiting", f"{name}: {message or 'no word from the scheduler yet'}")
        return State("met", f"Unschedulable: {unschedulable_message(objects[0])}")

    return refused


def unschedulable_message(found: Obj) -> str:
    """The scheduler's words on why a pod does not fit; empty if it has said nothing."""
    for condition in found.get("status", {}).get("conditions") or []:
        refused = condition.get("type") == "PodScheduled" and condition.get("status") == "False"
        if refused and condition.get("reason") == "Unschedulable":
            return str(condition.get("message", ""))
    return ""
