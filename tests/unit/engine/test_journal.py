"""The journal: on disk before the request leaves, and readable after a kill."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.engine.test_record_and_replay import RUN, Recorded, bind, check_of, create_and_wait

from aiconform.cluster.http import RawAnswer, RawRequest
from aiconform.engine.journal import Entry, Journal, read
from aiconform.engine.stage import LiveStage
from aiconform.errors import UsageError

POD = Entry("v1", "Pod", "ours", "probe")


def journalled(tmp_path: Path) -> tuple[Recorded, Journal]:
    run = Recorded(tmp_path, check_of(create_and_wait))
    run.api.on_create = bind
    journal = Journal(tmp_path / "journal.jsonl", RUN, "https://example.com")
    run.stage = LiveStage(replace(run.stage._wire, journal=journal))
    return run, journal


def test_what_is_created_is_written_down_before_it_is_asked_for(tmp_path: Path) -> None:
    run, journal = journalled(tmp_path)
    before: list[Entry] = []

    def look(request: RawRequest, answer: RawAnswer) -> RawAnswer:
        if request.method == "POST" and request.path.endswith("/pods"):
            before.extend(read(journal.path).entries)
        return answer

    run.api.wrong = look
    assert run.live().outcome == "passed"
    assert POD in before
    told = read(journal.path)
    assert told.run == RUN
    assert replace(POD, uid="uid-of-probe") in told.entries


def test_nothing_is_created_that_cannot_be_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, _ = journalled(tmp_path)

    def full(_file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("aiconform.engine.journal.os.fdatasync", full)
    assert run.live().outcome == "undecided"
    assert [request for request in run.api.requests if request.method == "POST"] == []


def test_a_line_that_was_cut_off_is_passed_over(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl", RUN, "")
    journal.creating({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "ours", "name": "probe"}})
    with journal.path.open("a") as file:
        file.write('{"do":"created","apiVersi')
    assert read(tmp_path).entries == (POD,)


def test_a_journal_is_never_written_over(tmp_path: Path) -> None:
    Journal(tmp_path / "journal.jsonl", RUN, "")
    with pytest.raises(UsageError, match="File exists"):
        Journal(tmp_path / "journal.jsonl", RUN, "")


@pytest.mark.parametrize("text", ["", "PASS", "[]", '{"journal":2,"run":"x"}', '{"run":"0123456789abcdef"}'])
def test_what_is_no_journal_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "journal.jsonl").write_text(text)
    with pytest.raises(UsageError, match="no journal"):
        read(tmp_path)


def test_it_goes_when_nothing_is_left(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl", RUN, "")
    journal.close(keep=False)
    assert not journal.path.exists()
