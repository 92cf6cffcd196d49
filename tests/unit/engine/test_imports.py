"""Files that a user gives: they are in the bundle as they were, and a replay finds them there."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.engine.test_record_and_replay import Recorded, check_of

from aiconform.engine import Context
from aiconform.engine.api import import_path
from aiconform.engine.replay import ReplayLane, Substitution
from aiconform.engine.undecidable import UndecidableError
from aiconform.evidence.records import RequestData, ResponseData
from aiconform.report import render_html, render_markdown

FILE = b"kind: Report\nnode: 10.0.0.1 ip-10-0-0-1.internal\n"
"""With names that an answer of a cluster would lose."""


async def reads(ctx: Context) -> None:
    found = await ctx.imported()
    ctx.expect("a file", hashlib.sha256(found).hexdigest() if found else "none", ok=found is not None)


def recorded(tmp_path: Path, data: bytes | None) -> Recorded:
    run = Recorded(tmp_path, check_of(reads))
    imports = {} if data is None else {import_path("dra_support"): data}
    run.stage._wire = replace(run.stage._wire, imports=imports)
    return run


def test_a_file_is_sealed_as_it_was_and_no_cluster_is_asked_for_it(tmp_path: Path) -> None:
    run = recorded(tmp_path, FILE)
    verdict = run.live()
    assert verdict.outcome == "passed"
    assert run.api.requests == []
    bundle = run.bundle(verdict)
    assert bundle.blob(hashlib.sha256(FILE).hexdigest()) == FILE
    assert run.replay(bundle) == verdict
    assert "IMPORT /imports/dra_support" in render_markdown(bundle)
    assert "10.0.0.1" in render_html(bundle)
    assert "kubectl replace" not in render_html(bundle)


def test_no_file_is_recorded_as_none(tmp_path: Path) -> None:
    run = recorded(tmp_path, None)
    verdict = run.live()
    assert verdict.probes[0].observations[0].observed == "none"
    assert run.replay(run.bundle(verdict)) == verdict


class Another(Substitution):
    """Another answer for the file."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status, self.body = status, body

    def response(
        self, lane: str, request: RequestData, response: ResponseData, body: bytes
    ) -> tuple[ResponseData, bytes]:
        return response.model_copy(update={"status": self.status}), self.body


@pytest.mark.parametrize("other", [Another(0, b""), Another(403, b"{}"), Another(200, b""), Another(404, FILE)])
def test_an_answer_that_is_neither_file_nor_none_decides_nothing(tmp_path: Path, other: Another) -> None:
    from anyio import run as start

    from aiconform.engine.api import Api

    run = recorded(tmp_path, FILE)
    bundle = run.bundle(run.live())
    name = "dra_support/reads"
    lane = ReplayLane(name, bundle.plan.run, bundle.lanes[name][1:], bundle.blob, other)
    with pytest.raises(UndecidableError):
        start(Api(lane).imported, "dra_support")
