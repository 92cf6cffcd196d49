"""Label selectors: whether labels match one, and labels that would."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiconform.engine.nodeviews import holds

Obj = Mapping[str, Any]


def matches(selector: Obj, labels: Mapping[str, str]) -> bool:
    """Whether the labels match; an empty selector matches everything."""
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(holds(rule, labels.get(rule["key"])) for rule in selector.get("matchExpressions") or ())


def satisfying(selector: Obj) -> dict[str, str] | None:
    """Labels that match; None where no labels can."""
    labels = dict(selector.get("matchLabels") or {})
    for rule in selector.get("matchExpressions") or ():
        if rule["operator"] == "In":
            labels.setdefault(rule["key"], rule["values"][0])
        elif rule["operator"] == "Exists":
            labels.setdefault(rule["key"], "aiconform")
    return labels if matches(selector, labels) else None
