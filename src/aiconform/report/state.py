"""The state of a Kubernetes object in a line: what a reader looks for first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from aiconform.report.text import one_line

MAX_STATE = 200
_NOISE = {"PodReadyToStartContainers", "Initialized", "ContainersReady"}
"""Conditions of a pod that say nothing beside the others."""


def name_of(body: Mapping[str, Any]) -> str:
    """Kind and name: ``Pod/probe-1``."""
    metadata = body.get("metadata")
    name = metadata.get("name", "") if isinstance(metadata, dict) else ""
    return one_line(f"{body.get('kind', '')}/{name}", MAX_STATE)


def state_of(body: Mapping[str, Any]) -> str:
    """Phase, node, allocation and conditions, as far as the object has them; empty where it has none."""
    status, spec = _mapping(body.get("status")), _mapping(body.get("spec"))
    if not status and body.get("kind") != "ResourceClaim":
        return one_line(str(body.get("message") or ""), MAX_STATE)
    parts = [str(status["phase"])] if status.get("phase") else []
    if spec.get("nodeName"):
        parts.append(f"on {spec['nodeName']}")
    if body.get("kind") == "ResourceClaim":
        parts += _allocation(status)
    return one_line(", ".join([*parts, *_conditions(status)]), MAX_STATE)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _allocation(status: Mapping[str, Any]) -> Iterator[str]:
    results = _mapping(_mapping(status.get("allocation")).get("devices")).get("results")
    devices = [_mapping(result) for result in results] if isinstance(results, list) else []
    named = [f"{device.get('driver', '')}/{device.get('pool', '')}/{device.get('device', '')}" for device in devices]
    yield f"allocated {' '.join(named)}" if named else "not allocated"
    reserved = status.get("reservedFor")
    if isinstance(reserved, list):
        yield f"reserved for {len(reserved)}"


def _conditions(status: Mapping[str, Any]) -> Iterator[str]:
    conditions = status.get("conditions")
    for condition in conditions if isinstance(conditions, list) else []:
        if isinstance(condition, dict) and condition.get("type") not in _NOISE:
            reason = f" ({condition['reason']})" if condition.get("reason") else ""
            why = f": {condition['message']}" if _is_refusal(condition) and condition.get("message") else ""
            yield f"{condition.get('type', '')}={condition.get('status', '')}{reason}{why}"


def _is_refusal(condition: Mapping[str, Any]) -> bool:
    """Whether the scheduler says here why a pod has no node."""
    return condition.get("type") == "PodScheduled" and condition.get("status") == "False"
