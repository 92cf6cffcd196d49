"""What a careful forger cannot make right: the order within lanes, and that log and verdicts tell the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.bundles import make_bundle
from tests.support.forgery import edit_document, edit_log, reseal

from aiconform.evidence import layout
from aiconform.evidence.integrity import findings
from aiconform.evidence.reader import open_bundle

Log = list[dict[str, Any]]


def first(log: Log, **wanted: Any) -> int:
    """Where the first line stands that has these values."""
    return next(i for i, line in enumerate(log) if all(line[key] == value for key, value in wanted.items()))


def check_of(verdicts: Any, requirement: str) -> Any:
    return next(check for check in verdicts["checks"] if check["requirement"] == requirement)


def said(bundle: Path) -> list[str]:
    return [f"{found.file}: {found.what}" for found in findings(open_bundle(bundle))]


def verdict_judged_twice(verdicts: Any) -> None:
    verdicts["checks"].append(verdicts["checks"][0])


def verdicts_reordered(verdicts: Any) -> None:
    verdicts["checks"].reverse()


def probe_invented(verdicts: Any) -> None:
    probes = check_of(verdicts, "gpu_sharing")["probes"]
    probes.append({**probes[0], "id": "made_up"})


def probe_moved_to_another_lane(verdicts: Any) -> None:
    check_of(verdicts, "gpu_sharing")["probes"][0]["lane"] = "dra_support/released"


def probe_passed(verdicts: Any) -> None:
    check_of(verdicts, "gpu_sharing")["probes"][0]["outcome"] = "passed"


def reason_changed(verdicts: Any) -> None:
    check_of(verdicts, "virtualized_accelerator")["reason"] = "nobody asked"


def figure_changed(verdicts: Any) -> None:
    check_of(verdicts, "dra_support")["probes"][1]["observations"][0]["figures"]["seen"] = "gpu-1"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (verdict_judged_twice, "a requirement has two verdicts"),
        (verdicts_reordered, "requirements are not in the plan's order"),
        (probe_invented, "probe of gpu_sharing: made_up has a verdict and was not planned"),
        (probe_moved_to_another_lane, "gpu_sharing/four_share names another lane"),
        (probe_passed, "four_share is passed, but undecided in log.jsonl line"),
        (reason_changed, "the reason for virtualized_accelerator is not that of log.jsonl line"),
        (figure_changed, "dra_support/claim_allocated: its observations are not those of the log"),
    ],
)
def test_verdicts_that_are_not_those_of_the_log(tmp_path: Path, change: Callable[[Any], None], expected: str) -> None:
    bundle = make_bundle(tmp_path)
    edit_document(bundle, layout.VERDICTS, change)
    reseal(bundle)
    assert any(expected in text for text in said(bundle))


def verdict_early(log: Log) -> None:
    place = first(log, lane="dra_support/kinds_served", type="verdict")
    log[place - 1], log[place] = log[place], {**log[place - 1], "mono": log[place]["mono"]}
    log[place - 1] = {**log[place - 1], "mono": log[place - 2]["mono"]}


def verdict_on_something_else(log: Log) -> None:
    log[first(log, lane="dra_support/kinds_served", type="verdict")]["data"]["subject"] = "released"


def note_within_a_watch(log: Log) -> None:
    place = first(log, type="chunk")
    log.insert(place, {**log[place], "type": "note", "data": {"text": "x"}})


def request_within_a_watch(log: Log) -> None:
    place, asked = first(log, type="chunk"), first(log, lane="discovery", type="request")
    log.insert(place, {**log[asked], "lane": log[place]["lane"], "mono": log[place]["mono"]})


def watch_left_open(log: Log) -> None:
    place = first(log, lane="dra_support/unsatisfiable_pending", type="deadline")
    del log[place : place + 3]  # with the observation and the verdict: nothing follows in the lane


def question_left_open(log: Log) -> None:
    place = first(log, lane="gpu_sharing/four_share", type="response")
    del log[place : place + 3]


def watch_answered_twice(log: Log) -> None:
    place = first(log, type="chunk")
    log.insert(place, dict(log[place - 1]))


def piece_after_the_end(log: Log) -> None:
    place = next(i for i, line in enumerate(log) if line["type"] == "chunk" and line["data"]["end"])
    log.insert(place + 1, dict(log[place - 1], mono=log[place]["mono"]))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (verdict_early, "is the verdict of lane dra_support/kinds_served, which goes on after it"),
        (verdict_on_something_else, "is the verdict of lane dra_support/kinds_served, but on something else"),
        (note_within_a_watch, "stands within the stream that log.jsonl line"),
        (request_within_a_watch, "stands within the stream that log.jsonl line"),
        (watch_left_open, "opens a stream that the lane does not end"),
        (question_left_open, "asks, and the lane ends without the answer"),
        (watch_answered_twice, "answers nothing that was asked"),
        (piece_after_the_end, "is a piece of no open stream"),
    ],
)
def test_lanes_out_of_order(tmp_path: Path, change: Callable[[Log], None], expected: str) -> None:
    bundle = make_bundle(tmp_path)
    edit_log(bundle, change)
    reseal(bundle)
    assert any(expected in text for text in said(bundle))


def cut_stream(log: Log) -> None:
    """A watch whose answer never came because its probe was ended: nothing follows it, and that is right."""
    place = first(log, lane="dra_support/unsatisfiable_pending", type="response")
    log[place]["data"].update(status=0, error="cut off")
    log.pop(place + 1)


def test_a_stream_that_was_cut_before_its_answer_is_no_finding(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path)
    edit_log(bundle, cut_stream)
    reseal(bundle)
    assert [text for text in said(bundle) if "stream" in text or "asks" in text] == []
