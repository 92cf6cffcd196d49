"""Which images ran, by what nodes say in the recorded pods."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.report.html import Page
from tests.unit.report.sample import sample, sample_plan

from aiconform.evidence.reader import open_bundle
from aiconform.report import render_html
from aiconform.report.images import Ran, ran

GOLDEN = Path(__file__).parents[2] / "golden"
ONE, OTHER = "sha256:" + "1" * 64, "sha256:" + "2" * 64


def test_a_recorded_run_names_one_image_for_every_role() -> None:
    found = ran(open_bundle(GOLDEN / "default.tar.gz"))
    assert [seen.role for seen in found] == ["probe", "python", "ray"]
    assert [len(seen.ids) for seen in found] == [1, 1, 1]
    assert len({seen.ids for seen in found}) == 3
    assert all(seen.verdict == "not pinned; this is what ran" for seen in found)


@pytest.mark.parametrize(
    ("reference", "ids", "verdict"),
    [
        ("a:1", (), "no recorded pod"),
        ("a:1", (ONE,), "not pinned; this is what ran"),
        ("a:1", (ONE, OTHER), "different digests"),
        (f"a:1@{ONE}", (f"docker.io/library/a@{ONE}",), "as pinned"),
        (f"a:1@{ONE}", (f"docker-pullable://a@{ONE}", ONE), "as pinned"),
        (f"a:1@{ONE}", (OTHER,), "another digest than the pinned one"),
    ],
)
def test_what_ran_is_held_against_what_was_pinned(reference: str, ids: tuple[str, ...], verdict: str) -> None:
    assert verdict in Ran("probe", reference, ids).verdict


def test_the_page_tells_what_ran() -> None:
    text = Page(render_html(open_bundle(GOLDEN / "vgpu.tar.gz"))).text
    assert ran(open_bundle(GOLDEN / "vgpu.tar.gz"))[0].ids[0] in text
    assert "no recorded pod shows it" in text, "python was not used in that run"


def test_pods_of_others_do_not_count() -> None:
    bundle = sample()
    other = sample(sample_plan().model_copy(update={"run": "f" * 16}))
    assert [seen.reference for seen in ran(other)] == [seen.reference for seen in ran(bundle)]
    assert all(not seen.ids for seen in ran(other))
