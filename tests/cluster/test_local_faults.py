"""However a local cluster ends, nothing of it stays. Each test boots a small one of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aiconform.errors import LocalClusterError
from aiconform.local import down, status, up
from aiconform.local.logs import kept
from aiconform.local.node import cgroups
from aiconform.local.state import Home

pytestmark = pytest.mark.cluster


@pytest.fixture
def home():
    home = Home.of(f"fault-{os.getpid()}")
    yield home
    down(home.name)
    shutil.rmtree(kept(home.name), ignore_errors=True)  # of the failures that were meant


def left_over(home: Home) -> list[str]:
    """Processes, cgroups and files of the cluster."""
    processes = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_text()
            group = (process / "cgroup").read_text()
        except OSError:
            continue
        if not line:
            continue  # a zombie: the janitor, child of this very process, until it is waited for
        if home.cgroup.path in group or f"clusters/{home.name}/" in line:
            processes.append(f"{process.name} {line}")
    groups = [str(directory) for _, directory in home.cgroup.directories() if directory.exists()]
    return processes + groups + ([str(home.directory)] if home.directory.exists() else [])


def wait_until_gone(home: Home, limit_s: float = 15) -> None:
    deadline = time.monotonic() + limit_s
    while rest := left_over(home):
        assert time.monotonic() < deadline, rest
        time.sleep(0.05)


def guardians(home: Home) -> dict[str, int]:
    """The janitor and the supervisor by process name."""
    pids = cgroups.Group(f"{home.cgroup.path}/supervisor").processes()
    return {Path(f"/proc/{pid}/comm").read_text().strip(): pid for pid in pids}


def starting(home: Home) -> subprocess.Popen[bytes]:
    """An ``up`` in a process of its own, seen to have started nodes."""
    code = f"from aiconform.cli import main; main(['local', 'up', '--name', {home.name!r}, '--profile', 'plain'])"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not (home.directory / "supervisor.json").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    return process


def test_down_leaves_nothing_and_is_quick(home) -> None:
    up(home.name, "plain")
    assert left_over(home)
    begun = time.monotonic()
    assert down(home.name)
    assert left_over(home) == []
    assert time.monotonic() - begun < 10  # 3 s on an idle machine, see the benchmark
    assert status(home.name).condition == "absent"


@pytest.mark.parametrize("who", ["aiconform-super", "aiconform-clean"])
def test_a_killed_guardian_leaves_nothing(home, who) -> None:
    up(home.name, "plain")
    os.kill(guardians(home)[who], signal.SIGKILL)
    wait_until_gone(home)


def test_guardians_that_are_told_again_and_again_still_clean(home) -> None:
    up(home.name, "plain")
    janitor = guardians(home)["aiconform-clean"]
    deadline = time.monotonic() + 15
    with contextlib.suppress(ProcessLookupError):
        while left_over(home) and time.monotonic() < deadline:
            os.kill(janitor, signal.SIGTERM)
            os.sched_yield()
    wait_until_gone(home)


def test_both_guardians_killed_leaves_what_the_next_command_removes(home) -> None:
    up(home.name, "plain")
    for pid in guardians(home).values():
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while home.alive():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert status(home.name).condition == "stale"
    assert up(home.name, "plain").fresh
    down(home.name)
    wait_until_gone(home)


def test_a_killed_up_leaves_nothing(home) -> None:
    process = starting(home)
    process.kill()
    process.communicate()
    wait_until_gone(home)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_up_cleans_before_it_ends(home, number) -> None:
    process = starting(home)
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert left_over(home) == []


def test_a_cluster_ends_with_its_owner(home) -> None:
    with subprocess.Popen(["sleep", "600"]) as owner:
        up(home.name, "plain", owner_pid=owner.pid)
        assert home.alive()
        owner.kill()
    wait_until_gone(home)


def test_a_name_in_use_for_another_profile_is_refused(home) -> None:
    up(home.name, "plain")
    with pytest.raises(LocalClusterError, match="profile plain") as caught:
        up(home.name, "default")
    assert "--name" in caught.value.hint


def test_a_control_plane_that_cannot_start_is_told_with_its_last_words(home, monkeypatch) -> None:
    from aiconform.local import controlplane, start

    monkeypatch.setattr(controlplane, "AUDIT_POLICY", "nonsense")
    monkeypatch.setattr(start, "LIMIT_S", 5.0)
    with pytest.raises(LocalClusterError, match="the API server") as caught:
        up(home.name, "plain")
    assert "kube-apiserver ended" in "\n".join(caught.value.details)
    assert left_over(home) == []
