from __future__ import annotations

import fcntl
import os
import subprocess
import sys

import pytest

from aiconform.errors import UsageError
from aiconform.local import cluster, state
from aiconform.local.inspection import status
from aiconform.local.state import ClusterState, Home, NodeState, write_atomically


@pytest.fixture
def home(tmp_path, monkeypatch) -> Home:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return Home.of("try")


def a_state() -> ClusterState:
    nodes = (NodeState("control", 0), NodeState("gpu-0", 1))
    return ClusterState("try", "default", 4711, "boot", 1.0, nodes, owner_pid=7, versions={"etcd": "v3"})


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a/b", "..", "a" * 31, "ü", "a b"])
def test_names_that_fit_nowhere_are_refused(name) -> None:
    with pytest.raises(UsageError):
        Home.of(name)


@pytest.mark.parametrize("name", ["a", "default", "a-1", "a" * 30])
def test_ordinary_names_are_taken(name) -> None:
    assert Home.of(name).name == name


def test_the_description_survives_storing(home) -> None:
    home.directory.mkdir(parents=True)
    home.write(a_state())
    assert home.read() == a_state()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": "x"}', '{"nodes": [{"nom": 1}]}'])
def test_a_cut_description_is_none(home, text) -> None:
    home.directory.mkdir(parents=True)
    (home.directory / "cluster.json").write_text(text)
    assert home.read() is None


def test_each_node_has_addresses_of_its_own() -> None:
    nodes = [NodeState(str(index), index) for index in range(5)]
    assert len({node.address for node in nodes}) == 5
    assert len({node.pod_cidr for node in nodes}) == 5


def test_unknown_node_names_those_there_are() -> None:
    with pytest.raises(UsageError, match="gpu-9") as caught:
        a_state().node("gpu-9")
    assert "gpu-0" in caught.value.hint


def test_lock_tells_life(home) -> None:
    assert not home.alive()
    with home.locked(create=True) as descriptor:
        assert descriptor is not None
        assert home.alive()
        with home.locked() as second:
            assert second is None
    assert not home.alive()


def test_lock_ends_with_its_holder_however_it_dies(home) -> None:
    home.directory.mkdir(parents=True)
    code = (
        "import fcntl,sys,time;f=open(sys.argv[1],'w');fcntl.flock(f,fcntl.LOCK_EX);print(1,flush=True);time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(home.directory / "lock")], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert home.alive()
        holder.kill()
    assert not home.alive()


def test_a_lock_whose_file_was_removed_is_taken_anew(home) -> None:
    home.directory.mkdir(parents=True)
    old = os.open(home.directory / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(old, fcntl.LOCK_EX)
    (home.directory / "lock").unlink()
    with home.locked(create=True) as descriptor:
        assert descriptor is not None
    os.close(old)


def test_what_a_dead_cluster_left_is_stale_and_goes(home, monkeypatch) -> None:
    monkeypatch.setattr(state.cgroups, "hierarchies", lambda: ())
    home.directory.mkdir(parents=True)
    home.write(a_state())
    (home.logs / "control").mkdir(parents=True)
    (home.logs / "control" / "etcd.log").write_text("x")
    assert status("try").condition == "stale"
    assert "earlier boot" in status("try").problems[0]
    assert cluster.down("try")
    assert status("try").condition == "absent"
    assert not state.base_directory().exists()
    assert not cluster.down("try")


def test_cgroups_of_equal_names_in_other_places_differ(home, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
    assert Home.of("try").cgroup != home.cgroup


def test_readers_never_see_half_a_file(tmp_path) -> None:
    path = tmp_path / "x"
    write_atomically(path, "one")
    write_atomically(path, "two")
    assert path.read_text() == "two"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x"]
    assert path.stat().st_mode & 0o777 == 0o600


OLD_NSENTER = {"target", "mount", "net", "uts", "ipc", "pid", "cgroup"}
"""Options of util-linux 2.33, the oldest that has all we use."""


def test_a_node_is_entered_with_options_that_old_machines_know() -> None:
    argv = cluster.enter_argv(7)
    options = argv[1 : argv.index("env")]
    assert {option.removeprefix("--").partition("=")[0] for option in options} <= OLD_NSENTER


@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces are entered by root")
def test_who_enters_a_node_is_in_its_root(tmp_path) -> None:
    command = [*cluster.enter_argv(os.getpid()), "pwd"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "/\n"
