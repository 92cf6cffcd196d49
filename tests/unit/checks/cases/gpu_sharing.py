"""Answers that must fail the probes of shared devices."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.substitutions import InJson, InLogs
from tests.unit.checks.cases.contract import Case
from tests.unit.checks.cases.edits import Obj, bound, pending

SHARING = "gpu_sharing"


def allocatable(number: str) -> Callable[[Obj], None]:
    def edit(node: Obj) -> None:
        node["status"]["allocatable"]["nvidia.com/gpu"] = number

    return edit


CASES = (
    Case(InJson(f"{SHARING}/offered", "/nodes/", allocatable("8")), "8 on gpu-1"),
    Case(InJson(f"{SHARING}/offered", "/nodes/", allocatable("1")), "1 on gpu-1"),
    Case(InJson(f"{SHARING}/together", "/pods", pending), "is Pending"),
    Case(InLogs(f"{SHARING}/together", "health_exit=0", "health_exit=6"), "exits: 6"),
    Case(InLogs(f"{SHARING}/together", "uuid=", "uuid=other-", pod="/share-2"), "other-"),
    Case(InJson(f"{SHARING}/one_more", "/pods", bound), "was given node"),
    Case(InJson(f"{SHARING}/room_appears", "/pods", pending), "is Pending"),
    Case(InLogs(f"{SHARING}/room_appears", "uuid=", "uuid=other-"), "other-"),
)
