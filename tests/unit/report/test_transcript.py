from __future__ import annotations

import pytest
from tests.unit.report.sample import sample

from aiconform.report import transcript
from aiconform.report.transcript import Transcriber

LANE = "gpu_sharing/four_share"


def test_bodies_stop_where_the_page_would_grow_too_big(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = sample()
    scribe = Transcriber(bundle, "bundle/", frozenset())
    whole = [part for entry in scribe.lane(LANE, bundle.lanes[LANE], "t").exchanges for part in entry.shown]
    assert all(part.text or part.columns for part in whole)
    monkeypatch.setattr(transcript, "BODY_BUDGET", 700)
    scribe.new_requirement()
    short = [part for entry in scribe.lane(LANE, bundle.lanes[LANE], "t").exchanges for part in entry.shown]
    assert len(short) == len(whole)
    told = [part.left_out for part in short if "to keep this page small" in part.left_out]
    assert 0 < len(told) < len(short)


def test_a_body_that_was_left_out_is_not_further_up(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = sample()
    scribe = Transcriber(bundle, "bundle/", frozenset())
    digest = bundle.blob(b"the same every time")
    monkeypatch.setattr(scribe, "_budget", 5)
    assert "to keep this page small" in scribe._body(digest, "answer", "one").left_out
    assert "to keep this page small" in scribe._body(digest, "answer", "another").left_out
    scribe.new_requirement()
    assert scribe._body(digest, "answer", "one").text
    assert scribe._body(digest, "answer", "another").left_out == "the same bytes as shown further up"


def test_every_blob_that_is_named_is_in_the_index() -> None:
    bundle = sample()
    scribe = Transcriber(bundle, "bundle/", frozenset({(LANE, 8)}))
    entries = scribe.lane(LANE, bundle.lanes[LANE], "t").exchanges
    named = {link.digest for entry in entries for link in (entry.request_body, entry.response_body) if link}
    assert {item.digest for item in scribe.evidence()} == named
    assert all(item.size == len(bundle.blobs[item.digest]) for item in scribe.evidence())
