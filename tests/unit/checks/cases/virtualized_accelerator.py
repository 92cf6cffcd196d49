"""Answers that must fail the probes of virtual devices."""

from __future__ import annotations

from tests.support.substitutions import InJson, InLogs
from tests.unit.checks.cases.contract import Case
from tests.unit.checks.cases.edits import bound, pending

VIRTUAL = "virtualized_accelerator"


CASES = (
    Case(InJson(f"{VIRTUAL}/virtual_devices", "/pods", pending), "is Pending", bundle="vgpu"),
    Case(InLogs(f"{VIRTUAL}/virtual_devices", "product=GRID T4-4Q", "product=Tesla T4"), "Tesla T4", bundle="vgpu"),
    Case(InLogs(f"{VIRTUAL}/virtual_devices", "uuid=.*", "uuid=GPU-X"), "GPU-X, GPU-X", bundle="vgpu"),
    Case(InLogs(f"{VIRTUAL}/virtual_devices", "health_exit=0", "health_exit=9"), "exits: 9", bundle="vgpu"),
    Case(InJson(f"{VIRTUAL}/one_more", "/pods", bound), "was given node", bundle="vgpu"),
    Case(InJson(f"{VIRTUAL}/room_appears", "/pods", pending), "is Pending", bundle="vgpu"),
)
