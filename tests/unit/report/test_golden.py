"""Reports of real runs on the local cluster that were kept."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from tests.unit.report.html import Page

from aiconform.evidence.reader import open_bundle
from aiconform.report import render_html, render_json, render_junit, render_markdown
from aiconform.report.document import shipped_schema

GOLDEN = sorted((Path(__file__).parents[2] / "golden").glob("*.tar.gz"))


@pytest.mark.parametrize("archive", GOLDEN, ids=lambda path: path.name)
def test_every_format_tells_the_whole_run(archive: Path) -> None:
    bundle = open_bundle(archive)
    html, markdown = render_html(bundle), render_markdown(bundle)
    page, junit, document = Page(html), ET.fromstring(render_junit(bundle)), json.loads(render_json(bundle))
    jsonschema.Draft202012Validator(json.loads(shipped_schema())).validate(document)
    assert len(html) < 3_000_000
    assert "SIMULATED" in page.text
    for check in bundle.plan.checks:
        assert check.requirement in page.values("id")
        assert junit.find(f"testsuite[@name='{check.requirement}']") is not None
        escaped = check.requirement.replace("_", "\\_")
        assert f"## {escaped}\n" in markdown
    outcomes = {check.requirement: check.outcome for check in bundle.verdicts.checks}
    assert {part["id"]: part["verdict"] for part in document["requirements"]} == outcomes


@pytest.mark.parametrize("archive", GOLDEN, ids=lambda path: path.name)
def test_what_an_observation_rests_on_is_always_shown(archive: Path) -> None:
    bundle = open_bundle(archive)
    document = json.loads(render_json(bundle))
    cited = [
        reference
        for part in document["requirements"]
        for probe in part["probes"]
        for observation in probe["observations"]
        for reference in observation["evidence"]
    ]
    assert len(cited) >= 3
    assert all(reference["request"] for reference in cited)
    assert "(not in the log)" not in render_html(bundle)
