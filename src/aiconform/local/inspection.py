"""What is known of a local cluster, for people and for programs."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiconform.local.addons import records
from aiconform.local.api import Api, ApiError, JsonObject
from aiconform.local.node import kernel
from aiconform.local.state import ClusterState, Home

_OWN_NAMESPACES = ("kube-system", "nvidia-device-plugin", "dra-example-driver")


@dataclass(frozen=True)
class ServiceStatus:
    """A supervised program: its condition, how often it was started again, and how it ended last."""

    name: str
    condition: str
    restarts: int
    last_end: str


@dataclass(frozen=True)
class NodeStatus:
    """A node as the API server and the supervisor see it."""

    name: str
    ready: bool
    version: str
    allocatable: Mapping[str, str]
    pid: int | None
    services: tuple[ServiceStatus, ...] = ()


@dataclass(frozen=True)
class Status:
    """A local cluster now.

    Args:
        name: its name.
        condition: ``running``, ``starting``, ``unreachable`` (its processes live, its API server does not answer),
            ``stale`` (files of a cluster that ended without clean-up) or ``absent``.
        memory_bytes: working set of everything that belongs to it.
        uptime_s: since ``up`` began.
        addons: names and versions of what is installed in it; ``(installing)`` or ``(failed)`` where it is not ready.
    """

    name: str
    condition: str
    profile: str = ""
    kubeconfig: str = ""
    api: str = ""
    logs: str = ""
    uptime_s: float = 0.0
    memory_bytes: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)
    nodes: tuple[NodeStatus, ...] = ()
    addons: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def status(name: str = "default") -> Status:
    """Look at a cluster's processes, files and API server.

    Raises:
        UsageError: the name is not valid.
    """
    home = Home.of(name)
    if not home.alive():
        return _dead(home)
    state = home.read()
    if state is None or not home.kubeconfig.exists():
        return Status(home.name, "starting")
    pids = pids_of(home)
    addons: dict[str, str] = {}
    problems: list[str] = []
    condition = "running" if home.ready_file.exists() else "starting"
    objects: list[JsonObject] = []
    try:
        api = Api(home.kubeconfig)
        objects = api.get("/api/v1/nodes")["items"]
        addons = _addons(api)
    except (ApiError, OSError) as error:
        problems.append(str(error))
        condition = "unreachable" if condition == "running" else condition
    installed = records.read(home)
    addons |= {addon: _version(record) for addon, record in installed.items()}
    problems += [f"add-on {addon}: {record.cause}" for addon, record in installed.items() if record.cause]
    nodes = tuple(_node(home, node.name, objects, pids.get(node.name)) for node in state.nodes)
    for node in nodes:
        problems += [
            f"{node.name}: {service.name} {service.condition}, {service.restarts} restarts, last {service.last_end}"
            for service in node.services
            if service.condition == "restarting"
        ]
    return Status(
        name=home.name,
        condition=condition,
        profile=state.profile,
        kubeconfig=str(home.kubeconfig),
        api=f"https://127.0.0.1:{state.port}",
        logs=str(home.logs),
        uptime_s=max(time.time() - state.created, 0.0),
        memory_bytes=home.cgroup.memory_bytes(),
        versions=_versions(state, objects),
        nodes=nodes,
        addons=addons,
        problems=tuple(problems),
    )


def _dead(home: Home) -> Status:
    if not home.directory.exists():
        return Status(home.name, "absent")
    state = home.read()
    reboot = state is not None and state.boot_id != kernel.boot_id()
    problem = "left by an earlier boot of this machine" if reboot else "its processes were killed"
    return Status(home.name, "stale", problems=(f"{problem}; `aiconform local down` removes what is left",))


def pids_of(home: Home) -> dict[str, int]:
    """Process id of each running node's first process, in the machine's process namespace."""
    try:
        report = json.loads((home.directory / "supervisor.json").read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return {name: pid for name, pid in report["nodes"].items() if pid}


def services_of(home: Home, node: str) -> tuple[ServiceStatus, ...]:
    """The node's programs as its first process last reported them."""
    return tuple(
        ServiceStatus(name, entry["condition"], entry["restarts"], entry["last_end"])
        for name, entry in service_report(home.node(node)).items()
    )


def service_report(node_directory: Path) -> dict[str, Any]:
    """The raw report of a node's first process; empty while there is none."""
    try:
        report = json.loads((node_directory / "report" / "services.json").read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return report if isinstance(report, dict) else {}


def is_ready(node: JsonObject) -> bool:
    """True if the Node object's Ready condition is true."""
    conditions = node.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _node(home: Home, name: str, objects: list[JsonObject], pid: int | None) -> NodeStatus:
    found = next((o for o in objects if o["metadata"]["name"] == name), {})
    status = found.get("status", {})
    return NodeStatus(
        name=name,
        ready=is_ready(found),
        version=status.get("nodeInfo", {}).get("kubeletVersion", ""),
        allocatable=dict(status.get("allocatable", {})),
        pid=pid,
        services=services_of(home, name),
    )


def _versions(state: ClusterState, objects: list[JsonObject]) -> dict[str, str]:
    versions = dict(state.versions)
    for node in objects[:1]:
        info = node["status"]["nodeInfo"]
        versions["kubernetes"] = info["kubeletVersion"]
        versions["container runtime"] = info["containerRuntimeVersion"]
        versions["kernel"] = info["kernelVersion"]
    return versions


def _version(record: records.Record) -> str:
    return record.version if record.condition == records.READY else f"{record.version} ({record.condition})"


def _addons(api: Api) -> dict[str, str]:
    """What every cluster of ours has, by the images of its workloads."""
    found: dict[str, str] = {}
    for kind in ("deployments", "daemonsets"):
        for item in api.get(f"/apis/apps/v1/{kind}")["items"]:
            if item["metadata"]["namespace"] in _OWN_NAMESPACES:
                image = item["spec"]["template"]["spec"]["containers"][0]["image"]
                name, _, version = image.partition("@")[0].rpartition("/")[2].partition(":")
                found[name] = version
    return dict(sorted(found.items()))
