"""Looks at a cluster from outside the runs: every object of every kind before and after, and what the audit log says.

It knows nothing of how a run works, only what a run may touch: its own namespaces, and objects of the whole cluster
that it made itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

RUN_LABEL = "aiconform.dev/run"
_OURS = re.compile(r"aiconform-([0-9a-f]{16})(?:-baseline)?")
_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_RESTLESS = frozenset({"events", "leases", "componentstatuses"})
"""Resources that change by themselves on a cluster at rest."""
_ALSO_RESTLESS = frozenset({"apiservices", "endpointslices", "flowschemas", "prioritylevelconfigurations"})
"""Resources that the control plane rewrites now and then: they may change, but none may go or come."""


class Asks(Protocol):
    """What reads the cluster, such as :class:`aiconform.local.api.Api`."""

    def get(self, path: str) -> dict[str, Any]: ...


@dataclass(frozen=True, order=True)
class Key:
    """Which object: its collection (``api/v1/pods``), namespace and name."""

    resource: str
    namespace: str
    name: str

    def __str__(self) -> str:
        where = f"{self.namespace}/" if self.namespace else ""
        return f"{self.resource.rpartition('/')[2]}/{where}{self.name}"


@dataclass(frozen=True)
class State:
    """Which version of it, and whose it says it is: a run's id from its names, or empty."""

    uid: str
    version: str
    run: str


Snapshot = Mapping[Key, State]


@dataclass(frozen=True)
class Difference:
    """What is not as it was. ``left`` are objects that were not there before, by the run they seem to be of."""

    left: Mapping[Key, State]
    touched: tuple[str, ...]


def resources(api: Asks) -> list[str]:
    """The collections of all kinds that are served, each in its preferred version."""
    found = [f"api/v1/{name}" for name in _listable(api.get("/api/v1"))]
    for group in api.get("/apis")["groups"]:
        version = group["preferredVersion"]["groupVersion"]
        found += [f"apis/{version}/{name}" for name in _listable(api.get(f"/apis/{version}"))]
    return found


def _listable(served: Mapping[str, Any]) -> list[str]:
    names = [item["name"] for item in served["resources"] if "list" in item["verbs"]]
    return [name for name in names if "/" not in name and name not in _RESTLESS]


def snapshot(api: Asks, collections: Iterable[str]) -> dict[Key, State]:
    """Every object of these collections."""
    found: dict[Key, State] = {}
    for resource in collections:
        for item in api.get(f"/{resource}")["items"]:
            meta = item["metadata"]
            key = Key(resource, meta.get("namespace", ""), meta["name"])
            found[key] = State(meta["uid"], meta["resourceVersion"], _run_of(key, meta))
    return found


def _run_of(key: Key, meta: Mapping[str, Any]) -> str:
    owners = [owner.get("name", "") for owner in meta.get("ownerReferences") or []]
    for name in (key.namespace, key.name if key.resource.endswith("/namespaces") else "", *owners):
        if found := _OURS.fullmatch(name):
            return found[1]
    return str((meta.get("labels") or {}).get(RUN_LABEL, ""))


def compare(before: Snapshot, after: Snapshot) -> Difference:
    """What came, went or changed between two snapshots."""
    left = {key: state for key, state in after.items() if key not in before}
    touched: list[str] = []
    for key, state in before.items():
        now = after.get(key)
        if now is None:
            touched.append(f"{key} is gone")
        elif now.uid != state.uid:
            touched.append(f"{key} is another one now")
        elif now.version != state.version and key.resource.rpartition("/")[2] not in _ALSO_RESTLESS:
            touched.append(f"{key} was changed")
    return Difference(left, tuple(sorted(touched)))


Made = tuple[str, str, str]
"""An object of the whole cluster: the run that made it, its collection and name."""


@dataclass(frozen=True)
class Audited:
    """What the audit log says of a user's requests.

    Attributes:
        writes: how many were carried out.
        outside: those of them that touched what is not of the making of the run that asked, in words.
    """

    writes: int
    outside: tuple[str, ...]


def audited(lines: Iterable[str], user: str, runs: Set[str]) -> Audited:
    """Hold every write of a user against what runs may write.

    A run may write in its own namespaces, may make objects of the whole cluster, and may change and delete those that
    it made itself: by name, for the audit log has no uids; whether it was the same object is what snapshots tell.
    Which run asks is in the Audit-ID that it sends; a write without one is nobody's. A clean-up may delete what any run
    made.
    """
    writes = 0
    outside: list[str] = []
    made: set[Made] = set()
    for line in lines:
        event = json.loads(line)
        if event.get("verb") not in _WRITES or (event.get("user") or {}).get("username") != user:
            continue
        status = (event.get("responseStatus") or {}).get("code", 0)
        if not 200 <= status < 300:
            continue
        ref = event.get("objectRef") or {}
        resource, name = str(ref.get("resource")), str(ref.get("name", ""))
        if resource in ("selfsubjectaccessreviews", "selfsubjectrulesreviews"):
            continue  # a question, although it is asked by POST; nothing is stored
        writes += 1
        namespace = name if resource == "namespaces" else str(ref.get("namespace", ""))
        run = str(event.get("auditID")).partition(".")[0]
        if event["verb"] == "create" and resource != "namespaces" and not namespace:
            made.add((run, resource, name))
        made_by = [(each, resource, name) for each in (runs if _cleans(run, event) else {run} & runs)]
        if not any(_may(namespace, target, made) for target in made_by):
            outside.append(f"{event['verb']} {resource}/{name} in {namespace or 'the cluster'}: {event.get('auditID')}")
    return Audited(writes, tuple(outside))


def _cleans(run: str, event: Mapping[str, Any]) -> bool:
    return run.startswith("cleanup-") and event["verb"] == "delete"


def _may(namespace: str, target: Made, made: Set[Made]) -> bool:
    if not namespace:
        return target in made
    found = _OURS.fullmatch(namespace)
    return found is not None and found[1] == target[0]


class AuditLog:
    """The lines that a log file gains."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = path.stat().st_size if path.is_file() else 0

    def news(self) -> list[str]:
        """Whole lines since the last call."""
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data.rpartition(b"\n")[0]
        self._offset += len(whole) + (1 if whole else 0)
        return whole.decode(errors="replace").splitlines() if whole else []


def false_passes(clean: Mapping[str, str], seen: Mapping[str, str]) -> list[str]:
    """Probes and checks that pass although the run without a fault says that they do not, by name."""
    return sorted(name for name, outcome in seen.items() if outcome == "passed" and clean.get(name) != "passed")


def false_failures(clean: Mapping[str, str], seen: Mapping[str, str]) -> list[str]:
    """Probes that fail although the run without a fault says that they pass."""
    return sorted(name for name, outcome in seen.items() if outcome == "failed" and clean.get(name) == "passed")
