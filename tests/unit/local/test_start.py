from __future__ import annotations

import os
import subprocess
from types import SimpleNamespace

import pytest

from aiconform.errors import LocalClusterError
from aiconform.local import boot, logs, start, supervisor
from aiconform.local.profiles import PROFILES
from aiconform.local.state import ClusterState, Home
from aiconform.progress import Silent

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


@pytest.mark.parametrize("owner", [None, os.getpid()], ids=["nobody", "ours"])
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


@pytest.fixture
def failing(home, monkeypatch) -> Home:
    """A start that fails once there are logs."""
    monkeypatch.setattr("aiconform.local.node.cgroups.hierarchies", lambda: ())
    monkeypatch.setattr(start.parts, "require_root", lambda: None)
    monkeypatch.setattr(start.seed, "ensure", lambda *_: None)
    monkeypatch.setattr(start.inotify, "check", lambda _nodes: None)

    def run(boots, *_):
        boots._home.logs.mkdir()
        (boots._home.logs / "etcd.log").write_text("no space left on device")
        raise LocalClusterError("the local cluster did not come up", details=["etcd ended"], hint="see there")

    monkeypatch.setattr(start._Boot, "run", run)
    return home


def test_a_failed_start_says_where_its_logs_are(failing) -> None:
    with pytest.raises(LocalClusterError, match="did not come up") as caught:
        start.up(failing.name, "plain", ready_made=boot.Parts({}, ()))
    assert caught.value.details == ("etcd ended", f"logs kept in {logs.kept(failing.name)}")
    assert (logs.kept(failing.name) / "etcd.log").exists()
    assert not failing.directory.exists()


def test_a_failed_start_is_told_though_its_logs_cannot_be_kept(failing, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", os.devnull)
    with pytest.raises(LocalClusterError, match="did not come up") as caught:
        start.up(failing.name, "plain", ready_made=boot.Parts({}, ()))
    assert caught.value.details == ("etcd ended",)
    assert not failing.directory.exists()


@pytest.mark.parametrize("code", [0, supervisor.KEPT])
def test_logs_that_the_janitor_kept_are_named_and_no_older_ones(home, code) -> None:
    logs.kept(home.name).mkdir(parents=True)
    boots = start._Boot(home, PLAIN, Silent(), None, home.directory)
    boots._janitor = SimpleNamespace(poll=lambda: code)
    assert boots.keep_logs() == (logs.kept(home.name) if code else None)


def test_logs_of_a_janitor_that_could_not_begin_are_kept(home) -> None:
    home.logs.mkdir(parents=True)
    boots = start._Boot(home, PLAIN, Silent(), None, home.directory)
    boots._janitor = SimpleNamespace(poll=lambda: 1)  # it left them where they were
    assert boots.keep_logs() == logs.kept(home.name)
    assert logs.kept(home.name).is_dir()


def test_logs_that_cannot_be_copied_leave_those_of_the_failure_before(home) -> None:
    before = logs.kept(home.name)
    before.mkdir(parents=True)
    (before / "etcd.log").write_text("before")
    assert logs.keep(home) is None
    home.logs.mkdir(parents=True)
    (home.logs / "gone.log").symlink_to("nowhere")
    with pytest.raises(OSError, match="gone"):
        logs.keep(home)
    assert (before / "etcd.log").read_text() == "before"
    assert list(before.parent.iterdir()) == [before]
