"""What a node's first process is told: plain data, written by ``up``, read inside the node (``launch.json``)."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

INSIDE = "/run/aiconform"
"""Where a node finds its own things, at the same place on every node of every cluster::

    bin/      links to the programs   pki/     this node's certificates
    conf/     their configuration     done/    one empty file per thing that others wait for
    logs/     one file per component  shared/  like done/, but common to all nodes
"""

API_READY = f"{INSIDE}/shared/api-ready"
NETWORK_READY = f"{INSIDE}/done/network"


@dataclass(frozen=True)
class Service:
    """A program that a node's first process keeps running.

    Args:
        name: also the name of its log file.
        argv: program and arguments; the program is looked up in the node's ``bin``.
        after: files inside the node that must exist before it starts.
        once: it ends by itself; a failure is tried again, success creates ``done/<name>``.
        environment: added to the node's environment.
    """

    name: str
    argv: tuple[str, ...]
    after: tuple[str, ...] = ()
    once: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Bind:
    """A host path shown inside the node."""

    source: str
    target: str
    read_only: bool = True


@dataclass(frozen=True)
class Device:
    """A character device of the node's private ``/dev``."""

    path: str
    major: int
    minor: int
    mode: int


@dataclass(frozen=True)
class File:
    """A text file of the node."""

    path: str
    content: str
    mode: int = 0o644


@dataclass(frozen=True)
class Launch:
    """Everything about one node.

    Args:
        hostname: also the Node object's name.
        cgroup: the node's cgroup, relative to the hierarchies' roots.
        hidden: host directory that no node may see: the state of all clusters.
        binds: mounted in this order, before the services start.
        devices: made beside the usual ones.
        files: written last.
        links: symbolic links, path to target.
        services: kept running.
        memory_bytes: shown by ``/proc/meminfo`` as the total, if given.
    """

    hostname: str
    cgroup: str
    hidden: str
    binds: tuple[Bind, ...]
    devices: tuple[Device, ...]
    files: tuple[File, ...]
    links: Mapping[str, str]
    services: tuple[Service, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    memory_bytes: int | None = None

    def to_json(self) -> str:
        """The stored form."""
        return json.dumps(dataclasses.asdict(self), indent=1)

    @classmethod
    def read(cls, path: Path) -> Launch:
        """Load what :meth:`to_json` wrote."""
        raw = json.loads(path.read_text())
        raw["binds"] = tuple(Bind(**item) for item in raw["binds"])
        raw["devices"] = tuple(Device(**item) for item in raw["devices"])
        raw["files"] = tuple(File(**item) for item in raw["files"])
        raw["services"] = tuple(
            Service(**{**item, "argv": tuple(item["argv"]), "after": tuple(item["after"])}) for item in raw["services"]
        )
        return cls(**raw)
