"""A disk that fills up in the middle of a run: the run ends, and nothing stays on the cluster."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from tests.unit.engine.test_record_and_replay import Recorded, bind, check_of, create_and_wait

from aiconform.errors import BundleError, UsageError
from aiconform.evidence.documents import CheckVerdict
from aiconform.evidence.reader import open_bundle


def records_of_a_whole_run(tmp_path: Path) -> int:
    run = Recorded(tmp_path / "whole", check_of(create_and_wait))
    run.api.on_create = bind
    run.live()
    return (run.writer.directory / "log.jsonl").read_bytes().count(b"\n")


def outcome_of(run: Recorded) -> tuple[CheckVerdict | None, BaseException | None]:
    """The verdict, or what ended the run."""
    try:
        return run.live(), None
    except (UsageError, BaseExceptionGroup) as problem:
        leaf: BaseException = problem
        while isinstance(leaf, BaseExceptionGroup):
            leaf = leaf.exceptions[0]
        return None, leaf


def test_whenever_the_disk_fills_up_nothing_stays_on_the_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, room = os.write, 0

    def write(file: int, data: bytes) -> int:
        nonlocal room
        room -= 1
        if room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(file, data)

    total = records_of_a_whole_run(tmp_path)
    monkeypatch.setattr("aiconform.evidence.writer.os.write", write)
    for lines in range(total - 1):
        room = total
        run = Recorded(tmp_path / f"full-{lines}", check_of(create_and_wait))
        run.api.on_create = bind
        room = lines
        verdict, problem = outcome_of(run)
        assert problem is None or isinstance(problem, UsageError), lines
        created = [request for request in run.api.requests if request.method == "POST"]
        deleted = [request for request in run.api.requests if request.method == "DELETE"]
        # an object whose answer could not be recorded goes with the check's guard or the run's namespace; every
        # other is removed at once
        assert len(created) - len(deleted) <= (lines in (2, 4)), lines
        if verdict is not None:
            with pytest.raises(UsageError, match="No space left"):
                run.bundle(verdict)
        with pytest.raises(BundleError, match="never sealed"):
            open_bundle(run.writer.directory)
