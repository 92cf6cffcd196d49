from __future__ import annotations

import json
import os

import pytest

from aiconform.local.state import ClusterState, Home, NodeState
from aiconform.local.supervisor import Supervisor


@pytest.fixture
def home(tmp_path, monkeypatch) -> Home:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    home = Home.of("try")
    home.logs.mkdir(parents=True)
    return home


def a_state() -> ClusterState:
    return ClusterState("try", "plain", 4711, "boot", 1.0, (NodeState("control", 0),))


class Ended:
    """A node's process that is gone."""

    def ended(self) -> str:
        return "signal SIGKILL"


def test_a_full_disk_does_not_end_the_cluster(home, monkeypatch) -> None:
    monkeypatch.setattr("aiconform.local.node.cgroups.hierarchies", lambda: ())
    (home.logs / "supervisor.log").symlink_to("/dev/full")
    (home.directory / "supervisor.json.new").symlink_to("/dev/full")
    reader, writer = os.pipe()
    supervisor = Supervisor(home, a_state(), reader, listener=-1)
    (node,) = supervisor._nodes
    node.process, node.pid = Ended(), 42
    supervisor._reap()
    assert node.process is None
    node.process = Ended()
    assert supervisor._pause_s() is not None  # the report is still to be written
    (home.directory / "supervisor.json.new").unlink()
    supervisor._start_due()
    assert json.loads((home.directory / "supervisor.json").read_text())["nodes"] == {"control": 0}
    assert supervisor._pause_s() is None
    for descriptor in (reader, writer, supervisor._wake_reader, supervisor._wake_writer):
        os.close(descriptor)
    supervisor._selector.close()
    supervisor._log.close()
