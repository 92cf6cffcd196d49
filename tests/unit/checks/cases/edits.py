"""Changes to objects that several requirements' cases use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.substitutions import InText

Obj = dict[str, Any]


def classless(lane: str = "discovery") -> InText:
    """No RuntimeClass of the vendor's: where there is one, a pod without its device is tried under it too."""
    return InText(lane, "/runtimeclasses", "nvidia", "other")


def bound(pod: Obj) -> None:
    """A pod that was given a node."""
    pod.get("spec", {})["nodeName"] = "gpu-0"


def pending(pod: Obj) -> None:
    """A pod that waits."""
    pod.get("spec", {}).pop("nodeName", None)
    pod["status"] = {"phase": "Pending"}


def condition(kind: str, status: str, reason: str = "Changed") -> Callable[[Obj], None]:
    """A condition of another status."""

    def edit(obj: Obj) -> None:
        for found in obj.get("status", {}).get("conditions") or []:
            if found.get("type") == kind:
                found["status"], found["reason"] = status, reason

    return edit
