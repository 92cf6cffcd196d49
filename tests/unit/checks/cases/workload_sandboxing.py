"""Answers that must fail the probes of sandboxed pods."""

from __future__ import annotations

from tests.support.substitutions import Both, InJson, InLogs
from tests.unit.checks.cases.contract import Case, figure
from tests.unit.checks.cases.edits import Obj, pending

SANDBOX = "workload_sandboxing"
KERNEL = f"{SANDBOX}/kernel"
POD = "/sandboxed-"
BUNDLE = "sandbox"


def case(change: InJson | InLogs | Both, reason: str, outcome: str = "failed") -> Case:
    return Case(change, reason, outcome, BUNDLE)  # type: ignore[arg-type]


BOOT = figure(SANDBOX, "kernel", "beside it", bundle=BUNDLE).partition("boot ")[2].partition(",")[0]
"""Of the node, as the plain pod told it."""


def another_boot(node: Obj) -> None:
    node["status"]["nodeInfo"]["bootID"] = "00000000-0000-0000-0000-000000000000"


def logs(probe: str, old: str, new: str, pod: str = POD) -> InLogs:
    return InLogs(f"{SANDBOX}/{probe}", old, new, pod=pod)


CASES = (
    case(InJson(KERNEL, "/pods", pending), "is Pending"),
    case(logs("kernel", "boot=.*", f"boot={BOOT}"), f"boot {BOOT}"),
    case(Both(logs("kernel", "boot=.*", ""), logs("kernel", "version=.*", "version=")), "boot not told"),
    case(logs("kernel", "boot=.*", "", "/plain-"), "nothing to compare with", "undecided"),
    case(InJson(KERNEL, "/nodes/", another_boot), "nothing to compare with", "undecided"),
    case(logs("processes", "process=sleep|process=sh", "process=kubelet\nprocess=sh"), "kubelet"),
    case(logs("processes", "process=", "p="), "cannot see processes", "undecided"),
    case(logs("memory", "/dev/mem 0", "/dev/mem 1"), "read from: /dev/mem"),
    case(logs("memory", "made by itself 0", "made by itself 1"), "made by itself"),
    case(logs("memory", "/dev/zero 1", "/dev/zero 0"), "what it could read", "undecided"),
    case(logs("memory", "memory=/dev/mem.*", ""), "what it could read", "undecided"),
    case(logs("files", "own=", "file=/var/lib/kubelet\nown="), "/var/lib/kubelet"),
    case(logs("files", "own=.*", ""), "what files it finds", "undecided"),
    case(logs("network", "link=eth0", "link=eth0\nlink=docker0"), "docker0"),
    case(logs("network", "link=.*", ""), "told no interface", "undecided"),
    case(InJson(f"{SANDBOX}/again", "/pods", pending), "is Pending"),
)
