"""A stand-in for the control plane, in memory, with what the rehearsal needs of one: for tests of the tests.

It is no real API server, and nothing that is found with it is a figure; it lets the proxy, the runs and the checker be
tried together without root and without a built Kubernetes. It speaks TLS on a port for each user.
"""

from __future__ import annotations

import asyncio
import copy
import json
import ssl
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.faults import wire
from tests.faults.plane import ADMIN, RUNNER, Admin
from tests.faults.proxy import Upstream
from tests.faults.wire import Head

from aiconform.local import kubeconfig
from aiconform.local.pki import Authority

Obj = dict[str, Any]
SOON_S = 0.05
NAMESPACE_GOES_S = 0.3
_VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]
_DRA = "resource.k8s.io/v1"
KINDS: dict[str, tuple[str, str, bool]] = {
    "namespaces": ("v1", "Namespace", False),
    "nodes": ("v1", "Node", False),
    "pods": ("v1", "Pod", True),
    "configmaps": ("v1", "ConfigMap", True),
    "serviceaccounts": ("v1", "ServiceAccount", True),
    "resourcequotas": ("v1", "ResourceQuota", True),
    "limitranges": ("v1", "LimitRange", True),
    "services": ("v1", "Service", True),
    "deployments": ("apps/v1", "Deployment", True),
    "daemonsets": ("apps/v1", "DaemonSet", True),
    "jobs": ("batch/v1", "Job", True),
    "networkpolicies": ("networking.k8s.io/v1", "NetworkPolicy", True),
    "apiservices": ("apiregistration.k8s.io/v1", "APIService", False),
    "runtimeclasses": ("node.k8s.io/v1", "RuntimeClass", False),
    "deviceclasses": (_DRA, "DeviceClass", False),
    "resourceslices": (_DRA, "ResourceSlice", False),
    "resourceclaims": (_DRA, "ResourceClaim", True),
    "resourceclaimtemplates": (_DRA, "ResourceClaimTemplate", True),
}


class StandIn:
    """Objects by path, and the little that controllers do with them; use as ``async with``."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="aiconform-stand-in-"))
        self.audit_log = self.directory / "audit.log"
        self.audit_log.touch()
        self.objects: dict[str, Obj] = {}
        self._events: list[tuple[int, str, str, Obj]] = []
        self._version = 100
        self._changed = asyncio.Event()
        self._servers: dict[str, asyncio.Server] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._authority = Authority("stand-in-ca")

    async def __aenter__(self) -> StandIn:
        self._authority.issue("stand-in", names=["127.0.0.1"]).write(self.directory, "stand-in")
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(self.directory / "stand-in.crt", self.directory / "stand-in.key")
        for user in (RUNNER, ADMIN):
            self._servers[user] = await asyncio.start_server(self._serving(user), "127.0.0.1", 0, ssl=tls)
        for name in ("default", "kube-system"):
            self.put(f"/api/v1/namespaces/{name}", "ADDED", _new("v1", "Namespace", {"name": name}))
        return self

    async def __aexit__(self, *_: object) -> None:
        for server in self._servers.values():
            server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def port(self, user: str) -> int:
        """Where this user asks."""
        return int(self._servers[user].sockets[0].getsockname()[1])

    def upstream(self, user: str = RUNNER) -> Upstream:
        """See :meth:`tests.faults.plane.Plane.upstream`."""
        tls = ssl.create_default_context(cadata=self._authority.pair.certificate.decode())
        return Upstream("127.0.0.1", self.port(user), tls)

    def api(self, timeout_s: float = 30.0) -> Admin:
        """See :meth:`tests.faults.plane.Plane.api`; for another thread than this one's."""
        path = self.directory / "admin.kubeconfig"
        url = f"https://127.0.0.1:{self.port(ADMIN)}"
        path.write_text(kubeconfig.render("a", url, self._authority.pair.certificate, self._authority.issue(ADMIN)))
        return Admin(path, timeout_s)

    # -- objects ------------------------------------------------------------------------------------------------------

    def put(self, path: str, event: str, obj: Obj) -> None:
        """Store an object, or take it away, and tell the watches."""
        self._version += 1
        obj["metadata"]["resourceVersion"] = str(self._version)
        if event == "DELETED":
            self.objects.pop(path, None)
        else:
            self.objects[path] = obj
        self._events.append((self._version, event, path, copy.deepcopy(obj)))
        self._changed.set()
        self._changed = asyncio.Event()

    def change(self, path: str, status: Obj) -> None:
        """Change an object's status, if it is still there."""
        if (obj := self.objects.get(path)) is not None:
            self.put(path, "MODIFIED", {**copy.deepcopy(obj), "status": {**obj.get("status", {}), **status}})

    def create(self, collection: str, obj: Obj) -> tuple[int, Obj]:
        """Create an object, as the API server and its controllers would."""
        path = f"{collection}/{obj['metadata']['name']}"
        namespace = collection.partition("/namespaces/")[2].partition("/")[0]
        if path in self.objects:
            return _status(409, "AlreadyExists", f'"{obj["metadata"]["name"]}" already exists')
        if namespace:
            home = self.objects.get(f"/api/v1/namespaces/{namespace}")
            if home is None:
                return _status(404, "NotFound", f'namespaces "{namespace}" not found')
            if home["metadata"].get("deletionTimestamp"):
                return _status(403, "Forbidden", "the namespace is being terminated")
        if obj["kind"] == "Pod" and obj["spec"]["containers"][0].get("securityContext", {}).get("privileged"):
            return _status(403, "Forbidden", 'violates PodSecurity "restricted:latest": privileged')
        obj["metadata"] |= {"uid": str(uuid.uuid4()), "creationTimestamp": "2026-01-01T00:00:00Z"}
        if namespace:
            obj["metadata"]["namespace"] = namespace
        self.put(path, "ADDED", obj)
        self._controlled(path, obj)
        return 201, self.objects[path]

    def _controlled(self, path: str, obj: Obj) -> None:
        if obj["kind"] == "Namespace":
            account = _new("v1", "ServiceAccount", {"name": "default", "namespace": obj["metadata"]["name"]})
            self._soon(lambda: self.put(f"{path}/serviceaccounts/default", "ADDED", account))
        if obj["kind"] == "ResourceQuota":
            self._soon(lambda: self.change(path, {"hard": obj["spec"].get("hard", {})}))
        if obj["kind"] == "Deployment" and obj["spec"].get("replicas"):
            self._soon(lambda: self.change(path, {"replicas": 1}))
        if obj["kind"] == "Pod" and obj["spec"].get("schedulerName", "default-scheduler") == "default-scheduler":
            why = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/0 available"}
            self._soon(lambda: self.change(path, {"phase": "Pending", "conditions": [why]}))

    def delete(self, path: str, body: Obj) -> tuple[int, Obj]:
        """Delete an object; a namespace and what is in it go a little later."""
        obj = self.objects.get(path)
        if obj is None:
            return _status(404, "NotFound", f'"{path.rpartition("/")[2]}" not found')
        if body.get("preconditions", {}).get("uid", obj["metadata"]["uid"]) != obj["metadata"]["uid"]:
            return _status(409, "Conflict", "the UID in the precondition does not match")
        if obj["kind"] != "Namespace":
            self.put(path, "DELETED", obj)
            return 200, obj
        if not obj["metadata"].get("deletionTimestamp"):
            going = copy.deepcopy(obj)
            going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
            self.put(path, "MODIFIED", going)
            self._soon(lambda: self._emptied(path, obj["metadata"]["uid"]), NAMESPACE_GOES_S)
        return 200, self.objects[path]

    def _emptied(self, path: str, uid: str) -> None:
        name = path.rpartition("/")[2]
        there = self.objects.get(path)
        if there is None or there["metadata"]["uid"] != uid:
            return
        for other, obj in list(self.objects.items()):
            owners = [owner.get("uid") for owner in obj["metadata"].get("ownerReferences") or []]
            if other != path and (f"/namespaces/{name}/" in other or uid in owners):
                self.put(other, "DELETED", obj)
        self.put(path, "DELETED", there)

    def _soon(self, work: Callable[[], None], after_s: float = SOON_S) -> None:
        asyncio.get_running_loop().call_later(after_s, work)

    # -- requests -----------------------------------------------------------------------------------------------------

    def _serving(self, user: str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            try:
                while head := await wire.read_head(reader):
                    await self._one(user, head, await wire.whole(reader, head), writer)
            except (OSError, EOFError, asyncio.CancelledError):
                pass
            finally:
                writer.transport.abort()

        return serve

    async def _one(self, user: str, head: Head, body: bytes, writer: asyncio.StreamWriter) -> None:
        method, target, _ = head.start.split(" ")
        path, query = urlsplit(target).path, dict(parse_qsl(urlsplit(target).query))
        if query.get("watch") == "true":
            await self._watched(path, query, writer)
            return
        given = json.loads(body) if body else {}
        status, found = self._answered(method, unquote(path), query, given, head.get("accept"))
        self._audited(user, method, path, given, status, head.get("audit-id"))
        data = json.dumps(found).encode()
        told = (("Content-Type", "application/json"), ("Date", _DATE), ("Content-Length", str(len(data))))
        writer.write(Head(f"HTTP/1.1 {status} X", told).encoded() + data)
        await writer.drain()

    def _answered(self, method: str, path: str, query: dict[str, str], given: Obj, accept: str) -> tuple[int, Obj]:
        if method == "POST":
            if path.rpartition("/")[2].startswith("selfsubject"):
                return 201, {**given, "status": {"allowed": True}}
            return self.create(path, given)
        if method == "DELETE":
            return self.delete(path, given)
        if method == "PATCH":
            return self._patched(path, given)
        if path in ("/version", "/api", "/apis") or path.removeprefix("/api/").removeprefix("/apis/") in _groups():
            return 200, _discovery(path, accept)
        if "as=Table" in accept:
            return 200, {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {}, "rows": []}
        plural = path.rpartition("/")[2]
        if plural in KINDS and path not in self.objects:
            version, kind, _ = KINDS[plural]
            meta = {"resourceVersion": str(self._version)}
            items = [obj for _, obj in self._selected(path, query)]
            return 200, {"kind": f"{kind}List", "apiVersion": version, "metadata": meta, "items": items}
        if path in self.objects:
            return 200, self.objects[path]
        return _status(404, "NotFound", f'"{plural}" not found')

    def _patched(self, path: str, change: Obj) -> tuple[int, Obj]:
        obj = self.objects.get(path)
        if obj is None:
            return _status(404, "NotFound", f'"{path.rpartition("/")[2]}" not found')
        if change.get("metadata", {}).get("uid", obj["metadata"]["uid"]) != obj["metadata"]["uid"]:
            return _status(409, "Conflict", "the UID does not match")
        self.put(path, "MODIFIED", _merged(copy.deepcopy(obj), change))
        return 200, self.objects[path]

    def _selected(self, path: str, query: dict[str, str]) -> Iterator[tuple[str, Obj]]:
        for where, obj in sorted(self.objects.items()):
            if _within(path, where, obj) and _fits(obj, query):
                yield where, obj

    async def _watched(self, path: str, query: dict[str, str], writer: asyncio.StreamWriter) -> None:
        told = (("Content-Type", "application/json"), ("Date", _DATE), ("Transfer-Encoding", "chunked"))
        writer.write(Head("HTTP/1.1 200 OK", told).encoded())
        seen = int(query.get("resourceVersion", "0"))
        ends = asyncio.get_running_loop().time() + float(query.get("timeoutSeconds", "60"))
        while (left := ends - asyncio.get_running_loop().time()) > 0:
            changed = self._changed
            for version, event, where, obj in self._events:
                if version > seen and _within(path, where, obj) and _fits(obj, query):
                    writer.write(wire.chunk(json.dumps({"type": event, "object": obj}).encode() + b"\n"))
            seen = max(seen, self._version)
            await writer.drain()
            try:
                async with asyncio.timeout(left):
                    await changed.wait()
            except TimeoutError:
                break
        writer.write(wire.LAST_CHUNK)
        await writer.drain()

    def _audited(self, user: str, method: str, path: str, given: Obj, status: int, audit_id: str) -> None:
        verb = {"POST": "create", "PATCH": "patch", "DELETE": "delete"}.get(method)
        if verb is None:
            return
        parts = path.strip("/").split("/")
        parts = parts[2:] if parts[0] == "api" else parts[3:]
        namespace = parts[1] if parts[0] == "namespaces" and len(parts) > 1 else ""
        resource, *name = parts[2:] if namespace and len(parts) > 2 else parts
        target = {
            "resource": resource,
            "namespace": namespace,
            "name": (name or [given.get("metadata", {}).get("name")])[0],
        }
        event = {
            "verb": verb,
            "user": {"username": user},
            "objectRef": target,
            "responseStatus": {"code": status},
            "auditID": audit_id,
        }
        with self.audit_log.open("a") as file:
            file.write(json.dumps(event) + "\n")


_DATE = "Thu, 01 Jan 2026 00:00:00 GMT"


def _new(version: str, kind: str, meta: Obj) -> Obj:
    fixed = {"uid": str(uuid.uuid4()), "creationTimestamp": "2026-01-01T00:00:00Z"}
    return {"apiVersion": version, "kind": kind, "metadata": {**meta, **fixed}}


def _status(code: int, reason: str, message: str) -> tuple[int, Obj]:
    return code, {"kind": "Status", "apiVersion": "v1", "reason": reason, "message": message, "code": code}


def _groups() -> set[str]:
    return {version for version, _, _ in KINDS.values()}


def _discovery(path: str, accept: str) -> Obj:
    if path == "/version":
        return {"major": "1", "minor": "35", "gitVersion": "v1.35.0", "platform": "linux/amd64"}
    if "APIGroupDiscoveryList" in accept:
        return _aggregated(path)
    if path in ("/api", "/apis"):
        names = sorted(version for version in _groups() if "/" in version)
        versions = [{"groupVersion": name, "version": name.rpartition("/")[2]} for name in names]
        groups = [
            {"name": each["groupVersion"].partition("/")[0], "versions": [each], "preferredVersion": each}
            for each in versions
        ]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    version = path.removeprefix("/api/").removeprefix("/apis/")
    found = [
        {"name": plural, "kind": kind, "namespaced": inside, "verbs": _VERBS}
        for plural, (its, kind, inside) in KINDS.items()
        if its == version
    ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": found}


def _aggregated(path: str) -> Obj:
    groups: dict[str, list[Obj]] = {}
    for plural, (version, kind, inside) in KINDS.items():
        group, _, number = version.rpartition("/")
        if bool(group) == (path == "/apis"):
            versions = groups.setdefault(group, [{"version": number, "resources": []}])
            versions[0]["resources"].append(
                {
                    "resource": plural,
                    "scope": "Namespaced" if inside else "Cluster",
                    "verbs": _VERBS,
                    "responseKind": {"group": group, "version": number, "kind": kind},
                }
            )
    items = [{"metadata": {"name": name}, "versions": versions} for name, versions in groups.items()]
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": items}


def _within(collection: str, path: str, obj: Obj) -> bool:
    """Whether an object belongs to a collection, which may be of all namespaces."""
    parent, _, _ = path.rpartition("/")
    namespace = obj["metadata"].get("namespace")
    return parent == collection or bool(namespace and parent.replace(f"/namespaces/{namespace}", "") == collection)


def _fits(obj: Obj, query: dict[str, str]) -> bool:
    name = query.get("fieldSelector", "").removeprefix("metadata.name=")
    if name and obj["metadata"]["name"] != name:
        return False
    labels = obj["metadata"].get("labels", {})
    wanted = query.get("labelSelector", "")
    if " in " in wanted or " notin " in wanted:
        return False
    pairs = [pair.partition("=") for pair in wanted.split(",") if pair]
    return all(labels.get(key) == value if sign else key in labels for key, sign, value in pairs)


def _merged(obj: Obj, change: Obj) -> Obj:
    """A JSON merge patch (RFC 7396)."""
    for key, value in change.items():
        if value is None:
            obj.pop(key, None)
        elif isinstance(value, dict):
            obj[key] = _merged(obj.get(key) or {}, value)
        else:
            obj[key] = value
    return obj
