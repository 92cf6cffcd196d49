"""kubectl lines with which a reader can repeat a request.

They never ran: what ran is the request that stands above them. ``kubectl`` sends other headers and, for writes, other
defaults, so such a line repeats the question, not the bytes.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

if TYPE_CHECKING:
    from aiconform.evidence.records import RequestData

_PATCH_TYPES = {
    "application/json-patch+json": "json",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic",
}


@dataclass(frozen=True)
class _Target:
    """What an API path names."""

    group: str
    namespace: str
    resource: str
    name: str
    subresource: str

    @property
    def kind(self) -> str:
        """The resource as kubectl wants it: ``pods``, ``resourceclaims.resource.k8s.io``."""
        return f"{self.resource}.{self.group}" if self.group else self.resource

    @property
    def scope(self) -> list[str]:
        return ["-n", self.namespace] if self.namespace else []


def _target(path: str) -> _Target | None:
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) > 2:
        group, rest = "", parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, rest = parts[1], parts[3:]
    else:
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in {"status", "finalize"}:
        namespace, rest = rest[1], rest[2:]
    resource, name, *sub = [*rest, ""] if len(rest) == 1 else rest
    if any(part.startswith("-") for part in (namespace, resource, name)):
        return None  # would be read as an option
    return _Target(group, namespace, resource, name, "/".join(sub))


def _raw(request: RequestData) -> str:
    query = urlencode(request.query, quote_via=quote, safe=":,=")
    return request.path + (f"?{query}" if query else "")


def _read(request: RequestData, target: _Target | None) -> list[str]:
    raw = ["kubectl", "get", "--raw", _raw(request)]
    query = dict(request.query)
    if target is None:
        return raw
    if target.resource == "pods" and target.subresource == "log":
        options = {"container": "-c", "tailLines": "--tail", "sinceSeconds": "--since"}
        extra: list[str] = []
        for name, option in options.items():
            if name in query:
                value = query[name] + ("s" if name == "sinceSeconds" else "")
                extra += [option, value] if option == "-c" else [f"{option}={value}"]
        follow = ["-f"] if query.get("follow") == "true" else []
        return ["kubectl", "logs", *target.scope, target.name, *extra, *follow]
    known = {"labelSelector", "fieldSelector", "watch", "resourceVersion", "allowWatchBookmarks", "timeoutSeconds"}
    known |= {"resourceVersionMatch", "sendInitialEvents", "includeObject", "limit"}
    if "as=Table" not in request.accept or target.subresource or set(query) - known:
        return raw
    selectors = [f"--selector={query['labelSelector']}"] if query.get("labelSelector") else []
    selectors += [f"--field-selector={query['fieldSelector']}"] if query.get("fieldSelector") else []
    watch = ["--watch"] if query.get("watch") in {"true", "1"} else []
    everywhere = [] if target.namespace or target.name else ["-A"]
    return [
        "kubectl", "get", target.kind, *([target.name] if target.name else []),
        *target.scope, *everywhere, *selectors, *watch,
    ]  # fmt: skip


def _write(request: RequestData, target: _Target | None, body_file: str) -> list[str]:
    file = ["-f", body_file] if body_file else []
    method = request.method
    if target is None or (target.subresource and method == "POST"):
        verb = {"POST": "create", "DELETE": "delete"}.get(method, "replace")
        return ["kubectl", verb, "--raw", _raw(request), *file]
    if method == "POST":
        return ["kubectl", "create", *target.scope, *file]
    if method == "DELETE":
        names = [target.name] if target.name else [f"--selector={dict(request.query).get('labelSelector', '')}"]
        return ["kubectl", "delete", target.kind, *names, *target.scope]
    if method == "PATCH" and request.content_type in _PATCH_TYPES:
        kind = _PATCH_TYPES[request.content_type]
        sub = [f"--subresource={target.subresource}"] if target.subresource else []
        patch = ["--patch-file", body_file] if body_file else []
        return ["kubectl", "patch", target.kind, target.name, *target.scope, f"--type={kind}", *sub, *patch]
    if method == "PATCH":
        return ["kubectl", "apply", "--server-side", *target.scope, *file]
    return ["kubectl", "replace", "--raw", _raw(request), *file]


def repeat_line(request: RequestData, body_file: str) -> str:
    """A kubectl command that asks the same, quoted for a POSIX shell.

    Args:
        request: what was sent.
        body_file: path of the file with the body, seen from the page; empty where there was none.

    Returns:
        One line, or nothing where the path is none that a Kubernetes API has.
    """
    if not request.path.startswith("/"):
        return ""
    target = _target(request.path)
    words = _read(request, target) if request.method == "GET" else _write(request, target, body_file)
    return shlex.join(words)
