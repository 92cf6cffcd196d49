from __future__ import annotations

import os
import subprocess

import pytest

from aiconform.errors import LocalClusterError
from aiconform.local import start
from aiconform.local.profiles import PROFILES
from aiconform.local.state import ClusterState, Home

PLAIN = PROFILES["plain"]


@pytest.fixture
def home(tmp_path, monkeypatch) -> Home:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Home.of("run")


@pytest.fixture
def running(home):
    """A cluster that runs, as far as its files tell; what is yielded says whose it is."""
    with home.locked(create=True):
        home.ready_file.touch()

        def of(owner: int | None) -> None:
            home.write(ClusterState("run", "plain", 4711, "boot", 1.0, (), owner_pid=owner))

        yield of


@pytest.mark.parametrize("owner", [None, os.getpid()])
def test_a_cluster_of_nobody_or_of_ours_is_used(home, running, owner) -> None:
    running(owner)
    found = start._running(home, PLAIN, None)
    assert found is not None
    assert not found.fresh


def test_nobody_moves_into_the_cluster_of_another_run(home, running) -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as other:  # ends with the block
        running(other.pid)
        with pytest.raises(LocalClusterError, match=rf"belongs to another run \(process {other.pid}\)") as caught:
            start._running(home, PLAIN, None)
    assert "--name" in caught.value.hint


def test_a_cluster_that_ends_with_its_owner_is_waited_for(home, running, monkeypatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(Home, "wait_gone", lambda _home, limit_s: waited.append(limit_s))
    with subprocess.Popen(["true"]) as owner:
        running(owner.pid)
        os.waitid(os.P_PID, owner.pid, os.WEXITED | os.WNOWAIT)  # ended, and nobody has waited for it
        with pytest.raises(LocalClusterError, match="started or stopped"):  # it does not end in time
            start._running(home, PLAIN, None)
    assert waited == [start.STOPPING_S]
