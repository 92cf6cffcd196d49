"""Every release can be run: whatever it asks has a check, and a plan holds it at the level of that release."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from aiconform import catalog
from aiconform.checks import all_checks
from aiconform.engine import Facts
from aiconform.engine.planner import plan


@pytest.mark.parametrize("release", catalog.releases())
def test_a_plan_for_a_release_has_all_that_it_asks(release: str) -> None:
    made = plan(
        run="0" * 16,
        release=release,
        requirements=(),
        checks=all_checks(),
        created=datetime.now(UTC),
        command=[],
        server_ca_sha256="",
        images={},
        options={},
    )
    asked = {item.id: item.level for item in catalog.requirements(release)}
    assert {check.requirement: check.level for check in made.checks} == asked
    assert [check.requirement for check in made.checks if check.not_run or not check.probes] == []


def test_there_is_no_check_for_what_no_release_asks() -> None:
    asked = {item.id for release in catalog.releases() for item in catalog.requirements(release)}
    assert set(all_checks()) == asked


def test_only_what_is_asked_under_a_condition_can_be_not_applicable() -> None:
    """On a cluster that has nothing, and on one that may not be looked at."""
    nothing = Facts("v1.35.3", "", "uid", frozenset(), (), (), (), (), (), (), ())
    unread = replace(nothing, gaps=("runtimeclasses: 403 Forbidden", "nodepools: 403 Forbidden"))
    for requirement, check in all_checks().items():
        gaps = [gap for facts in (nothing, unread) for need in check.needs if (gap := need(facts))]
        asked = [catalog.get(one, requirement) for one in catalog.releases() if _asks(one, requirement)]
        if any(gap.outcome == "n/a" for gap in gaps):
            assert all(item.condition for item in asked), requirement


def _asks(release: str, requirement: str) -> bool:
    return any(item.id == requirement for item in catalog.requirements(release))
