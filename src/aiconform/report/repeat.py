"""kubectl lines with which a reader can repeat a request.

They never ran: what ran is the request that stands above them. ``kubectl`` sends other headers and, for writes, other
defaults, so such a line repeats the question, not the bytes.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from aiconform.report.paths import Target, target

if TYPE_CHECKING:
    from aiconform.evidence.records import RequestData

_QUERY = {
    "labelSelector", "fieldSelector", "watch", "resourceVersion", "resourceVersionMatch", "allowWatchBookmarks",
    "sendInitialEvents", "timeoutSeconds", "includeObject", "limit",
}  # fmt: skip
"""Parameters of a read that kubectl has an option for, or sets by itself."""

_CLUSTER_SCOPED = {
    "nodes", "namespaces", "persistentvolumes", "deviceclasses", "resourceslices", "runtimeclasses", "storageclasses",
    "customresourcedefinitions", "gatewayclasses", "clusterroles", "clusterrolebindings", "priorityclasses",
    "validatingwebhookconfigurations", "mutatingwebhookconfigurations", "apiservices",
}  # fmt: skip
"""Collections that have no namespaces to list through."""

_PATCH_TYPES = {
    "application/json-patch+json": "json",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic",
}


def _raw(request: RequestData) -> str:
    query = urlencode(request.query, quote_via=quote, safe="/:,=")
    return request.path + (f"?{query}" if query else "")


def _read(request: RequestData, named: Target | None) -> list[str]:
    query = dict(request.query)
    if named is not None and named.resource == "pods" and named.subresource == "log":
        return _logs(named, query)
    if named is None or named.subresource or set(query) - _QUERY:
        return ["kubectl", "get", "--raw", _raw(request)]
    words = ["kubectl", "get", named.kind, *([named.name] if named.name else []), *named.scope]
    if not named.namespace and not named.name and named.resource not in _CLUSTER_SCOPED:
        words.append("-A")
    words += [f"--selector={query['labelSelector']}"] if query.get("labelSelector") else []
    words += [f"--field-selector={query['fieldSelector']}"] if query.get("fieldSelector") else []
    words += ["--watch", "--output-watch-events"] if query.get("watch") in {"true", "1"} else []
    return words if "as=Table" in request.accept else [*words, "-o", "json"]


def _logs(named: Target, query: dict[str, str]) -> list[str]:
    words = ["kubectl", "logs", *named.scope, named.name]
    words += ["-c", query["container"]] if "container" in query else []
    words += [f"--tail={query['tailLines']}"] if "tailLines" in query else []
    words += [f"--since={query['sinceSeconds']}s"] if "sinceSeconds" in query else []
    return [*words, "-f"] if query.get("follow") == "true" else words


def _write(request: RequestData, named: Target | None, body_file: str) -> list[str]:
    file = ["-f", body_file] if body_file else []
    method = request.method
    if named is None or (named.subresource and method == "POST"):
        verb = {"POST": "create", "DELETE": "delete"}.get(method, "replace")
        return ["kubectl", verb, "--raw", _raw(request), *file]
    if method == "POST":
        return ["kubectl", "create", *named.scope, *file]
    if method == "DELETE":
        names = [named.name] if named.name else [f"--selector={dict(request.query).get('labelSelector', '')}"]
        return ["kubectl", "delete", named.kind, *names, *named.scope]
    if method == "PATCH" and request.content_type in _PATCH_TYPES:
        kind = _PATCH_TYPES[request.content_type]
        sub = [f"--subresource={named.subresource}"] if named.subresource else []
        patch = ["--patch-file", body_file] if body_file else []
        return ["kubectl", "patch", named.kind, named.name, *named.scope, f"--type={kind}", *sub, *patch]
    if method == "PATCH":
        return ["kubectl", "apply", "--server-side", *named.scope, *file]
    return ["kubectl", "replace", "--raw", _raw(request), *file]


def repeat_line(request: RequestData, body_file: str) -> str:
    """A kubectl command that asks the same, quoted for a POSIX shell.

    Args:
        request: what was sent.
        body_file: path of the file with the body, seen from the page; empty where there was none.

    Returns:
        One line, or nothing where the path is none that a Kubernetes API has.
    """
    if not request.path.startswith("/") or request.method == "IMPORT":
        return ""
    named = target(request.path)
    words = _read(request, named) if request.method == "GET" else _write(request, named, body_file)
    return shlex.join(words)
