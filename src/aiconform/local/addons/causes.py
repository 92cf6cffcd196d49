"""Why an add-on does not become ready, in the cluster's own words: its pods' reasons and its last events."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aiconform.local.api import Api, ApiError

_EVENTS = 4
_LINES = 4
_LENGTH = 240

NEVER_PULLED = frozenset({"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"})
"""Reasons of containers whose image is not there; nothing on a local cluster can bring it."""


def causes(api: Api, namespaces: Iterable[str]) -> list[str]:
    """What is wrong in these namespaces, most telling first; empty where nothing is."""
    found: list[str] = []
    for namespace in namespaces:
        try:
            pods = api.get(f"/api/v1/namespaces/{namespace}/pods")["items"]
            events = api.get(f"/api/v1/namespaces/{namespace}/events")["items"]
        except ApiError as error:
            found.append(f"cannot look into namespace {namespace}: {error}")
            continue
        found += [reason for pod in pods for reason in unready(pod)]
        found += warnings(events)
    return list(dict.fromkeys(found))


def unready(pod: dict[str, Any]) -> list[str]:
    """Why a pod is not ready, one phrase each."""
    where = f"pod {pod['metadata']['namespace']}/{pod['metadata']['name']}"
    status = pod.get("status", {})
    conditions = {item["type"]: item for item in status.get("conditions", [])}
    if conditions.get("Ready", {}).get("status") == "True" or status.get("phase") == "Succeeded":
        return []
    if conditions.get("PodScheduled", {}).get("status") == "False":
        return [_short(f"{where} is not scheduled: {conditions['PodScheduled'].get('message', '')}")]
    containers = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    found = [f"{where}, container {item['name']}: {reason}" for item in containers if (reason := _container(item))]
    return [_short(line) for line in found] or [f"{where} is not ready, phase {status.get('phase', 'unknown')}"]


def never_pulled(pod: dict[str, Any]) -> bool:
    """Whether a container of the pod waits for an image that nobody can bring."""
    status = pod.get("status", {})
    containers = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    return any(item.get("state", {}).get("waiting", {}).get("reason") in NEVER_PULLED for item in containers)


def warnings(events: Iterable[dict[str, Any]]) -> list[str]:
    """The last warnings, newest first."""
    bad = [event for event in events if event.get("type") == "Warning"]
    bad.sort(key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""), reverse=True)
    return [
        _short(
            f"{event['involvedObject'].get('kind', '').lower()} {event['involvedObject'].get('name', '')}: "
            f"{event.get('reason', '')}: {event.get('message', '')}"
        )
        for event in bad[:_EVENTS]
    ]


def last_words(log: Path) -> list[str]:
    """The last lines of a log on this machine; empty where there is none."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return []
    return [_short(f"{log.name}: {line}") for line in lines[-_LINES:] if line.strip()]


def _container(status: dict[str, Any]) -> str:
    """Why a container does not run or is not ready; empty if it is, or ended well."""
    if status.get("ready"):
        return ""
    state = status.get("state", {})
    last = status.get("lastState", {}).get("terminated")
    if "waiting" in state:
        waiting = state["waiting"]
        text = ": ".join(part for part in (waiting.get("reason", "waiting"), waiting.get("message", "")) if part)
        return f"{text}; ended before with {_end(last)}" if last else text
    if "terminated" in state:
        return "" if state["terminated"].get("exitCode") == 0 else f"ended with {_end(state['terminated'])}"
    return "runs, and is not ready"


def _end(terminated: dict[str, Any]) -> str:
    message = terminated.get("message", "").strip()
    return f"exit code {terminated.get('exitCode')}, {terminated.get('reason', '')}" + (
        f": {message}" if message else ""
    )


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _LENGTH else flat[: _LENGTH - 1] + "…"
