"""What a case is, and the recorded runs that cases change."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

from tests.support.substitutions import Both, InJson, InLogs, InText

from aiconform.checks import all_checks
from aiconform.engine import Check
from aiconform.evidence.reader import Bundle, open_bundle

GOLDEN = Path(__file__).parents[3] / "golden"
BUNDLES = {path.name.removesuffix(".tar.gz"): path for path in sorted(GOLDEN.glob("*.tar.gz"))}


ELSEWHERE = {
    "advanced_inference_ingress/accepted": "test_conformance_report",
    "advanced_inference_ingress/suite": "test_conformance_report",
    "high_performance_networking/traits": "test_unproven",
    "high_performance_networking/used": "test_unproven",
    "disaggregated_inference/apart": "test_unproven",
    "disaggregated_inference/both": "test_unproven",
}
"""Probes that pass on no cluster of ours, so that none was recorded: the module beside ``cases`` that tries them."""


@cache
def golden(name: str) -> Bundle:
    """A recorded run of a good cluster."""
    return open_bundle(BUNDLES[name])


@dataclass(frozen=True)
class Case:
    """A changed answer, and how its probe (the lane it is in) must end.

    Attributes:
        change: what is changed, in the lane ``<requirement>/<probe>``.
        reason: in the words of the observation that did not pass.
        outcome: what that observation came to.
        bundle: the recorded run.
    """

    change: InJson | InLogs | InText | Both
    reason: str
    outcome: Literal["failed", "undecided"] = "failed"
    bundle: str = "default"


def alone(requirement: str) -> dict[str, Check]:
    """All checks, of which only this one asks anything: reading the others' lanes again takes most of a replay.

    The others are there still, because the namespaces of a run follow from what its checks need.
    """
    return {name: check if name == requirement else replace(check, probes=[]) for name, check in all_checks().items()}


def figure(requirement: str, probe: str, key: str, *, bundle: str = "default") -> str:
    """A value that a recorded observation shows."""
    probes = {p.id: p for c in golden(bundle).verdicts.checks if c.requirement == requirement for p in c.probes}
    return next(seen.figures[key] for seen in probes[probe].observations if key in seen.figures)
