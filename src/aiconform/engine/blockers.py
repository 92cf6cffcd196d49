"""Why an object that was deleted is still there: what holds it, by name. Reads only, and removes no finalizer.

The API server tells of a namespace's troubles late and in numbers; what is in it is looked up here. Secrets are not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiconform.engine import api_services, kinds
from aiconform.engine.kinds import Kind
from aiconform.engine.undecidable import RefusedError, UndecidableError

if TYPE_CHECKING:
    from aiconform.engine.api import Api, Handle, Obj

MOST = 20
"""Things that are named; of more their number is told."""
DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_PARTIAL = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
_NOT_LOOKED_AT = frozenset({"secrets", "events"})

MEANING = {
    "resource.kubernetes.io/delete-protection": "a pod that uses it is still there",
    "kubernetes.io/pvc-protection": "a pod that uses it is still there",
    "kubernetes.io/pv-protection": "a claim that it is bound to is still there",
    "service.kubernetes.io/load-balancer-cleanup": "the cloud's load balancer is not removed yet",
    "kueue.x-k8s.io/resource-in-use": "Kueue says that it is in use",
    "foregroundDeletion": "what it owns is still there",
    "orphan": "the garbage collector has not let go of what it owns",
    "kubernetes": "the namespace controller is not done with it",
}
"""What finalizers of well-known controllers wait for."""


@dataclass(frozen=True)
class Inventory:
    """What is in a namespace, as far as it may be looked at.

    Attributes:
        objects: kind and metadata of each.
        unseen: kinds that could not be listed, with why.
    """

    objects: tuple[tuple[str, Obj], ...]
    unseen: tuple[str, ...]


async def blockers(api: Api, handle: Handle) -> list[str] | None:
    """What is seen to hold an object of ours that was deleted; None if it is gone.

    Raises:
        UndecidableError: it cannot be looked at.
    """
    try:
        found = await api.read(handle.kind, handle.name, handle.namespace)
    except RefusedError as refused:
        if refused.status == 404:
            return None
        raise
    if found["metadata"]["uid"] != handle.uid:
        return None
    told = [*_own(handle, found)]
    if handle.kind == kinds.NAMESPACE:
        told += [*await _unavailable(api), *await _contents(api, handle.name), *_conditions(found)]
    if len(told) > MOST:
        told = [*told[:MOST], f"and {len(told) - MOST} more"]
    return told


def _own(handle: Handle, found: Obj) -> Iterator[str]:
    meta = found["metadata"]
    if "deletionTimestamp" not in meta:
        yield "it was not deleted"
    for name in meta.get("finalizers") or []:
        yield _held(str(handle), name)


def _held(what: str, finalizer: str) -> str:
    meaning = MEANING.get(finalizer, "")
    return f"{what} waits for finalizer {finalizer}" + (f": {meaning}" if meaning else "")


def _conditions(namespace: Obj) -> Iterator[str]:
    for condition in (namespace.get("status") or {}).get("conditions") or []:
        if condition.get("status") == "True":
            yield f"the namespace says {condition.get('reason')}: {condition.get('message')}"


async def _unavailable(api: Api) -> list[str]:
    try:
        services = await api_services.look(api)
    except UndecidableError as problem:
        return [f"{api_services.NOT_KNOWN}: {problem.cause}"]
    return [
        f"apiservice/{one.name} is not available ({one.reason or 'no reason is told'}), so it is not known empty"
        for one in services.silent
    ]


async def _contents(api: Api, namespace: str) -> list[str]:
    try:
        seen = await inventory(api, namespace)
    except UndecidableError as problem:
        return [f"what is in {namespace} is not known: {problem.cause}"]
    told = [line for kind, meta in seen.objects for line in _object(kind, meta)]
    return [*told, *(f"not looked at in {namespace}: {kind}" for kind in seen.unseen)]


def _object(kind: str, meta: Obj) -> Iterator[str]:
    what = f"{kind.lower()}/{meta['name']} in {meta.get('namespace')}"
    finalizers = meta.get("finalizers") or []
    for name in finalizers:
        yield _held(what, name)
    if "deletionTimestamp" not in meta:
        yield f"{what} was not deleted"
    elif not finalizers:
        asked = f"was told to end by {meta['deletionTimestamp']}"
        who = "its node's kubelet has not confirmed that it has" if kind == "Pod" else "is still there"
        yield f"{what} {asked}: {who}" if kind == "Pod" else f"{what} {asked} and {who}"


async def inventory(api: Api, namespace: str, of: Sequence[Kind] = ()) -> Inventory:
    """Everything in a namespace but Secrets and events, by metadata alone; or what is of some kinds.

    Raises:
        UndecidableError: the kinds that the cluster serves cannot be read.
    """
    objects: list[tuple[str, Obj]] = []
    unseen: list[str] = []
    for kind in of or await listable(api):
        try:
            body = await api.get(kind.path(namespace), query=(("limit", "500"),), accept=_PARTIAL)
        except RefusedError as refused:
            if refused.status not in (404, 405):
                unseen.append(f"{kind.plural} ({refused.status} {refused.reason})")
            continue
        found = [item.get("metadata") or {} for item in body.get("items") or []]
        objects += [(kind.kind, meta) for meta in found if meta.get("name")]
    return Inventory(tuple(objects), tuple(unseen))


async def listable(api: Api) -> list[Kind]:
    """The kinds with objects in namespaces that can be listed and deleted, each in one version.

    Raises:
        UndecidableError: discovery does not answer.
    """
    found: dict[tuple[str, str], Kind] = {}
    for path in ("/api", "/apis"):
        body = await api.get(path, accept=DISCOVERY)
        for group in body.get("items") or []:
            name = (group.get("metadata") or {}).get("name", "")
            for version in group.get("versions") or []:
                for resource in version.get("resources") or []:
                    plural = str(resource.get("resource"))
                    if _matters(resource) and plural not in _NOT_LOOKED_AT:
                        api_version = f"{name}/{version['version']}" if name else str(version["version"])
                        kind = Kind(api_version, str(resource["responseKind"]["kind"]), plural)
                        found.setdefault((name, plural), kind)
    return list(found.values())


def _matters(resource: Obj) -> bool:
    verbs = set(resource.get("verbs") or [])
    return resource.get("scope") == "Namespaced" and {"list", "delete"} <= verbs and bool(resource.get("responseKind"))
