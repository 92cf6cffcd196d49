"""Answers that must fail the probes of the autoscaling of nodes."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.substitutions import InJson, InLogs
from tests.unit.checks.cases.contract import Case
from tests.unit.checks.cases.edits import Obj, bound, condition

SCALING = "cluster_autoscaling"
RESOURCE = "nvidia.com/gpu"


def offers(number: str) -> Callable[[Obj], None]:
    def edit(node: Obj) -> None:
        node.get("status", {}).get("allocatable", {})[RESOURCE] = number

    return edit


def tainted(key: str) -> Callable[[Obj], None]:
    def edit(node: Obj) -> None:
        node["spec"].setdefault("taints", []).append({"key": key, "effect": "NoSchedule"})

    return edit


def made_anew(node: Obj) -> None:
    """The same name, another machine."""
    node["metadata"]["uid"] = "another-" + node["metadata"]["uid"]


def once_more(edit: Callable[[Obj], None]) -> Callable[[Obj], None]:
    """A change from the second time on that an object is seen."""
    seen: list[str] = []

    def edited(obj: Obj) -> None:
        name = obj["metadata"]["name"]
        if name in seen:
            edit(obj)
        seen.append(name)

    return edited


def elsewhere(pod: Obj) -> None:
    if pod.get("spec", {}).get("nodeName"):
        pod["spec"]["nodeName"] = "gpu-0"


not_ready = condition("Ready", "False")

CASES = (
    Case(InJson(f"{SCALING}/in_use", "/nodes", offers("0")), "nvidia.com/gpu"),
    Case(InJson(f"{SCALING}/in_use", "/pods", elsewhere), "pods on gpu-0"),
    Case(InJson(f"{SCALING}/in_use", "/nodes", not_ready), "nvidia.com/gpu"),
    Case(InJson(f"{SCALING}/grows", "/pods", bound), "was given node"),
    Case(InJson(f"{SCALING}/grows", "/nodes", made_anew), "lost"),
    Case(InJson(f"{SCALING}/grows", "/nodes", not_ready), "lost"),
    Case(InLogs(f"{SCALING}/grows", "devices=1", "devices=0"), "0 device(s)"),
    Case(InLogs(f"{SCALING}/grows", "devices=1", "devices=2"), "2 device(s)"),
    Case(InJson(f"{SCALING}/shrinks", "/nodes", made_anew), "lost"),
    Case(InJson(f"{SCALING}/shrinks", "/nodes", tainted("ToBeDeletedByClusterAutoscaler")), "lost"),
    Case(InJson(f"{SCALING}/not_for_what_it_lacks", "/nodes", once_more(made_anew)), "came:"),
    Case(InJson(f"{SCALING}/not_for_what_it_lacks", "/nodes", made_anew), "is there still", "undecided"),
    Case(InJson(f"{SCALING}/not_for_what_it_lacks", "/pods", bound), "was given node"),
)
