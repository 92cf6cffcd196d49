"""Every release can be run: whatever it asks has a check, and a plan holds it at the level of that release."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from aiconform import catalog
from aiconform.checks import all_checks
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
    )
    asked = {item.id: item.level for item in catalog.requirements(release)}
    assert {check.requirement: check.level for check in made.checks} == asked
    assert [check.requirement for check in made.checks if check.not_run or not check.probes] == []


def test_there_is_no_check_for_what_no_release_asks() -> None:
    asked = {item.id for release in catalog.releases() for item in catalog.requirements(release)}
    assert set(all_checks()) == asked
