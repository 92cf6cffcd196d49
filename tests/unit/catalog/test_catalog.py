"""The catalog holds the facts of the official forms, and gives helpful errors."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import yaml

from aiconform import catalog
from aiconform.catalog.releases import DESCRIPTIONS, FORM_SHA256, LEVELS
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


def test_release_135_asks_nine_must_and_three_should() -> None:
    levels = [item.level for item in catalog.requirements("1.35")]
    assert (levels.count("MUST"), levels.count("SHOULD")) == (9, 3)


def test_every_requirement_is_described_and_every_description_is_used() -> None:
    asked = {name for names in LEVELS.values() for name in names}
    unused = set(DESCRIPTIONS) - asked
    assert asked <= set(DESCRIPTIONS)
    assert unused <= {"workload_sandboxing"}, "described, but in no release known"


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
