from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from aiconform.errors import LocalClusterError, UsageError
from aiconform.local import blueprint, companions, nodes, seed
from aiconform.local.boot import Image, Parts
from aiconform.local.node.services import Log
from aiconform.local.pki import Authority, Pair
from aiconform.local.state import ClusterState, Home, NodeState


@pytest.fixture
def home(tmp_path, monkeypatch) -> Home:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    home = Home.of("try")
    home.logs.mkdir(parents=True)
    return home


def a_state(*late: NodeState, last_index: int = 0) -> ClusterState:
    places = (NodeState("control", 0), NodeState("gpu-0", 1), *late)
    return ClusterState("try", "default", 4711, "boot", 1.0, places, last_index=last_index)


def test_late_nodes_survive_storing(home) -> None:
    state = replace(a_state(NodeState("n", 2, late=True, pool="kwok"), last_index=2), retired=("m",))
    home.write(state)
    assert home.read() == state


def test_places_go_round_and_skip_those_in_use() -> None:
    assert nodes._free_place(a_state()) == 2
    assert nodes._free_place(a_state(last_index=7)) == 8
    assert nodes._free_place(a_state(NodeState("n", 8, late=True), last_index=7)) == 9
    assert nodes._free_place(a_state(last_index=249)) == 2


def test_a_full_network_takes_no_node() -> None:
    full = a_state(*(NodeState(f"n{index}", index, late=True) for index in nodes.PLACES[1:]))
    with pytest.raises(LocalClusterError, match="no room"):
        nodes._free_place(full)


@pytest.mark.parametrize("name", ["", "-a", "A", "a_b", "x" * 64, "a-"])
def test_names_that_no_node_can_have_are_refused(name) -> None:
    with pytest.raises(UsageError):
        nodes._check_name(a_state(), name)


@pytest.mark.parametrize("name", ["gpu-0", "gone"])
def test_a_name_is_given_once(name) -> None:
    with pytest.raises(UsageError, match="used before"):
        nodes._check_name(replace(a_state(), retired=("gone",)), name)


def test_a_long_name_such_as_karpenter_s_is_taken() -> None:
    nodes._check_name(a_state(), "admiring-chandrasekhar-4294967295")


def test_a_cluster_that_does_not_remember_its_parts_is_left_alone(home) -> None:
    home.ready_file.touch()
    home.write(a_state())
    (home.directory / "supervisor.json").write_text(json.dumps({"supervisor": os.getpid(), "nodes": {}}))
    from aiconform.local.cluster import Cluster

    with pytest.raises(LocalClusterError, match="cannot add nodes"):
        nodes.accompany(Cluster(home, a_state()), "x", "y")  # a signal to it would end this test


def test_nobody_is_told_before_the_cluster_is_ready(home) -> None:
    (home.directory / "supervisor.json").write_text(json.dumps({"supervisor": os.getpid(), "nodes": {}}))
    with pytest.raises(LocalClusterError, match="is running"):
        nodes.tell(home)


def test_the_parts_are_remembered(home, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(seed, "plant", lambda _images, root: root.mkdir())
    made = Parts({"ctr": tmp_path / "ctr"}, (Image("a", tmp_path / "a.tar"),), driver=tmp_path / "driver")
    blueprint.remember(home, made, tmp_path)
    known = blueprint.recall(home)
    assert known is not None
    assert (known.programs, known.driver, known.archives) == (made.programs, made.driver, (tmp_path / "a.tar",))
    assert known.parts("try").prepare is not None


def test_images_that_come_later_are_unpacked_once(home, tmp_path, monkeypatch) -> None:
    unpacked: list[Path] = []
    monkeypatch.setattr(seed, "plant", lambda _images, root: root.mkdir())
    monkeypatch.setattr(seed, "extend", lambda _root, made, _progress: unpacked.extend(i.archive for i in made.images))
    first, second = tmp_path / "first.tar", tmp_path / "second.tar"
    second.touch()
    blueprint.remember(home, Parts({}, (Image("first", first),)), tmp_path)
    blueprint.brought(home, [first, second])
    for _ in range(2):
        known = blueprint.recall(home)
        assert known is not None
        known = blueprint.complete(home, known)
        assert known.archives == (first, second)
    assert unpacked == [second]


def test_nothing_is_recalled_of_an_older_cluster(home) -> None:
    assert blueprint.recall(home) is None
    blueprint.brought(home, [Path("/x")])
    assert blueprint.recall(home) is None


def test_a_stored_authority_signs_as_before(tmp_path) -> None:
    first = Authority("ca")
    first.pair.write(tmp_path, "ca")
    again = Authority.of(Pair.read(tmp_path, "ca"))
    assert again.pair == first.pair
    again.issue("system:node:a", ["system:nodes"], ["a"]).write(tmp_path, "a")
    done = subprocess.run(
        ["openssl", "verify", "-CAfile", str(tmp_path / "ca.crt"), str(tmp_path / "a.crt")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "OK" in done.stdout, done.stderr


def running(kept: companions.Companions) -> int:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        kept.reap()
        kept.start_due()
        if kept.run():
            return kept._running["a"].process.pid
        time.sleep(0.02)
    raise AssertionError("it does not run")


def test_companions_are_started_again_and_ended(home) -> None:
    companions.write(home, {"a": ["timeit", "-n1", "-r1", "import time; time.sleep(60)"]})
    log = Log(home.logs / "supervisor.log")
    kept = companions.Companions(home, log)
    first = running(kept)
    os.kill(first, signal.SIGKILL)
    while kept.run():
        kept.reap()
    assert running(kept) != first
    companions.write(home, {})
    kept.read()
    assert kept.run()
    log.close()
    assert "was ended" in (home.logs / "supervisor.log").read_text()


def test_a_companion_ends_with_its_supervisor() -> None:
    lines = (
        "import subprocess, sys",
        "code = 'from aiconform.local import companions; companions.end_with_supervisor(); print(1, flush=True); '",
        "code += 'import time; time.sleep(60)'",
        "child = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE)",
        "child.stdout.readline()",
        "print(child.pid, flush=True)",
        "sys.stdin.readline()",
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", "\n".join(lines)], stdin=pipe, stdout=pipe) as supervisor:
        child = int(supervisor.stdout.readline())
        supervisor.kill()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{child}/cmdline").exists() and Path(f"/proc/{child}/cmdline").read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.02)
