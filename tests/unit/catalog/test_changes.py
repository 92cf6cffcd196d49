"""What differs between two releases is told, in both directions, and nothing else."""

from __future__ import annotations

import pytest

from aiconform.catalog import changes
from aiconform.catalog.changes import Changed
from aiconform.catalog.releases import CONDITIONS, LEVELS, Condition
from aiconform.errors import UsageError


def ids(requirements) -> list[str]:
    return [requirement.id for requirement in requirements]


def test_from_135_to_137() -> None:
    found = changes.between("1.35", "1.37")
    assert ids(found.removed) == ["dra_support"]
    assert sorted(ids(found.added)) == [
        "advanced_inference_ingress",
        "disaggregated_inference",
        "high_performance_networking",
        "workload_sandboxing",
    ]
    assert (found.levels, found.conditions) == ((), ())
    assert found.totals == {"1.35": {"MUST": 9, "SHOULD": 3}, "1.37": {"MUST": 8, "SHOULD": 7}}


def test_a_level_that_changed() -> None:
    found = changes.between("1.33", "1.34")
    assert (found.added, found.removed) == ((), ())
    assert found.levels == (Changed("dra_support", "SHOULD", "MUST"),)


def test_backwards_what_was_added_is_removed() -> None:
    there, back = changes.between("1.33", "1.35"), changes.between("1.35", "1.33")
    new = ["driver_runtime_management", "gpu_sharing", "virtualized_accelerator"]
    assert ids(there.added) == ids(back.removed) == new
    assert back.levels == (Changed("dra_support", "MUST", "SHOULD"),)


def test_a_condition_that_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CONDITIONS, "robust_controller", (Condition("an operator is there", "say so", "1.36"),))
    assert changes.between("1.35", "1.36").conditions == (Changed("robust_controller", "", "an operator is there"),)


def test_a_release_differs_in_nothing_from_itself() -> None:
    for release in LEVELS:
        found = changes.between(release, release)
        assert (found.added, found.removed, found.levels, found.conditions) == ((), (), (), ())


def test_an_unknown_release_is_a_usage_error() -> None:
    with pytest.raises(UsageError):
        changes.between("1.35", "1.99")
