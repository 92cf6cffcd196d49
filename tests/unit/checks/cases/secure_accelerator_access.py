"""Answers that must fail the probes of isolated devices."""

from __future__ import annotations

from tests.support.substitutions import Both, InJson, InLogs
from tests.unit.checks.cases.contract import Case, golden
from tests.unit.checks.cases.edits import bound, classless, pending

SECURE = "secure_accelerator_access"
HELD_NUMBER = next(
    seen.observed.rpartition(" ")[2]
    for check in golden("default").verdicts.checks
    for probe in check.probes
    for seen in probe.observations
    if (check.requirement, probe.id) == ("secure_accelerator_access", "granted")
    and seen.expected == "exactly 1 device node"
)
HELD_UUID = next(
    seen.observed
    for check in golden("default").verdicts.checks
    for probe in check.probes
    for seen in probe.observations
    if (check.requirement, probe.id, seen.expected) == ("secure_accelerator_access", "granted", "one UUID")
)

CASES = (
    Case(InLogs(f"{SECURE}/granted", "devices=1", "devices=2"), "2: /dev/nvidia"),
    Case(Both(InLogs(f"{SECURE}/granted", "devices=1", "devices=0"), classless()), "0: /dev/nvidia"),
    Case(InLogs(f"{SECURE}/not_granted", "devices=0", "devices=2"), "2"),
    Case(InLogs(f"{SECURE}/sibling", "devices=0", "devices=1", "without"), "with 1, without 1"),
    Case(InLogs(f"{SECURE}/another", "Operation not permitted", "No such device or address"), "other's: mknod made"),
    Case(InLogs(f"{SECURE}/another", "proc=.*", f"proc={HELD_NUMBER}"), "device numbers found"),
    Case(InLogs(f"{SECURE}/another", "sysfs=absent", "sysfs=opened"), "opened"),
    Case(InLogs(f"{SECURE}/another", "by_name=.*", f"by_name={HELD_UUID}"), "names it"),
    Case(InJson(f"{SECURE}/over_request", "/pods", bound), "was given node"),
    Case(InJson(f"{SECURE}/released", "/pods", pending), "is Pending"),
    Case(InLogs(f"{SECURE}/released", "devices=1", "devices=2"), "2"),
)
