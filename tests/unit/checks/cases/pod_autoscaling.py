"""Answers that must fail the probes of pod autoscaling."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.substitutions import Both, InJson, InText
from tests.unit.checks.cases.contract import Case
from tests.unit.checks.cases.edits import Obj, bound, classless, condition, pending

SCALING = "pod_autoscaling"
AUTOSCALER = "/horizontalpodautoscalers/"


def desired(number: int) -> Callable[[Obj], None]:
    def edit(autoscaler: Obj) -> None:
        autoscaler.get("status", {})["desiredReplicas"] = number

    return edit


def elsewhere(pod: Obj) -> None:
    if "spec" in pod:
        pod["spec"]["nodeName"] = "control"


def renamed(pod: Obj) -> None:
    pod["metadata"]["name"] = f"other-{pod['metadata']['name']}"


def without_accelerator(pod: Obj) -> None:
    for container in pod.get("spec", {}).get("containers") or ():
        container["resources"].get("limits", {}).pop("nvidia.com/gpu", None)


DEVICES = r'"devices": *\[[^]]*\]'
WITHOUT_CLASS = classless(f"discovery/{SCALING}")

CASES = (
    Case(InText(f"{SCALING}/answered", "/proxy/set", '"queue": *7', '"queue": 8'), "8"),
    Case(InJson(f"{SCALING}/answered", "/pods", elsewhere), "0 of 1 ready"),
    Case(InJson(f"{SCALING}/grows", "/pods", without_accelerator), "0 of 2 ready"),
    Case(InText(f"{SCALING}/grows", "/proxy/set", '"queue": *10', '"queue": 1'), "takes 10 for its queue 1"),
    Case(Both(InText(f"{SCALING}/grows", "/proxy/devices", DEVICES, '"devices": []'), WITHOUT_CLASS), ": none"),
    Case(InText(f"{SCALING}/grows", "/proxy/devices", DEVICES, '"devices": ["f0:0"]'), ": f0:0; "),
    Case(InText(f"{SCALING}/grows", "/proxy/devices", r'"devices": *\[', '"devices": ["f0:9", '), "f0:9"),
    Case(InJson(f"{SCALING}/steady", AUTOSCALER, desired(1)), "1 desired"),
    Case(InJson(f"{SCALING}/at_most", AUTOSCALER, desired(3)), "3 desired"),
    Case(InJson(f"{SCALING}/blind", AUTOSCALER, desired(1)), "1 desired"),
    Case(InJson(f"{SCALING}/blind", AUTOSCALER, condition("ScalingActive", "True")), "ScalingActive True"),
    Case(InText(f"{SCALING}/shrinks", "/proxy/set", '"queue": *0', '"queue": 1'), "takes 0 for its queue 1"),
    Case(InJson(f"{SCALING}/busy", "/pods", pending), "is Pending"),
    Case(InText(f"{SCALING}/busy", "/proxy/burn", "300", "0"), "keeps a CPU busy for 300 s 0"),
    Case(InJson(f"{SCALING}/no_room", "/pods", bound), "was given node"),
    Case(InJson(f"{SCALING}/room_appears", "/pods", renamed), "the pod that waited"),
)
