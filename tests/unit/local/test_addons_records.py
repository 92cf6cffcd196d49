from __future__ import annotations

import pytest

from aiconform.local.addons import records
from aiconform.local.addons.records import FAILED, READY, Record
from aiconform.local.state import Home


@pytest.fixture
def home(tmp_path) -> Home:
    found = Home("x", tmp_path / "x")
    found.directory.mkdir()
    found.ready_file.touch()
    return found


def test_what_is_written_is_read(home) -> None:
    assert records.read(home) == {}
    records.write(home, "kueue", Record("v1", READY))
    records.write(home, "volcano", Record("v2", FAILED, "no image"))
    assert records.read(home) == {"kueue": Record("v1", READY), "volcano": Record("v2", FAILED, "no image")}


def test_a_cluster_that_is_gone_gets_no_files(home) -> None:
    home.ready_file.unlink()
    records.write(home, "kueue", Record("v1", READY))
    assert not (home.directory / "addons").exists()


def test_a_record_of_another_version_is_no_record(home) -> None:
    records.write(home, "kueue", Record("v1", READY))
    (home.directory / "addons" / "kueue.json").write_text('{"other": 1}')
    assert records.read(home) == {}
