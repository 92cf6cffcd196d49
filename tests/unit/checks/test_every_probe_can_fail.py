"""For every probe: the recorded run of a good cluster, with one answer changed to a bad one, fails for that reason."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tests.support.substitutions import Both, InJson, InLogs

from aiconform.checks import all_checks
from aiconform.engine.rejudge import rejudge, replay
from aiconform.engine.replay import Substitution
from aiconform.evidence.documents import ProbeVerdict, Verdicts
from aiconform.evidence.reader import Bundle, open_bundle

GOLDEN = Path(__file__).parents[2] / "golden"
BUNDLES = {path.name.removesuffix(".tar.gz"): path for path in sorted(GOLDEN.glob("*.tar.gz"))}
Obj = dict[str, Any]


@cache
def golden(name: str) -> Bundle:
    """A recorded run."""
    return open_bundle(BUNDLES[name])


def figure(probe_id: str, key: str) -> str:
    """A value that a recorded observation shows."""
    probes = [probe for check in golden("default").verdicts.checks for probe in check.probes if probe.id == probe_id]
    return next(seen.figures[key] for seen in probes[0].observations if key in seen.figures)


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


def bound(pod: Obj) -> None:
    pod.get("spec", {})["nodeName"] = "gpu-0"


def allocated(claim: Obj) -> None:
    result = {"driver": "gpu.example.com", "pool": "gpu-0", "device": "gpu-0", "request": "device"}
    claim.setdefault("status", {}).setdefault("allocation", {"devices": {"results": [result]}})


def pending(pod: Obj) -> None:
    pod.get("spec", {}).pop("nodeName", None)
    pod["status"] = {"phase": "Pending"}


def label(key: str, value: str) -> Callable[[Obj], None]:
    def edit(node: Obj) -> None:
        node["metadata"].setdefault("labels", {})[key] = value

    return edit


def unlabelled(key: str) -> Callable[[Obj], None]:
    def edit(node: Obj) -> None:
        node["metadata"].get("labels", {}).pop(key, None)

    return edit


def allocatable(number: str) -> Callable[[Obj], None]:
    def edit(node: Obj) -> None:
        node["status"]["allocatable"]["nvidia.com/gpu"] = number

    return edit


def runtime(version: str) -> Callable[[Obj], None]:
    def edit(node: Obj) -> None:
        node["status"]["nodeInfo"]["containerRuntimeVersion"] = version

    return edit


DRIVER = "nvidia.com/cuda.driver-version.full"
DRA = "dra_support"
SECURE = "secure_accelerator_access"
MANAGED = "driver_runtime_management"
SHARING = "gpu_sharing"
VIRTUAL = "virtualized_accelerator"

FIRST_DEVICE = figure("distinct", "first").rpartition("/")[2]
HELD_NUMBER = next(
    seen.observed.rpartition(" ")[2]
    for check in golden("default").verdicts.checks
    for probe in check.probes
    for seen in probe.observations
    if (check.requirement, probe.id) == ("secure_accelerator_access", "granted")
    and seen.expected == "exactly 1 device node"
)

CASES: list[tuple[str, Substitution, str]] = [
    ("default", InJson(f"{DRA}/kinds_served", "/resource.k8s.io/v1", without_verb), "ResourceClaim lacks delete"),
    ("default", InJson(f"{DRA}/claim_allocated", "/resourceclaims/", unallocated), "allocated: nothing"),
    ("default", InJson(f"{DRA}/claim_allocated", "/resourceclaims/", reserved_for_another), "reserved for the pod"),
    ("default", InJson(f"{DRA}/claim_allocated", "/pods", pending), "is Pending"),
    (
        "default",
        InLogs(f"{DRA}/claim_allocated", r"GPU_DEVICE_\d+ is gpu-\d+", "A is b"),
        "only the claiming container has",
    ),
    ("default", InLogs(f"{DRA}/claim_allocated", r"(GPU_DEVICE_\d+) is gpu-\d+", r"\1 is gpu-9"), "nothing"),
    ("default", InJson(f"{DRA}/distinct", "/resourceclaims/", device("gpu-9")), "claiming container has: nothing"),
    (
        "default",
        Both(
            InJson(f"{DRA}/distinct", "/resourceclaims/", device(FIRST_DEVICE)),
            InLogs(f"{DRA}/distinct", r"(GPU_DEVICE_\d+) is gpu-\d+", rf"\1 is {FIRST_DEVICE}"),
        ),
        "another device",
    ),
    ("default", InJson(f"{DRA}/unsatisfiable", "/pods", bound), "was given node"),
    ("default", InJson(f"{DRA}/unsatisfiable", "/resourceclaims/", allocated), "an allocation"),
    ("default", InJson(f"{DRA}/released", "/resourceclaims", allocated), "still allocated"),
    ("default", InJson(f"{MANAGED}/advertised_is_installed", "/nodes/", label(DRIVER, "570.1.1")), "580.126.20"),
    ("default", InJson(f"{MANAGED}/advertised_is_installed", "/nodes/", unlabelled(DRIVER)), "nothing"),
    ("default", InJson(f"{MANAGED}/advertised_is_installed", "/nodes/", runtime("containerd")), "containerd"),
    ("default", InLogs(f"{MANAGED}/advertised_is_installed", "driver_exit=0", "driver_exit=9"), "exit 9"),
    ("default", InLogs(f"{MANAGED}/advertised_is_installed", "driver=580.126.20", "driver=error"), "error"),
    ("default", InLogs(f"{MANAGED}/advertised_is_installed", "devices=1", "devices=2"), "2 on gpu-0"),
    ("default", InLogs(f"{MANAGED}/advertised_is_installed", "runtime=13.0", "runtime=12.9"), "12.9"),
    ("default", InLogs(f"{MANAGED}/image_has_none", "tool=none", "tool=/usr/bin/nvidia-smi"), "/usr/bin/nvidia-smi"),
    ("default", InJson(f"{SHARING}/offered", "/nodes/", allocatable("8")), "8 on gpu-1"),
    ("default", InJson(f"{SHARING}/offered", "/nodes/", allocatable("1")), "1 on gpu-1"),
    ("default", InJson(f"{SHARING}/together", "/pods", pending), "is Pending"),
    ("default", InLogs(f"{SHARING}/together", "health_exit=0", "health_exit=6"), "exits: 6"),
    ("default", InLogs(f"{SHARING}/together", "uuid=", "uuid=other-", pod="/share-2"), "other-"),
    ("default", InJson(f"{SHARING}/one_more", "/pods", bound), "was given node"),
    ("default", InJson(f"{SHARING}/room_appears", "/pods", pending), "is Pending"),
    ("default", InLogs(f"{SHARING}/room_appears", "uuid=", "uuid=other-"), "other-"),
    ("default", InLogs(f"{SECURE}/granted", "devices=1", "devices=2"), "2: /dev/nvidia"),
    ("default", InLogs(f"{SECURE}/granted", "devices=1", "devices=0"), "0: /dev/nvidia"),
    ("default", InLogs(f"{SECURE}/not_granted", "devices=0", "devices=2"), "2"),
    ("default", InLogs(f"{SECURE}/sibling", "devices=0", "devices=1", "without"), "with 1, without 1"),
    (
        "default",
        InLogs(f"{SECURE}/another", "Operation not permitted", "No such device or address"),
        "other's: mknod made",
    ),
    ("default", InLogs(f"{SECURE}/another", "proc=.*", f"proc={HELD_NUMBER}"), "device numbers found"),
    ("default", InLogs(f"{SECURE}/another", "sysfs=absent", "sysfs=opened"), "opened"),
    ("default", InJson(f"{SECURE}/over_request", "/pods", bound), "was given node"),
    ("default", InJson(f"{SECURE}/released", "/pods", pending), "is Pending"),
    ("default", InLogs(f"{SECURE}/released", "devices=1", "devices=2"), "2"),
    ("vgpu", InJson(f"{VIRTUAL}/virtual_devices", "/pods", pending), "is Pending"),
    ("vgpu", InLogs(f"{VIRTUAL}/virtual_devices", "product=GRID T4-4Q", "product=Tesla T4"), "Tesla T4"),
    ("vgpu", InLogs(f"{VIRTUAL}/virtual_devices", "health_exit=0", "health_exit=9"), "exits: 9"),
    ("vgpu", InJson(f"{VIRTUAL}/one_more", "/pods", bound), "was given node"),
    ("vgpu", InJson(f"{VIRTUAL}/room_appears", "/pods", pending), "is Pending"),
]


def probe_of(verdicts: Verdicts, lane: str) -> ProbeVerdict:
    return next(probe for check in verdicts.checks for probe in check.probes if probe.lane == lane)


@pytest.mark.parametrize("name", BUNDLES)
def test_a_recorded_run_gives_its_verdicts_again(name: str) -> None:
    again = rejudge(golden(name), all_checks())
    assert again.problems == ()
    ran = [check for check in golden(name).verdicts.checks if check.started_us is not None]
    assert {check.outcome for check in ran} == {"passed"}


@pytest.mark.parametrize(("name", "changed", "reason"), CASES, ids=[f"{c[1].lane}-{n}" for n, c in enumerate(CASES)])  # type: ignore[attr-defined]
def test_a_changed_answer_fails_the_probe_for_its_reason(name: str, changed: Any, reason: str) -> None:
    probe = probe_of(replay(golden(name), all_checks(), changed), changed.lane)
    assert changed.done, "the substitution found nothing to change"
    assert probe.outcome == "failed", probe
    worst = next(seen for seen in probe.observations if seen.outcome == "failed")
    assert reason in f"{worst.expected} {worst.observed} {worst.cause}", worst


def test_every_probe_has_a_case() -> None:
    lanes = {f"{check.requirement}/{probe.id}" for check in all_checks().values() for probe in check.probes}
    assert lanes == {case[1].lane for case in CASES}  # type: ignore[attr-defined]
