"""A Kubernetes API in memory, beneath unit tests of the engine: objects, lists, watches, and wrong answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiconform.cluster.http import RawAnswer, RawRequest

Obj = dict[str, Any]
Wrong = Callable[[RawRequest, RawAnswer], RawAnswer]

_KINDS = {
    "pods": ("v1", "Pod"),
    "namespaces": ("v1", "Namespace"),
    "nodes": ("v1", "Node"),
    "serviceaccounts": ("v1", "ServiceAccount"),
    "jobs": ("batch/v1", "Job"),
    "resourcequotas": ("v1", "ResourceQuota"),
    "configmaps": ("v1", "ConfigMap"),
    "clusterqueues": ("kueue.x-k8s.io/v1beta2", "ClusterQueue"),
    "resourceflavors": ("kueue.x-k8s.io/v1beta2", "ResourceFlavor"),
    "topologies": ("kueue.x-k8s.io/v1beta2", "Topology"),
    "apiservices": ("apiregistration.k8s.io/v1", "APIService"),
}
_SPACES = "/api/v1"
_DISCOVERED = ("pods", "configmaps", "jobs")


class FakeApi:
    """Stands in for :class:`aiconform.cluster.http.ClusterHttp`.

    ``on_create`` is called with every created object and may change it. ``wrong`` may replace any answer. ``refused``
    answers requests of a method, and nothing of what they ask is done. Objects in ``stuck`` stay when they are deleted;
    those with finalizers stay too, and so does a namespace that has one in it.
    """

    def __init__(self) -> None:
        self.objects: dict[str, Obj] = {}
        self.requests: list[RawRequest] = []
        self.on_create: Callable[[Obj], None] = lambda _: None
        self.wrong: Wrong = lambda _request, answer: answer
        self.stuck: set[str] = set()
        self.page = 0
        self.refused: dict[str, RawAnswer] = {}
        self._version = 100
        self._changed = asyncio.Condition()
        self._events: list[tuple[int, str, Obj]] = []

    async def send(self, request: RawRequest) -> RawAnswer:
        """Answer a request."""
        await asyncio.sleep(0)
        self.requests.append(request)
        if request.method in self.refused:
            return self.refused[request.method]
        return self.wrong(request, await self._answer(request))

    @asynccontextmanager
    async def stream(self, request: RawRequest, _begins_within_s: float | None = None) -> AsyncIterator[_Watch]:
        """Answer a watch."""
        self.requests.append(request)
        answer = self.wrong(request, RawAnswer(200, {"content-type": "application/json"}))
        yield _Watch(self, request, answer)

    async def change(self, name: str, **status: object) -> None:
        """Change an object's status, as a kubelet would."""
        path = next(path for path in self.objects if path.endswith(f"/{name}"))
        obj = json.loads(json.dumps(self.objects[path]))
        obj.setdefault("status", {}).update(status.get("status", {}))
        obj.setdefault("spec", {}).update(status.get("spec", {}))
        await self._put(path, obj, "MODIFIED")

    async def _answer(self, request: RawRequest) -> RawAnswer:
        if request.method == "POST":
            obj = json.loads(request.body or b"")
            path = f"{request.path}/{obj['metadata']['name']}"
            if path in self.objects:
                return _status(409, "AlreadyExists", "it exists")
            obj["metadata"].setdefault("creationTimestamp", "2026-11-26T10:00:00Z")
            obj["metadata"]["uid"] = f"uid-of-{obj['metadata']['name']}"
            self.on_create(obj)
            await self._put(path, obj, "ADDED")
            return _json(201, self.objects[path])
        if request.method == "DELETE":
            return await self._delete(request)
        if request.method == "PATCH":
            return await self._patch(request)
        if request.path in ("/api", "/apis"):
            return _json(200, _discovery(request.path))
        plural = request.path.rsplit("/", 1)[-1]
        if plural in _KINDS:
            return self._list(request, *_KINDS[plural])
        if request.path in self.objects:
            return _json(200, self.objects[request.path])
        return not_found(request.path.rsplit("/", 1)[-1])

    def _list(self, request: RawRequest, api_version: str, kind: str) -> RawAnswer:
        query = dict(request.query)
        items = self.selected(request)
        first = int(query.get("continue", "from-0").removeprefix("from-"))
        last = first + (self.page or int(query.get("limit") or len(items)))
        meta = {"resourceVersion": str(self._version)}
        if last < len(items):
            meta["continue"] = f"from-{last}"
        page = items[first:last]
        return _json(200, {"kind": f"{kind}List", "apiVersion": api_version, "metadata": meta, "items": page})

    async def _patch(self, request: RawRequest) -> RawAnswer:
        obj, change = self.objects.get(request.path), json.loads(request.body or b"{}")
        if obj is None or request.headers["Content-Type"] != "application/merge-patch+json":
            return not_found(request.path.rsplit("/", 1)[-1])
        if change["metadata"]["uid"] != obj["metadata"]["uid"]:
            return _json(409, {"kind": "Status", "apiVersion": "v1", "reason": "Conflict", "message": "uid"})
        await self._put(request.path, {**obj, **{k: v for k, v in change.items() if k != "metadata"}}, "MODIFIED")
        return _json(200, self.objects[request.path])

    async def _delete(self, request: RawRequest) -> RawAnswer:
        obj = self.objects.get(request.path)
        if obj is None:
            return not_found(request.path.rsplit("/", 1)[-1])
        wanted = json.loads(request.body or b"{}").get("preconditions", {}).get("uid")
        if wanted != obj["metadata"]["uid"]:
            return _json(
                409, {"kind": "Status", "apiVersion": "v1", "reason": "Conflict", "message": "uid", "code": 409}
            )
        if not await self._gone(request.path):
            await self._put(request.path, self.objects[request.path], "MODIFIED")
        return _json(200, {"kind": "Status", "apiVersion": "v1", "status": "Success"})

    async def _gone(self, path: str) -> bool:
        """Delete an object, and what is in it first; False where something holds it."""
        inside = [other for other in self.objects if path.startswith(_SPACES) and f"{path[len(_SPACES) :]}/" in other]
        gone = [await self._gone(other) for other in inside]
        meta = self.objects[path]["metadata"]
        meta["deletionTimestamp"] = "2026-11-26T12:00:00Z"
        if path in self.stuck or meta.get("finalizers") or not all(gone):
            return False
        await self._put(path, self.objects.pop(path), "DELETED")
        return True

    async def _put(self, path: str, obj: Obj, event: str) -> None:
        self._version += 1
        obj["metadata"]["resourceVersion"] = str(self._version)
        if event != "DELETED":
            self.objects[path] = obj
        self._events.append((self._version, event, json.loads(json.dumps(obj))))
        async with self._changed:
            self._changed.notify_all()

    def selected(self, request: RawRequest) -> list[Obj]:
        """The objects that a list or watch asks for."""
        kind = _KINDS[request.path.rsplit("/", 1)[-1]][1]
        return [
            obj
            for path, obj in sorted(self.objects.items())
            if path.startswith(f"{request.path}/") and obj["kind"] == kind and _fits(request, obj)
        ]

    async def event_after(self, request: RawRequest, version: int) -> tuple[int, bytes]:
        """The next event of a watch after a resourceVersion."""
        while True:
            for number, event, obj in self._events:
                kind = _KINDS[request.path.rsplit("/", 1)[-1]][1]
                if number > version and obj["kind"] == kind and _fits(request, obj):
                    return number, json.dumps({"type": event, "object": obj}).encode()
            async with self._changed:
                await self._changed.wait()


class _Watch:
    def __init__(self, api: FakeApi, request: RawRequest, answer: RawAnswer) -> None:
        self.answer = answer
        self._api = api
        self._request = request
        self._version = int(dict(request.query).get("resourceVersion", "0"))

    async def next_line(self) -> tuple[bytes, str]:
        """The next line."""
        if self.answer.status != 200:
            return self.answer.body, "closed by the server"
        self._version, line = await self._api.event_after(self._request, self._version)
        return line, ""


def _fits(request: RawRequest, obj: Obj) -> bool:
    query = dict(request.query)
    name = query.get("fieldSelector", "").removeprefix("metadata.name=")
    if name and obj["metadata"]["name"] != name:
        return False
    labels = obj["metadata"].get("labels", {})
    wanted = [pair.partition("=") for pair in query.get("labelSelector", "").split(",") if pair]
    return all(labels.get(key) == value if sign else key in labels for key, sign, value in wanted)


def _discovery(path: str) -> Obj:
    """The kinds in namespaces, as aggregated discovery tells them."""
    groups: dict[str, list[Obj]] = {}
    for plural in _DISCOVERED:
        api_version, kind = _KINDS[plural]
        group, _, version = api_version.rpartition("/")
        resource = {
            "resource": plural,
            "scope": "Namespaced",
            "verbs": ["delete", "list"],
            "responseKind": {"group": group, "version": version, "kind": kind},
        }
        if bool(group) == (path == "/apis"):
            groups.setdefault(group, [{"version": version, "resources": []}])[0]["resources"].append(resource)
    items = [{"metadata": {"name": name}, "versions": versions} for name, versions in groups.items()]
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": items}


def _status(code: int, reason: str, message: str) -> RawAnswer:
    return _json(code, {"kind": "Status", "apiVersion": "v1", "reason": reason, "message": message, "code": code})


def _json(status: int, body: Obj) -> RawAnswer:
    return RawAnswer(status, {"content-type": "application/json"}, json.dumps(body).encode())


def not_found(name: str) -> RawAnswer:
    """What the API says of an object that it does not know."""
    message = f'"{name}" not found'
    return _json(404, {"kind": "Status", "apiVersion": "v1", "reason": "NotFound", "message": message, "code": 404})
