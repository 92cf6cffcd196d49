from __future__ import annotations

import json

import pytest

from aiconform.errors import BundleError
from aiconform.evidence import reader
from aiconform.evidence.documents import CheckVerdict, ClusterFacts, Plan
from aiconform.evidence.strictjson import canonical


def a_plan(**changes: object) -> bytes:
    """As a version wrote it that knew nothing but what every plan has."""
    check = {
        "requirement": "dra_support",
        "title": "DRA",
        "category": "accelerators",
        "level": "MUST",
        "asks": "claims",
    }
    required = {"run": "0" * 16, "tool": "0.0.9", "release": "1.35", "catalog_sha256": "", "judge_sha256": ""}
    plan = {**required, "format": "aiconform-bundle/1", "created": "2026-01-01T00:00:00Z", "command": ["run"]}
    return canonical({**plan, "server_ca_sha256": "", "images": {}, "checks": [check], **changes})


def test_what_an_earlier_version_did_not_know_has_its_default() -> None:
    plan = reader._document("plan.json", a_plan(), Plan)
    assert plan.checks[0].headline == ""
    assert plan.checks[0].probes == []


def test_a_document_without_what_came_later_keeps_its_canonical_form() -> None:
    plan = reader._document("plan.json", a_plan(), Plan)
    assert (plan.options, plan.unusual) == ({}, [])
    told = {"product": "k0s"}
    facts = ClusterFacts.model_validate(told)
    assert facts.model_dump(mode="json", exclude_unset=True) == told
    assert (facts.capabilities, facts.asked_for, facts.left_alone) == ([], "", [])
    assert facts == ClusterFacts(product="k0s")  # so that a replay gives what was sealed


@pytest.mark.parametrize("model", [Plan, ClusterFacts])
def test_this_version_writes_every_field_it_knows(model: type[Plan | ClusterFacts]) -> None:
    made = Plan.model_validate_json(a_plan()) if model is Plan else ClusterFacts()
    assert set(made.model_dump(mode="json")) == set(model.model_fields)


def test_what_this_version_does_not_know_is_refused() -> None:
    with pytest.raises(BundleError):
        reader._document("plan.json", a_plan(surprise="x"), Plan)


def test_what_every_version_wrote_must_be_there() -> None:
    verdict = {"requirement": "dra_support", "level": "MUST"}
    assert "outcome" in CheckVerdict.model_json_schema()["required"]
    with pytest.raises(BundleError):
        reader._document("verdict", json.dumps(verdict).encode(), CheckVerdict)
