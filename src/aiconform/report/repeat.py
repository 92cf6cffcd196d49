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

_PATCH_TYPES = {
    "application/json-patch+json": "json",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic",
}


def _raw(request: RequestData) -> str:
    query = urlencode(request.query, quote_via=quote, safe="/:,=")
    return request.path + (f"?{query}" if query else "")


def _read(request: RequestData, named: Target | None) -> list[str]:
    raw = ["kubectl", "get", "--raw", _raw(request)]
    query = dict(request.query)
    if named is None:
        return raw
    if named.resource == "pods" and named.subresource == "log":
        options = {"container": "-c", "tailLines": "--tail", "sinceSeconds": "--since"}
        extra: list[str] = []
        for name, option in options.items():
            if name in query:
                value = query[name] + ("s" if name == "sinceSeconds" else "")
                extra += [option, value] if option == "-c" else [f"{option}={value}"]
        follow = ["-f"] if query.get("follow") == "true" else []
        return ["kubectl", "logs", *named.scope, named.name, *extra, *follow]
    known = {"labelSelector", "fieldSelector", "watch", "resourceVersion", "allowWatchBookmarks", "timeoutSeconds"}
    known |= {"resourceVersionMatch", "sendInitialEvents", "includeObject", "limit"}
    if "as=Table" not in request.accept or named.subresource or set(query) - known:
        return raw
    selectors = [f"--selector={query['labelSelector']}"] if query.get("labelSelector") else []
    selectors += [f"--field-selector={query['fieldSelector']}"] if query.get("fieldSelector") else []
    watch = ["--watch"] if query.get("watch") in {"true", "1"} else []
    everywhere = [] if named.namespace or named.name else ["-A"]
    return [
        "kubectl", "get", named.kind, *([named.name] if named.name else []),
        *named.scope, *everywhere, *selectors, *watch,
    ]  # fmt: skip


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
    if not request.path.startswith("/"):
        return ""
    named = target(request.path)
    words = _read(request, named) if request.method == "GET" else _write(request, named, body_file)
    return shlex.join(words)
