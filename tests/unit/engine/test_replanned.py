"""A plan held against what its release asks and what this version's checks do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from aiconform.checks import all_checks
from aiconform.engine.planner import plan
from aiconform.engine.replanned import Replanned, replanned
from aiconform.evidence.documents import Plan

Change = Callable[[dict[str, Any]], object]
OTHER = "0" * 64


def planned(release: str = "1.35", change: Change = lambda _plan: None) -> Plan:
    """A plan of a whole release as this version makes it, then changed."""
    made = plan(
        run="0" * 16, release=release, requirements=(), checks=all_checks(), created=datetime(2026, 11, 24, tzinfo=UTC),
        command=[], server_ca_sha256="", images={}, options={},
    ).model_dump(mode="json")  # fmt: skip
    change(made)
    return Plan.model_validate(made)


def sharing(document: dict[str, Any]) -> dict[str, Any]:
    return next(check for check in document["checks"] if check["requirement"] == "gpu_sharing")


@pytest.mark.parametrize("release", ["1.33", "1.34", "1.35", "1.36", "1.37"])
def test_a_plan_of_this_version_is_made_again(release: str) -> None:
    assert replanned(planned(release), all_checks()) == Replanned()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda p: sharing(p).update(title="Sharing"), "title"),
        (lambda p: sharing(p).update(kar="KAR-0001"), "kar"),
        (lambda p: sharing(p).update(asks="Nothing much."), "asks"),
        (lambda p: sharing(p).update(limits=[]), "limits"),
        (lambda p: sharing(p).update(headline="all is well"), "headline"),
        (lambda p: sharing(p)["probes"][0].update(title="all is well"), "probes"),
        (lambda p: sharing(p)["probes"][0].update(fails_if="never"), "probes"),
        (lambda p: sharing(p)["probes"][0].update(kind="recovery"), "probes"),
        (lambda p: sharing(p)["probes"][0].update(timeout_s=1), "probes"),
    ],
)
def test_words_of_the_same_code_are_its_own(change: Change, field: str) -> None:
    says = f"gpu_sharing: {field} not as this version plans them"
    assert replanned(planned(change=change), all_checks()) == Replanned(refuted=(says,))

    def of_another_version(document: dict[str, Any]) -> None:
        change(document)
        document.update(catalog_sha256=OTHER)
        sharing(document).update(code_sha256=OTHER)

    assert replanned(planned(change=of_another_version), all_checks()) == Replanned(untold=(says,))


@pytest.mark.parametrize(("field", "value"), [("level", "MUST"), ("category", "operator")])
def test_what_a_release_asks_is_the_same_in_every_version(field: str, value: str) -> None:
    def change(document: dict[str, Any]) -> None:
        document.update(catalog_sha256=OTHER, judge_sha256=OTHER, tool="0.0.1")
        sharing(document).update({field: value, "code_sha256": OTHER})

    found = replanned(planned(change=change), all_checks())
    assert found.untold == ()
    assert [f"planned with {field} {value}, which is " in what for what in found.refuted] == [True]


def test_limits_may_come_from_the_engine_too() -> None:
    def change(document: dict[str, Any]) -> None:
        document.update(judge_sha256=OTHER)
        sharing(document).update(limits=[])

    found = replanned(planned(change=change), all_checks())
    assert (found.refuted, len(found.untold)) == ((), 1)


def test_a_requirement_that_the_release_does_not_ask_was_not_planned() -> None:
    found = replanned(planned("1.35", lambda p: p.update(release="1.33")), all_checks())
    assert "release 1.33 asks no requirement 'gpu_sharing'" in found.refuted


def test_an_earlier_version_may_have_had_no_check_for_it() -> None:
    def change(document: dict[str, Any]) -> None:
        sharing(document).update(code_sha256="", probes=[], limits=[], headline="", not_run="no check for it yet")

    found = replanned(planned(change=change), all_checks())
    assert (found.refuted, len(found.untold)) == ((), 1)
