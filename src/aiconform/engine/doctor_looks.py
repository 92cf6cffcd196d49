"""What the doctor looks at beside discovery and rights. Each look gives a finding, never an error."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Final, Literal

import anyio

from aiconform.engine import api_services, clocks, kinds, pod_security
from aiconform.engine.api import PAGE, Api, Obj
from aiconform.engine.diagnosis import Devices, Finding
from aiconform.engine.meshes import left_out
from aiconform.engine.ownership import RUN_LABEL
from aiconform.engine.paging import pages
from aiconform.engine.undecidable import RefusedError, UndecidableError

if TYPE_CHECKING:
    from aiconform.engine.facts import Facts
    from aiconform.engine.kinds import Kind
    from aiconform.engine.offers import AcceleratorNode

CLOCK_S: Final = 5.0
"""Seconds between two clocks that make tokens and certificates of one invalid for the other, at the earliest."""
FEW_NODES: Final = 10
"""So many nodes are asked for their pods one by one; with more, all pods are read."""
COUNTING_S: Final = 15.0
"""So long pods and claims are counted, at most: nobody is kept waiting for a number by a very large or slow cluster."""
DRY_RUN: Final = (("dryRun", "All"),)
_ENDED: Final = ("Succeeded", "Failed")
_MAX_SHOWN: Final = 8
_THERE: Final = "default"
"""A namespace that exists: a pod cannot be tried in one that does not."""


async def looked(name: str, look: Callable[[], Awaitable[Finding]]) -> Finding:
    """What a look gives; one that is refused or gets no usable answer is unknown."""
    try:
        return await look()
    except UndecidableError as problem:
        return Finding(name=name, state="unknown", said=problem.cause)


def clock(skews_s: Sequence[tuple[float, float]]) -> Finding:
    """How far the server's clock is from ours, from the Date of its answers."""
    if not skews_s:
        return Finding(name="clock", state="unknown", said="no answer had a Date")
    ahead = clocks.ahead_s(skews_s)
    if not ahead:
        return Finding(name="clock", state="good", said="the server's is ours, as far as whole seconds can tell")
    state: Literal["bad", "note"] = "bad" if abs(ahead) > CLOCK_S else "note"
    return Finding(name="clock", state=state, said=f"the server's is {clocks.words(ahead)}")


def version(version_: str, release: str) -> Finding:
    """Whether the server's version is the one that the release is asked of."""
    minor = ".".join(version_.removeprefix("v").split(".")[:2])
    if minor == release:
        return Finding(name="version", state="good", said=f"{version_} is what release {release} is asked of")
    said = f"release {release} is asked of Kubernetes {release}; this is {version_ or 'unknown'}"
    return Finding(name="version", state="note", said=said)


async def services(api: Api) -> Finding:
    """Whether every API that another server answers is available."""
    found = await api_services.look(api)
    details = [str(one) for one in found.silent]
    return Finding(name="API services", state="bad" if details else "good", said=found.said, details=details)


async def admission(api: Api, name: str, image: str, groups: Collection[str] = ()) -> Finding:
    """Whether admission takes a namespace and a pod of ours; nothing is stored (``dryRun=All``).

    Args:
        api: to ask with.
        name: for both; of no namespace that exists.
        image: the pod's.
        groups: group versions that are served.
    """
    refused: list[str] = []
    namespace = _namespace(name, groups)
    for manifest, path in ((namespace, kinds.NAMESPACE.path()), (_pod(name, image, groups), kinds.POD.path(_THERE))):
        try:
            await api.ask(path, manifest, query=DRY_RUN)
        except RefusedError as refusal:
            refused.append(f"{manifest['kind']}: {refusal.status} {refusal.reason}: {refusal.message}")
    if refused:
        said = "a dry run is refused; nothing was stored"
        return Finding(name="admission", state="bad", said=said, details=refused)
    said = f"takes a namespace like ours, and a restricted pod in {_THERE} (dry runs, nothing was stored)"
    return Finding(name="admission", state="good", said=said)


def _namespace(name: str, groups: Collection[str]) -> Obj:
    labels = {**_labels(name), "pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": left_out({"name": name, "labels": labels}, groups)}


def _pod(name: str, image: str, groups: Collection[str]) -> Obj:
    meta: Obj = {"name": name, "namespace": _THERE, "labels": _labels(name)}
    if said := pod_security.bare_pod_annotations(groups):
        meta["annotations"] = said
    container = {"name": "probe", "image": image, "command": ["true"], "securityContext": pod_security.CONTAINER}
    spec: Obj = {
        "containers": [container],
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": pod_security.pod_context(groups),
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def _labels(name: str) -> dict[str, str]:
    return {"app.kubernetes.io/managed-by": "aiconform", RUN_LABEL: name.rpartition("-")[2]}


async def quotas(api: Api) -> Finding:
    """Which quotas and limit ranges there are. A new namespace has none, unless something makes it some."""
    found: list[str] = []
    for kind, words in ((kinds.RESOURCE_QUOTA, "quota"), (kinds.LIMIT_RANGE, "limit range")):
        body = await api.get(kind.path(), query=(("limit", str(_MAX_SHOWN)),))
        if body.get("kind") != f"{kind.kind}List":
            return Finding(name="quotas", state="unknown", said=f"asked for {kind.plural}, got {body.get('kind')}")
        found += [
            f"{words} {item['metadata']['name']} in {item['metadata']['namespace']}" for item in body.get("items") or ()
        ]
        more = (body.get("metadata") or {}).get("remainingItemCount")
        found += [f"and {more} more of these"] if more else []
    if not found:
        return Finding(name="quotas", state="good", said="no quota and no limit range anywhere")
    said = "some namespaces have quotas or limit ranges; ours is new, and has them only if something puts them there"
    return Finding(name="quotas", state="note", said=said, details=found)


async def devices(api: Api, facts: Facts) -> list[Devices]:
    """How many accelerators nobody holds: by device plugin from all pods, by DRA from all claims."""
    offered: dict[str, int] = {}
    for node in facts.accelerators:
        offered[node.resource] = offered.get(node.resource, 0) + node.allocatable
    by_driver = {one.name: one.devices for one in facts.dra}
    until = anyio.current_time() + COUNTING_S
    return [
        *await _less(by_driver, "claims", lambda: _claimed(api), until),
        *await _less(offered, "pods", lambda: _held(api, facts.accelerators), until),
    ]


async def _less(
    totals: dict[str, int], what: str, count: Callable[[], Awaitable[dict[str, int]]], until: float
) -> list[Devices]:
    """What is left of these once those that are held are counted."""
    if not totals:
        return []
    try:
        with anyio.fail_after(max(0.0, until - anyio.current_time())):
            held = await count()
    except (UndecidableError, TimeoutError) as problem:
        late = f"there are more {what} than could be read in {COUNTING_S:g} s"
        why_not = problem.cause if isinstance(problem, UndecidableError) else late
        return [Devices(name=name, total=total, why_not=why_not) for name, total in sorted(totals.items())]
    return [
        Devices(name=name, total=total, free=max(0, total - held.get(name, 0)))
        for name, total in sorted(totals.items())
    ]


async def _held(api: Api, nodes: Sequence[AcceleratorNode]) -> dict[str, int]:
    """Accelerators that pods on these nodes ask for, by resource."""
    wanted = {(node.node, node.resource) for node in nodes}
    names = sorted({node.node for node in nodes})
    running = ",".join(f"status.phase!={phase}" for phase in _ENDED)
    selections = [f"spec.nodeName={name},{running}" for name in names] if len(names) <= FEW_NODES else [running]
    held: dict[str, int] = {}
    for fields in selections:
        async for page in pages(api, kinds.POD, size=PAGE, fields=fields):
            for pod in page:
                node = str((pod.get("spec") or {}).get("nodeName", ""))
                for resource, number in _asked_for(pod):
                    if (node, resource) in wanted:
                        held[resource] = held.get(resource, 0) + number
    return held


def _asked_for(pod: Obj) -> Iterable[tuple[str, int]]:
    """Accelerators are whole numbers, and what a pod asks for it may have: the limit is the request."""
    for container in (pod.get("spec") or {}).get("containers") or ():
        for resource, amount in ((container.get("resources") or {}).get("limits") or {}).items():
            if "/" in resource and str(amount).isdigit():
                yield resource, int(amount)


async def _claimed(api: Api) -> dict[str, int]:
    """Devices that are allocated to claims, by driver."""
    claimed: dict[str, int] = {}
    kind: Kind = kinds.RESOURCE_CLAIM
    async for page in pages(api, kind, size=PAGE):
        for claim in page:
            allocation = (claim.get("status") or {}).get("allocation") or {}
            for result in (allocation.get("devices") or {}).get("results") or ():
                if not result.get("adminAccess"):
                    driver = str(result.get("driver", ""))
                    claimed[driver] = claimed.get(driver, 0) + 1
    return claimed
