"""What an API path names, and how a request is called for short."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiconform.report.text import one_line

if TYPE_CHECKING:
    from aiconform.evidence.records import RequestData

_VERBS = {"POST": "create", "DELETE": "delete", "PATCH": "patch", "PUT": "replace"}
MAX_LABEL = 60


@dataclass(frozen=True)
class Target:
    """A resource of the Kubernetes API, as its path names it."""

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
        """The option that names its namespace, if it has one."""
        return ["-n", self.namespace] if self.namespace else []


def target(path: str) -> Target | None:
    """What a path names; None where it names no resource, or one that a command would read as an option."""
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
        return None
    return Target(group, namespace, resource, name, "/".join(sub))


def called(request: RequestData) -> str:
    """A request in a few words: ``watch pods``, ``log of probe-1``, ``create resourceclaims``, ``GET /version``."""
    named = target(request.path)
    if named is None:
        return one_line(f"{request.method} {request.path}", MAX_LABEL)
    if named.subresource == "log":
        return one_line(f"log of {named.name}", MAX_LABEL)
    whole = "/".join(part for part in (named.resource, named.name, named.subresource) if part)
    if request.method != "GET":
        verb = _VERBS.get(request.method, request.method)
    elif dict(request.query).get("watch") in {"true", "1"}:
        verb = "watch"
    elif "as=Table" in request.accept:
        verb = "table of"
    else:
        verb = "get" if named.name else "list"
    return one_line(f"{verb} {whole}", MAX_LABEL)
