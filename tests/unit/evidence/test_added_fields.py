"""Fields that earlier bundles do not have: left out at their defaults, so those bundles keep their one form."""

from __future__ import annotations

import json

from tests.support.bundles import make_plan
from tests.support.runs import CLUSTER

from aiconform.evidence.documents import ClusterFacts, Plan


def test_the_plan_names_what_was_told_only_where_something_was() -> None:
    usual = make_plan()
    assert "options" not in json.loads(usual.model_dump_json())
    other = usual.model_copy(update={"options": {"allocation": "dra"}})
    assert json.loads(other.model_dump_json())["options"] == {"allocation": "dra"}
    assert Plan.model_validate_json(usual.model_dump_json()).options == {}


def test_what_is_known_of_a_cluster_keeps_its_form_where_nothing_was_added() -> None:
    assert {"asked_for", "left_alone"} & set(ClusterFacts().model_dump()) == set()
    assert CLUSTER.model_dump()["left_alone"] == ["1 nvidia.com/gpu on gpu-9: taint team"]
