"""Asking the cluster: what a probe creates, changes, reads and removes.

The part of the context that makes requests; waiting and stating are in :mod:`aiconform.engine.context`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiconform.engine.api import Api, Handle, Obj, owner
from aiconform.engine.guards import Guard, bounded
from aiconform.engine.kinds import Kind, of
from aiconform.engine.lane import TEXT, Lane
from aiconform.engine.ownership import CHECK_LABEL, OBJECT_LABEL, marked

if TYPE_CHECKING:
    from aiconform.engine.facts import Facts

Objects = list[Obj]


@dataclass
class Ours:
    """What a check stands on, created, and hands from probe to probe; lives as long as the check."""

    facts: Facts
    memo: dict[str, Any] = field(default_factory=dict)
    handles: list[Handle] = field(default_factory=list)
    versions: dict[str, int] = field(default_factory=dict)
    guard: Guard | None = None


@dataclass(frozen=True)
class Place:
    """Where the objects of a check go.

    Attributes:
        requirement: whose they are.
        namespace: where they go.
        root: the run's namespace, to which objects of the whole cluster belong.
        images: image reference by role.
    """

    requirement: str
    namespace: str
    images: Mapping[str, str]
    root: Handle | None = None


class Asking:
    """Requests of one probe, and the names of what it makes."""

    def __init__(self, lane: Lane, ours: Ours, place: Place) -> None:
        self._lane = lane
        self._api = Api(lane, ours.versions)
        self._ours = ours
        self._place = place
        self._names = 0

    @property
    def now(self) -> float:
        """Seconds since the run began; stands still between exchanges."""
        return self._lane.now

    def name(self, hint: str) -> str:
        """A name that nobody else uses: from the run, the lane and a counter, so a replay makes the same."""
        self._names += 1
        seed = f"{self._lane.run}/{self._lane.name}/{self._names}"
        return f"{hint}-{hashlib.sha256(seed.encode()).hexdigest()[:10]}"

    def image(self, role: str) -> str:
        """The image reference for a role, as the plan names it."""
        return self._place.images[role]

    def option(self, name: str) -> str:
        """What was told of the cluster under this name (:mod:`aiconform.catalog.options`), or empty."""
        return self._ours.facts.option(name)

    async def create(self, manifest: Obj) -> Handle:
        """Create an object of this check; the engine labels it, records it and removes it.

        The manifest needs ``apiVersion``, ``kind`` and ``metadata.name``; the namespace is filled in, and a deadline
        where one is missing. An object of the whole cluster belongs to the run's namespace, with which it goes; every
        other to the check's guard (:mod:`aiconform.engine.guards`).
        """
        guard = self._ours.guard
        if guard is not None and (standing := await guard.stand(self._lane, self._ours.versions)) is not None:
            self._ours.handles.append(standing)
        manifest = self._labelled(manifest)
        kind, meta = of(manifest), manifest["metadata"]
        created = await self._api.create(manifest)
        handle = Handle(kind, meta.get("namespace", ""), meta["name"], created["metadata"]["uid"])
        self._ours.handles.append(handle)
        return handle

    def _labelled(self, manifest: Obj) -> Obj:
        kind = of(manifest)
        meta = dict(manifest["metadata"])
        if kind.namespaced:
            meta.setdefault("namespace", self._place.namespace)
        elif self._place.root is not None:
            meta["ownerReferences"] = [owner(self._place.root)]
        labels = {CHECK_LABEL: self._place.requirement, OBJECT_LABEL: meta["name"]}
        made = marked({**bounded(manifest), "metadata": meta}, self._lane.run, labels)
        return self._ours.guard.owning(made) if self._ours.guard is not None else made

    async def patch(self, handle: Handle, change: Obj) -> Obj:
        """Change an object of this check by JSON merge patch; returns it as it is then."""
        return await self._api.patch(handle, change)

    async def delete(self, handle: Handle) -> None:
        """Delete an object of this check."""
        await self._api.delete(handle)

    async def read(self, handle: Handle) -> Obj:
        """An object of this check as it is now."""
        return await self._api.read(handle.kind, handle.name, handle.namespace, uid=handle.uid)

    async def read_named(self, kind: Kind, name: str, namespace: str = "") -> Obj:
        """Somebody else's object by name."""
        return await self._api.read(kind, name, namespace)

    async def list(
        self,
        kind: Kind,
        namespace: str = "",
        *,
        labels: Mapping[str, str] | None = None,
        fields: str = "",
        selector: str = "",
    ) -> Objects:
        """Anybody's objects of a kind; ``labels`` are looked for in every answer, the others only asked for."""
        objects, _ = await self._api.list(kind, namespace, labels=labels, fields=fields, selector=selector)
        return objects

    async def get(self, path: str, *, query: Mapping[str, str] | None = None) -> Obj:
        """The JSON object at a path that is no object of a kind: a discovery document, a metric, a query's result."""
        return await self._api.get(path, query=tuple((query or {}).items()))

    async def text(self, path: str, *, query: Mapping[str, str] | None = None, accept: str = TEXT) -> str:
        """The text at a path, such as a pod's metrics through the API server's proxy."""
        return await self._api.text(path, query=tuple((query or {}).items()), accept=accept)

    async def imported(self) -> bytes | None:
        """The file that the user gave for this requirement, untouched; None if none was given."""
        return await self._api.imported(self._place.requirement)

    async def page(self, path: str, *, accept: str) -> tuple[str, str]:
        """The text at a path, and the content type that it says it has."""
        return await self._api.page(path, accept=accept)
