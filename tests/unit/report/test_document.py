from __future__ import annotations

import copy
import dataclasses
import json

import jsonschema
import pytest
from tests.unit.report.sample import MemoryBundle, pod, sample

from aiconform.evidence.records import ResponseData
from aiconform.report import DEFAULT_NAMES, render_json
from aiconform.report.document import report_schema, shipped_schema


@pytest.fixture(scope="module")
def bundle() -> MemoryBundle:
    return sample()


def test_the_shipped_schema_is_the_one_of_the_models() -> None:
    """Write it anew with: python -m aiconform.report.document > src/aiconform/report/report-1.schema.json."""
    assert json.loads(shipped_schema()) == report_schema()
    assert shipped_schema() == json.dumps(report_schema(), indent=2, sort_keys=True) + "\n"


def test_the_document_keeps_to_its_schema(bundle: MemoryBundle) -> None:
    schema = json.loads(shipped_schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    document = json.loads(render_json(bundle))
    jsonschema.Draft202012Validator(schema).validate(document)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate({**document, "simulated": "no"})


def test_the_document_tells_the_run(bundle: MemoryBundle) -> None:
    document = json.loads(render_json(bundle))
    assert document["format"] == "aiconform-report/1"
    assert document["simulated"] is True
    assert document["counts"] == {"failed": 1, "n/a": 1, "not run": 7, "passed": 2, "undecided": 1}
    assert document["digests"]["bundle"] == bundle.root_sha256
    access = next(part for part in document["requirements"] if part["id"] == "secure_accelerator_access")
    assert [probe["verdict"] for probe in access["probes"]] == ["passed", "failed", "passed", "passed", "not run"]
    observation = access["probes"][1]["observations"][0]
    assert observation["observed"] == "2 device nodes: /dev/nvidia0, /dev/nvidia1"
    reference = observation["evidence"][0]
    assert reference["request"] == "GET /api/v1/namespaces/aiconform-7f3c/pods/bare/log?container=main"
    assert bundle.blobs[reference["answer_sha256"]] == b"2\ndone\n"
    assert access["cleanup"]["left"] == ["pod/bare (finalizers: example.com/hold)"]


def test_the_document_has_the_caveats_of_the_page(bundle: MemoryBundle) -> None:
    unusual = ["the server's certificate was not checked", "through a proxy"]
    images = {"probe": "registry.example/probe:1", "server": "registry.example/server@sha256:" + "5" * 64}
    plan = bundle.plan.model_copy(update={"unusual": unusual, "images": images})
    told = dataclasses.replace(copy.deepcopy(bundle), plan=plan)
    body = pod("one", phase="Running")
    body["spec"]["containers"][0]["image"] = images["server"]
    body["status"]["containerStatuses"] = [{"name": "main", "imageID": "registry.example/server@sha256:" + "6" * 64}]
    told.append("discovery", ResponseData(status=200, body=told.blob(json.dumps(body).encode())))
    document = json.loads(render_json(told))
    assert document["notes"][:2] == unusual
    probe, server = document["ran"]
    assert (probe["role"], probe["ids"], probe["finding"]) == ("probe", [], "no recorded pod shows it")
    assert server["ids"] == ["registry.example/server@sha256:" + "6" * 64]
    assert server["finding"].startswith("another digest than the pinned one")


def test_no_default_name_is_one_that_a_submission_s_validator_reads() -> None:
    assert not {name.lower() for name in DEFAULT_NAMES.values()} & {"junit.xml", "results.json", "e2e.log"}
