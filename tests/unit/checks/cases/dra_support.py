"""Answers that must fail the probes of Dynamic Resource Allocation."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.substitutions import Both, InJson, InLogs
from tests.unit.checks.cases.contract import Case, figure
from tests.unit.checks.cases.edits import Obj, bound, pending

DRA = "dra_support"
FIRST_DEVICE = figure(DRA, "distinct", "first").rpartition("/")[2]


def without_verb(listed: Obj) -> None:
    for kind in listed["resources"]:
        if kind["kind"] == "ResourceClaim":
            kind["verbs"] = [verb for verb in kind["verbs"] if verb != "delete"]


def unallocated(claim: Obj) -> None:
    claim.get("status", {}).pop("allocation", None)


def device(name: str) -> Callable[[Obj], None]:
    def edit(claim: Obj) -> None:
        for result in claim.get("status", {}).get("allocation", {}).get("devices", {}).get("results", []):
            result["device"] = name

    return edit


def reserved_for_another(claim: Obj) -> None:
    for user in claim.get("status", {}).get("reservedFor", []):
        user["uid"] = "somebody-else"


def allocated(claim: Obj) -> None:
    result = {"driver": "gpu.example.com", "pool": "gpu-0", "device": "gpu-0", "request": "device"}
    claim.setdefault("status", {}).setdefault("allocation", {"devices": {"results": [result]}})


CASES = (
    Case(InJson(f"{DRA}/kinds_served", "/resource.k8s.io/v1", without_verb), "ResourceClaim lacks delete"),
    Case(InJson(f"{DRA}/claim_allocated", "/resourceclaims/", unallocated), "allocated: nothing"),
    Case(InJson(f"{DRA}/claim_allocated", "/resourceclaims/", reserved_for_another), "reserved for the pod"),
    Case(InJson(f"{DRA}/claim_allocated", "/pods", pending), "is Pending"),
    Case(InLogs(f"{DRA}/claim_allocated", r"GPU_DEVICE_\d+ is gpu-\d+", "A is b"), "only the claiming container has"),
    Case(InLogs(f"{DRA}/claim_allocated", r"(GPU_DEVICE_\d+) is gpu-\d+", r"\1 is gpu-9"), "nothing"),
    Case(InJson(f"{DRA}/distinct", "/resourceclaims/", device("gpu-9")), "claiming container has: nothing"),
    Case(
        Both(
            InJson(f"{DRA}/distinct", "/resourceclaims/", device(FIRST_DEVICE)),
            InLogs(f"{DRA}/distinct", r"(GPU_DEVICE_\d+) is gpu-\d+", rf"\1 is {FIRST_DEVICE}"),
        ),
        "another device",
    ),
    Case(InJson(f"{DRA}/unsatisfiable", "/pods", bound), "was given node"),
    Case(InJson(f"{DRA}/unsatisfiable", "/resourceclaims/", allocated), "an allocation"),
    Case(InJson(f"{DRA}/released", "/resourceclaims", allocated), "still allocated"),
)
