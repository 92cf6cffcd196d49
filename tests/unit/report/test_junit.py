# ruff: noqa: E501 - texts are kept whole
from __future__ import annotations

import dataclasses
from xml.etree import ElementTree as ET

import pytest
from tests.unit.report.sample import MemoryBundle, sample

from aiconform.evidence.documents import Verdicts
from aiconform.report import render_junit


@pytest.fixture(scope="module")
def root() -> ET.Element:
    return ET.fromstring(render_junit(sample()))


def suite(root: ET.Element, name: str) -> ET.Element:
    found = root.find(f"testsuite[@name='{name}']")
    assert found is not None
    return found


def told(case: ET.Element) -> str:
    return next((child.tag for child in case if child.tag in {"failure", "error", "skipped"}), "passed")


def test_a_suite_per_requirement_a_case_per_probe(root: ET.Element) -> None:
    assert len(root.findall("testsuite")) == 12
    cases = [
        (case.get("name", "").split(":")[0], told(case))
        for case in suite(root, "secure_accelerator_access").iter("testcase")
    ]
    assert cases == [
        ("control", "passed"), ("no_request", "failure"), ("sibling", "passed"), ("over_request", "passed"), ("given_back", "skipped"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "tag", "message"),
    [
        ("driver_runtime_management", "error", "undecided: node gpu-0 cannot be read: 500 after 4 tries"),
        ("virtualized_accelerator", "skipped", "n/a: no accelerator on this cluster is virtual: nothing to request"),
        ("gang_scheduling", "skipped", "not run: no check for it in this version"),
    ],
)
def test_what_did_not_pass_never_looks_passed(root: ET.Element, name: str, tag: str, message: str) -> None:
    found = suite(root, name).find(f"testcase/{tag}")
    assert found is not None
    assert found.get("message") == message


def test_totals_add_up(root: ET.Element) -> None:
    cases = list(root.iter("testcase"))
    assert int(root.get("tests", "")) == len(cases)
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert int(root.get(name, "")) == sum(told(case) == tag for case in cases) > 0


def test_simulated_is_marked(root: ET.Element) -> None:
    assert root.get("name") == "aiconform 1.35 (simulated accelerators)"
    assert {found.get("value") for found in root.iter("property") if found.get("name") == "simulated"} == {"true"}


def test_each_suite_has_the_notes_that_the_page_has() -> None:
    bundle: MemoryBundle = sample()
    unusual = ["the server's certificate was not checked", "through a proxy"]
    told = dataclasses.replace(bundle, plan=bundle.plan.model_copy(update={"unusual": unusual}))
    for found in ET.fromstring(render_junit(told)).findall("testsuite"):
        notes = [one.get("value") for one in found.iter("property") if one.get("name") == "note"]
        assert notes[:2] == unusual


def test_a_requirement_worse_than_its_probes_has_a_case_that_says_so() -> None:
    bundle: MemoryBundle = sample()
    dump = bundle.verdicts.model_dump()
    dump["checks"][0] |= {"outcome": "undecided", "reason": "clean-up left pod/x"}
    root = ET.fromstring(render_junit(dataclasses.replace(bundle, verdicts=Verdicts.model_validate(dump))))
    last = list(suite(root, "dra_support").iter("testcase"))[-1]
    assert last.get("name") == "the requirement as a whole"
    error = last.find("error")
    assert error is not None
    assert error.get("message") == "undecided: clean-up left pod/x"
