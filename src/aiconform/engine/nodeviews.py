"""What Node objects say of themselves: ready, open to our pods, and whether a node selector takes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from aiconform.catalog import accelerators as vendors

Obj = dict[str, Any]

_QUANTITY = re.compile(r"(\d+)([kMGTPE]?)")
"""How Kubernetes writes whole numbers: 1000 is 1k."""
_HARD = ("NoSchedule", "NoExecute")


def name(obj: Obj) -> str:
    """The name of any object."""
    return str(obj["metadata"]["name"])


def labels(obj: Obj) -> dict[str, str]:
    """The labels of any object."""
    return dict(obj["metadata"].get("labels") or {})


def ready(node: Obj) -> bool:
    """Whether its kubelet says that it is Ready."""
    conditions = node.get("status", {}).get("conditions") or []
    return any(found.get("type") == "Ready" and found.get("status") == "True" for found in conditions)


def fenced(node: Obj) -> list[str]:
    """Keys of taints that keep our pods off: they tolerate only those named like an accelerator's resource."""
    taints = node.get("spec", {}).get("taints") or []
    hard = [str(taint.get("key")) for taint in taints if taint.get("effect") in _HARD]
    return [key for key in hard if vendors.by_resource(key) is None]


def usable(node: Obj) -> bool:
    """Whether pods of ours can come to it."""
    return not closed(node)


def closed(node: Obj) -> str:
    """Why pods of ours cannot come to it; empty if they can."""
    if not ready(node):
        return "not Ready"
    if node.get("spec", {}).get("unschedulable"):
        return "cordoned"
    keys = fenced(node)
    return f"taint {', '.join(keys)}" if keys else ""


def offered(node: Obj, resource: str) -> int:
    """How many of an extended resource it offers to pods."""
    amount = _QUANTITY.fullmatch(str((node.get("status", {}).get("allocatable") or {}).get(resource, "0")))
    return int(amount[1]) * 1000 ** " kMGTPE".index(amount[2] or " ") if amount else 0


def selected(selector: Obj, node: Obj) -> bool:
    """Whether a NodeSelector takes a node: any of its terms does, and of a term every requirement (Kubernetes API)."""
    return any(_term(term, node) for term in selector.get("nodeSelectorTerms") or [])


def _term(term: Obj, node: Obj) -> bool:
    mine = labels(node)
    rules = [(rule, mine.get(str(rule.get("key")))) for rule in term.get("matchExpressions") or []]
    fields = {"metadata.name": name(node)}
    rules += [(rule, fields.get(str(rule.get("key")))) for rule in term.get("matchFields") or []]
    # a term without requirements takes no node
    return bool(rules) and all(holds(rule, value) for rule, value in rules)


def holds(rule: Mapping[str, Any], value: str | None) -> bool:
    """Whether a requirement of a selector takes a label's value; None where there is no such label (Kubernetes API)."""
    values = [str(item) for item in rule.get("values") or []]
    match rule.get("operator"):
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt" as operator if len(values) == 1 and _whole(value) and _whole(values[0]):
            difference = int(str(value)) - int(values[0])
            return difference > 0 if operator == "Gt" else difference < 0
    return False


def _whole(text: str | None) -> bool:
    return (text or "").removeprefix("-").isdecimal()
