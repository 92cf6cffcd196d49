"""What a user asked of a local cluster, by the API server's own audit log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from aiconform.engine.rights import Right

if TYPE_CHECKING:
    from aiconform.local.cluster import Cluster

Obj = dict[str, Any]

_WRITING: Final = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_REVIEWS: Final = frozenset({"authorization.k8s.io", "authentication.k8s.io"})
_FORBIDDEN: Final = 403


@dataclass
class Used:
    """What the log tells of a user.

    Attributes:
        rights: those that allowed requests rest on, with the names and namespaces asked for.
        refused: those for want of which requests were refused.
        writes: requests that may have changed something, as ``verb path``. Reviews and dry runs change nothing.
        requests: how many there were.
    """

    rights: set[Right] = field(default_factory=set)
    refused: set[Right] = field(default_factory=set)
    writes: list[str] = field(default_factory=list)
    requests: int = 0


def used(cluster: Cluster, user: str, *, since: str = "") -> Used:
    """What this user asked; ``since`` is an RFC 3339 time with microseconds, as the log writes them."""
    found = Used()
    for event in _events(cluster):
        if (event.get("user") or {}).get("username") == user and str(event.get("requestReceivedTimestamp")) >= since:
            _note(found, event)
    return found


def _events(cluster: Cluster) -> Iterator[Obj]:
    """Every event, of the files that were put aside too; each request once, at its end."""
    log = cluster.audit_log
    for path in sorted(log.parent.glob(f"{log.stem}*{log.suffix}"), key=lambda path: (path == log, path.name)):
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                # the last line may still be on its way
                if line.endswith("\n") and (event := json.loads(line)).get("stage") == "ResponseComplete":
                    yield event


def _note(found: Used, event: Obj) -> None:
    about = event.get("objectRef") or {}
    group, resource = str(about.get("apiGroup", "")), str(about.get("resource", ""))
    found.requests += 1
    if not resource or group in _REVIEWS:
        return
    sub = f"/{about['subresource']}" if about.get("subresource") else ""
    verb, path = str(event.get("verb")), str(event.get("requestURI"))
    right = Right(group, resource + sub, verb, str(about.get("name", "")), str(about.get("namespace", "")))
    refused = int((event.get("responseStatus") or {}).get("code") or 0) == _FORBIDDEN
    # admission refuses with the same code; only the authorizer says so in its annotation
    denied = (event.get("annotations") or {}).get("authorization.k8s.io/decision") == "forbid"
    (found.refused if denied else found.rights).add(right)
    if verb in _WRITING and not refused and "dryRun=All" not in path:
        found.writes.append(f"{verb} {path}")
