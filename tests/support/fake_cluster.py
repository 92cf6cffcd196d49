"""A cluster that only answers questions: lists, objects, access reviews and dry runs, for the doctor's tests."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from email.utils import formatdate
from typing import Any

from aiconform.cluster.http import RawAnswer, RawRequest
from aiconform.engine.rights import Right, granting, parse

Obj = dict[str, Any]
EVERYTHING = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]


def meta(name: str, **more: Any) -> Obj:
    """Metadata of an object that is there."""
    return {"name": name, "uid": f"uid-{name}", "resourceVersion": "7", **more}


def node(name: str, *, accelerators: int = 0, **labels: str) -> Obj:
    """A node that is ready."""
    allocatable = {"cpu": "8"} | ({"nvidia.com/gpu": str(accelerators)} if accelerators else {})
    info = {"kubeletVersion": "v1.35.3", "containerRuntimeVersion": "containerd://2.2.1"}
    labels = {"kubernetes.io/hostname": name} | {key.replace("__", "."): value for key, value in labels.items()}
    conditions = [{"type": "Ready", "status": "True"}]
    status = {"allocatable": allocatable, "conditions": conditions, "nodeInfo": info, "images": [{"sizeBytes": 1}]}
    return {"metadata": meta(name, labels=labels), "spec": {}, "status": status}


class FakeCluster:
    """Stands in for :class:`aiconform.cluster.http.ClusterHttp`.

    Attributes:
        lists: by path of a collection, its kind and its objects.
        groups: group versions served.
        rules: what SelfSubjectRulesReview answers, as all there are; none: as an authorizer that cannot list them.
        denied: rights that are refused in reviews and in requests.
        ahead_s: how far its clock is before ours.
    """

    def __init__(self) -> None:
        self.groups = ["apps/v1", "resource.k8s.io/v1", "node.k8s.io/v1", "authorization.k8s.io/v1"]
        self.lists: dict[str, tuple[str, list[Obj]]] = {
            "/api/v1/nodes": ("Node", [node("control"), node("gpu-0", accelerators=2)]),
            "/api/v1/pods": ("Pod", []),
            "/api/v1/services": ("Service", []),
            "/api/v1/resourcequotas": ("ResourceQuota", []),
            "/api/v1/limitranges": ("LimitRange", []),
            "/apis/apps/v1/deployments": ("Deployment", []),
            "/apis/apps/v1/daemonsets": ("DaemonSet", []),
            "/apis/node.k8s.io/v1/runtimeclasses": ("RuntimeClass", []),
            "/apis/resource.k8s.io/v1/deviceclasses": ("DeviceClass", []),
            "/apis/resource.k8s.io/v1/resourceslices": ("ResourceSlice", []),
            "/apis/resource.k8s.io/v1/resourceclaims": ("ResourceClaim", []),
            "/apis/apiregistration.k8s.io/v1/apiservices": ("APIService", [api_service("v1.", available=True)]),
        }
        self.objects: dict[str, Obj] = {
            "/version": {"gitVersion": "v1.35.3", "platform": "linux/amd64"},
            "/api/v1/namespaces/kube-system": {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": meta("kube-system"),
            },
        }
        self.rules: list[Obj] = EVERYTHING
        self.denied: set[Right] = set()
        self.reviews = True
        self.refuses: dict[str, str] = {}
        self.ahead_s = 0.0
        self.requests: list[RawRequest] = []

    def deny(self, *lines: str) -> None:
        """Refuse these rights; the rules then list every right singly, as RBAC does."""
        self.denied |= set(parse(*lines))
        self.rules = []

    def serve(self, group_version: str, plural: str, kind: str, objects: Iterable[Obj]) -> None:
        """Serve a kind."""
        self.groups.append(group_version)
        self.lists[f"/apis/{group_version}/{plural}"] = (kind, list(objects))

    async def __aenter__(self) -> FakeCluster:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        return None

    async def send(self, request: RawRequest) -> RawAnswer:
        """Answer a request."""
        self.requests.append(request)
        return self._answer(request)

    def _answer(self, request: RawRequest) -> RawAnswer:
        if request.method == "POST":
            return self._posted(request)
        if request.path == "/apis":
            return self._json(200, {"kind": "APIGroupList", "groups": [_group(one) for one in self.groups]})
        if any(request.path == path and self._kept(right) for path, right in self._reads()):
            return self._status(403, "Forbidden", "not yours to read")
        if request.path in self.objects:
            return self._json(200, self.objects[request.path])
        if request.path in self.lists:
            return self._list(request)
        return self._status(404, "NotFound", f"{request.path} not found")

    def _list(self, request: RawRequest) -> RawAnswer:
        kind, items = self.lists[request.path]
        if "as=Table" in request.headers["Accept"]:
            return self._json(200, {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "rows": []})
        version = request.path.removeprefix("/api/").removeprefix("/apis/").rpartition("/")[0]
        query = dict(request.query)
        found = [item for item in items if _selected(item, query)]
        start, size = int(query.get("continue", 0)), int(query.get("limit", 0)) or len(found) or 1
        head: Obj = {"resourceVersion": "9"}
        if start + size < len(found):
            head["continue"] = str(start + size)
        body = {"kind": f"{kind}List", "apiVersion": version, "metadata": head, "items": found[start : start + size]}
        return self._json(200, body)

    def _posted(self, request: RawRequest) -> RawAnswer:
        body = json.loads(request.body or b"")
        if body["kind"].startswith("SelfSubject") and not self.reviews:
            return self._status(403, "Forbidden", "no reviews here")
        if body["kind"] == "SelfSubjectRulesReview":
            return self._json(201, {**body, "status": {"resourceRules": self.rules, "incomplete": not self.rules}})
        if body["kind"] == "SelfSubjectAccessReview":
            about = body["spec"]["resourceAttributes"]
            sub = about.get("subresource", "")
            resource = about["resource"] + (f"/{sub}" if sub else "")
            namespace = about.get("namespace", "")
            right = Right(about.get("group", ""), resource, about["verb"], about.get("name", ""), namespace)
            return self._json(201, {**body, "status": {"allowed": not self._kept(right)}})
        assert ("dryRun", "All") in request.query, "the doctor writes nothing"
        if body["kind"] in self.refuses:
            return self._status(403, "Forbidden", self.refuses[body["kind"]])
        return self._json(201, body)

    def _kept(self, right: Right) -> bool:
        if right in self.denied:
            return True
        return bool(self.rules) and not any(granting(rule)(right) for rule in self.rules)

    def _reads(self) -> Iterable[tuple[str, Right]]:
        for path in self.lists:
            parts = path.strip("/").split("/")
            group = parts[1] if parts[0] == "apis" else ""
            yield path, Right(group, parts[-1], "list")
        yield "/api/v1/namespaces/kube-system", Right("", "namespaces", "get", "kube-system")

    def _json(self, status: int, body: Obj) -> RawAnswer:
        import time

        date = formatdate(time.time() + self.ahead_s, usegmt=True)
        return RawAnswer(status, {"content-type": "application/json", "date": date}, json.dumps(body).encode())

    def _status(self, code: int, reason: str, message: str) -> RawAnswer:
        body = {"kind": "Status", "apiVersion": "v1", "reason": reason, "message": message, "code": code}
        return self._json(code, body)


def api_service(name: str, *, available: bool, message: str = "") -> Obj:
    """An APIService."""
    condition = {"type": "Available", "status": str(available), "message": message}
    group = name.partition(".")[2]
    return {"metadata": meta(name), "spec": {"group": group}, "status": {"conditions": [condition]}}


def pod(name: str, on: str, **limits: str) -> Obj:
    """A pod on a node."""
    resources = {"limits": {key.replace("__", ".").replace("_", "/"): value for key, value in limits.items()}}
    spec = {"nodeName": on, "containers": [{"name": "c", "resources": resources}]}
    return {"metadata": meta(name, namespace="theirs"), "spec": spec, "status": {"phase": "Running"}}


def _group(version: str) -> Obj:
    return {"name": version.partition("/")[0], "versions": [{"groupVersion": version}]}


def _selected(item: Obj, query: dict[str, str]) -> bool:
    labels = item["metadata"].get("labels") or {}
    selector = query.get("labelSelector", "")
    if " in (" in selector:
        key, _, values = selector.partition(" in (")
        return labels.get(key) in values.removesuffix(")").split(",")
    fields = query.get("fieldSelector", "")
    with suppress(StopIteration):
        wanted = next(part for part in fields.split(",") if part.startswith("spec.nodeName="))
        return bool(item["spec"].get("nodeName") == wanted.partition("=")[2])
    return True
