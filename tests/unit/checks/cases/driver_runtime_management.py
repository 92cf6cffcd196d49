"""Answers that must fail the probes of advertised drivers and runtimes."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.substitutions import InJson, InLogs
from tests.unit.checks.cases.contract import Case
from tests.unit.checks.cases.edits import Obj

MANAGED = "driver_runtime_management"
DRIVER = "nvidia.com/cuda.driver-version.full"


def label(key: str, value: str) -> Callable[[Obj], None]:
    def edit(node: Obj) -> None:
        node["metadata"].setdefault("labels", {})[key] = value

    return edit


def unlabelled(key: str) -> Callable[[Obj], None]:
    def edit(node: Obj) -> None:
        node["metadata"].get("labels", {}).pop(key, None)

    return edit


def runtime(version: str) -> Callable[[Obj], None]:
    def edit(node: Obj) -> None:
        node["status"]["nodeInfo"]["containerRuntimeVersion"] = version

    return edit


CASES = (
    Case(InJson(f"{MANAGED}/advertised_is_installed", "/nodes/", label(DRIVER, "570.1.1")), "580.126.20"),
    Case(InJson(f"{MANAGED}/advertised_is_installed", "/nodes/", unlabelled(DRIVER)), "nothing of driver", "undecided"),
    Case(InJson(f"{MANAGED}/advertised_is_installed", "/nodes/", runtime("containerd")), "containerd"),
    Case(InLogs(f"{MANAGED}/advertised_is_installed", "driver_exit=0", "driver_exit=9"), "exit 9"),
    Case(InLogs(f"{MANAGED}/advertised_is_installed", "driver=580.126.20", "driver=error"), "error"),
    Case(InLogs(f"{MANAGED}/advertised_is_installed", "devices=1", "devices=2"), "2 on gpu-0"),
    Case(InLogs(f"{MANAGED}/advertised_is_installed", "runtime=13.0", "runtime=12.9"), "12.9"),
    Case(InLogs(f"{MANAGED}/image_has_none", "tool=none", "tool=/usr/bin/nvidia-smi"), "/usr/bin/nvidia-smi"),
)
