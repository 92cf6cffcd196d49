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
}


class FakeApi:
    """Stands in for :class:`aiconform.cluster.http.ClusterHttp`.

    ``on_create`` is called with every created object and may change it. ``wrong`` may replace any answer.
    """

    def __init__(self) -> None:
        self.objects: dict[str, Obj] = {}
        self.requests: list[RawRequest] = []
        self.on_create: Callable[[Obj], None] = lambda _: None
        self.wrong: Wrong = lambda _request, answer: answer
        self.stuck: set[str] = set()
        self._version = 100
        self._changed = asyncio.Condition()
        self._events: list[tuple[int, str, Obj]] = []

    async def send(self, request: RawRequest) -> RawAnswer:
        """Answer a request."""
        await asyncio.sleep(0)
        self.requests.append(request)
        return self.wrong(request, await self._answer(request))

    @asynccontextmanager
    async def stream(self, request: RawRequest) -> AsyncIterator[_Watch]:
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
            obj["metadata"]["uid"] = f"uid-of-{obj['metadata']['name']}"
            self.on_create(obj)
            await self._put(path, obj, "ADDED")
            return _json(201, self.objects[path])
        if request.method == "DELETE":
            return await self._delete(request)
        if request.method == "PATCH":
            return await self._patch(request)
        plural = request.path.rsplit("/", 1)[-1]
        if plural in _KINDS:
            api_version, kind = _KINDS[plural]
            items = self.selected(request)
            meta = {"resourceVersion": str(self._version)}
            return _json(200, {"kind": f"{kind}List", "apiVersion": api_version, "metadata": meta, "items": items})
        if request.path in self.objects:
            return _json(200, self.objects[request.path])
        return not_found(request.path.rsplit("/", 1)[-1])

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
        if request.path not in self.stuck:
            await self._put(request.path, self.objects.pop(request.path), "DELETED")
        return _json(200, {"kind": "Status", "apiVersion": "v1", "status": "Success"})

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
        return [
            obj
            for path, obj in sorted(self.objects.items())
            if path.startswith(f"{request.path}/") and _fits(request, obj)
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
    wanted = [pair.split("=") for pair in query.get("labelSelector", "").split(",") if "=" in pair]
    return all(labels.get(key) == value for key, value in wanted)


def _json(status: int, body: Obj) -> RawAnswer:
    return RawAnswer(status, {"content-type": "application/json"}, json.dumps(body).encode())


def not_found(name: str) -> RawAnswer:
    """What the API says of an object that it does not know."""
    message = f'"{name}" not found'
    return _json(404, {"kind": "Status", "apiVersion": "v1", "reason": "NotFound", "message": message, "code": 404})
