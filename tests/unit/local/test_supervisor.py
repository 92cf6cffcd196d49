from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from aiconform.local import logs, supervisor
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


JANITOR = """
import os, sys
from aiconform.local import supervisor
from aiconform.local.node import cgroups
cgroups.hierarchies = lambda: ()
os.environ["OWNER_FD"], os.environ["LISTEN_FD"] = map(str, os.pipe())
sys.exit(supervisor.main())
"""


@pytest.mark.parametrize("ready", [False, True])
def test_the_logs_of_a_supervisor_that_failed_are_kept(home, ready) -> None:
    (home.logs / "etcd.log").write_text("why")  # there is no description of a cluster, so it fails
    if ready:
        home.ready_file.touch()
    done = subprocess.run([sys.executable, "-c", JANITOR, home.name], check=False)
    assert done.returncode == supervisor.KEPT
    assert (logs.kept(home.name) / "etcd.log").read_text() == "why"
    assert not home.directory.exists()


def test_a_janitor_that_can_keep_no_logs_removes_the_cluster_all_the_same(home, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", os.devnull)
    assert subprocess.run([sys.executable, "-c", JANITOR, home.name], check=False).returncode == 0
    assert not home.directory.exists()


class Ended:
    """A node's process that is gone."""

    def ended(self) -> str:
        return "signal SIGKILL"


def test_a_full_disk_does_not_end_the_cluster(home, monkeypatch) -> None:
    monkeypatch.setattr("aiconform.local.node.cgroups.hierarchies", lambda: ())
    (home.logs / "supervisor.log").symlink_to("/dev/full")
    (home.directory / "supervisor.json.new").symlink_to("/dev/full")
    reader, writer = os.pipe()
    keeper = Supervisor(home, a_state(), reader, listener=-1)
    (node,) = keeper._nodes
    node.process, node.pid = Ended(), 42
    keeper._reap()
    assert node.process is None
    node.process = Ended()
    assert keeper._pause_s() is not None  # the report is still to be written
    (home.directory / "supervisor.json.new").unlink()
    keeper._start_due()
    assert json.loads((home.directory / "supervisor.json").read_text())["nodes"] == {"control": 0}
    assert keeper._pause_s() is None
    for descriptor in (reader, writer, keeper._wake_reader, keeper._wake_writer):
        os.close(descriptor)
    keeper._selector.close()
    keeper._log.close()
