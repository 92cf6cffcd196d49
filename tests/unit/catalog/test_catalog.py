"""The catalog holds the facts of the official forms, and gives helpful errors."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
import yaml

from aiconform import catalog
from aiconform.catalog.releases import CONDITIONS, DESCRIPTIONS, FORM_SHA256, LEVELS, Condition
from aiconform.errors import UsageError

FORMS = Path(__file__).parents[4] / "shared" / "checklists"


def form(release: str) -> bytes:
    path = FORMS / f"AIConformance-{release}.yaml"
    if not path.is_file():
        pytest.skip(f"the official form of {release} is not beside the repository")
    return path.read_bytes()


@pytest.mark.parametrize("release", catalog.releases())
def test_ids_levels_and_categories_are_those_of_the_official_form(release: str) -> None:
    official = {
        (item["id"], item["level"], category)
        for category, items in yaml.safe_load(form(release))["spec"].items()
        for item in items
    }
    ours = {(item.id, item.level, item.category) for item in catalog.requirements(release)}
    assert ours == official


@pytest.mark.parametrize("release", catalog.releases())
def test_order_of_categories_is_that_of_the_official_form(release: str) -> None:
    official = list(yaml.safe_load(form(release))["spec"])
    ours = list(dict.fromkeys(item.category for item in catalog.requirements(release)))
    assert ours == [category for category in official if category in ours]


@pytest.mark.parametrize("release", FORM_SHA256)
def test_digest_recognises_the_official_form(release: str) -> None:
    assert hashlib.sha256(form(release)).hexdigest() == FORM_SHA256[release]


@pytest.mark.parametrize("release", catalog.releases())
def test_a_condition_is_worded_in_the_official_form_and_nowhere_else(release: str) -> None:
    """The forms say "if the platform" or "for accelerators that"; what is asked so depends on something."""
    said = {
        item["id"]
        for items in yaml.safe_load(form(release))["spec"].values()
        for item in items
        if re.match(r"(If|For) [a-z ]*(platform|accelerator|communication|pod-to-pod)", item["description"])
    }
    assert {item.id for item in catalog.requirements(release) if item.condition} == said


@pytest.mark.parametrize(
    ("release", "must", "should"), [("1.33", 8, 1), ("1.34", 9, 0), ("1.35", 9, 3), ("1.36", 8, 6), ("1.37", 8, 7)]
)
def test_how_much_a_release_asks(release: str, must: int, should: int) -> None:
    levels = [item.level for item in catalog.requirements(release)]
    assert (levels.count("MUST"), levels.count("SHOULD")) == (must, should)


def test_sixteen_requirements_over_all_releases() -> None:
    assert len({name for names in LEVELS.values() for name in names}) == 16


def test_a_condition_says_what_shows_that_it_is_false() -> None:
    for item in (item for release in catalog.releases() for item in catalog.requirements(release)):
        assert bool(item.condition) == bool(item.why_na), item.id


def test_a_condition_is_that_of_the_newest_wording_up_to_the_release(monkeypatch: pytest.MonkeyPatch) -> None:
    worded = (Condition("new", "b", "1.36"), Condition("old", "a", "1.34"))
    monkeypatch.setitem(CONDITIONS, "robust_controller", worded)
    found = [catalog.get(release, "robust_controller").condition for release in catalog.releases()]
    assert found == ["", "old", "old", "new", "new"]


def test_conditions_are_of_requirements_that_are_asked_then() -> None:
    for name, worded in CONDITIONS.items():
        assert all(name in LEVELS[one.since] for one in worded)


def test_a_form_that_was_not_at_hand_is_not_said_to_be_known() -> None:
    assert catalog.form_known("1.35")
    assert not catalog.form_known("1.37")


def test_every_requirement_is_described_and_every_description_is_used() -> None:
    assert {name for names in LEVELS.values() for name in names} == set(DESCRIPTIONS)


def test_kar_numbers_are_distinct() -> None:
    numbers = [about.kar for about in DESCRIPTIONS.values() if about.kar]
    assert len(set(numbers)) == len(numbers)


def test_unknown_release_names_the_known_ones() -> None:
    with pytest.raises(UsageError) as told:
        catalog.requirements("1.12")
    assert "1.35" in told.value.hint
    assert told.value.exit_code == 2


def test_misspelt_requirement_is_guessed() -> None:
    with pytest.raises(UsageError) as told:
        catalog.get("1.35", "gang_schedulin")
    assert told.value.hint == "did you mean gang_scheduling?"


def test_requirement_of_another_release_says_which() -> None:
    with pytest.raises(UsageError) as told:
        catalog.get("1.33", "gpu_sharing")
    assert "1.35" in told.value.hint
    assert "--release" in told.value.hint


def test_nonsense_requirement_points_to_the_list() -> None:
    with pytest.raises(UsageError) as told:
        catalog.get("1.35", "zzz")
    assert told.value.hint == "aiconform catalog lists them"


def test_digest_changes_with_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    before = catalog.digest()
    assert before == catalog.digest()
    monkeypatch.setitem(LEVELS["1.35"], "gpu_sharing", "MUST")
    assert catalog.digest() != before
