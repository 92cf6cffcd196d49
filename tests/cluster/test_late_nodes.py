"""Nodes that come and go while a cluster runs are real, and go with it."""

from __future__ import annotations

import os
import signal
import time

import pytest
from tests.cluster.test_local_faults import guardians, left_over, wait_until_gone

from aiconform.errors import LocalClusterError, UsageError
from aiconform.local import down, nodes, status, up
from aiconform.local.inspection import pids_of
from aiconform.local.node import cgroups
from aiconform.local.profiles import NodeSpec
from aiconform.local.state import Home

pytestmark = pytest.mark.cluster


@pytest.fixture
def home():
    home = Home.of(f"late-{os.getpid()}")
    yield home
    down(home.name)


@pytest.fixture
def cluster(home):
    return up(home.name, "plain")


def test_a_node_joins_runs_pods_and_leaves_nothing(cluster, home) -> None:
    begun = time.monotonic()
    place = cluster.add_node(NodeSpec("late-0"))
    assert time.monotonic() - begun < 30  # 5 s on an idle machine
    assert {node.name for node in status(home.name).nodes if node.ready} == {"control", "late-0"}
    pod = {"nodeName": "late-0", "image": "aiconform.local/shell:busybox-glibc"}
    reach = "wget -qO- --timeout=5 --no-check-certificate https://10.96.0.1/version; sleep 600"
    cluster.kubectl(
        *("run", "far", f"--image={pod['image']}", "--overrides", '{"spec":{"nodeName":"late-0"}}', "--", "sh", "-c"),
        reach,
    )
    cluster.kubectl("wait", "--for=condition=Ready", "pod/far", "--timeout=60s")
    assert "pong" in cluster.kubectl("exec", "far", "--", "echo", "pong")
    address = cluster.kubectl("get", "pod", "far", "--output=jsonpath={.status.podIP}")
    assert address.startswith(place.pod_cidr.rpartition(".")[0])
    directory = home.node("late-0")
    cluster.remove_node("late-0")
    assert not directory.exists()
    assert not any(path.exists() for _, path in cgroups.Group(f"{home.cgroup.path}/late-0").directories())
    assert "late-0" not in cluster.kubectl("get", "nodes,pods", "--all-namespaces", "--output=wide")
    assert "node1" not in cluster.enter("control", ["ip", "-brief", "link"]).stdout


def test_names_are_given_once_and_places_not_again_soon(cluster) -> None:
    first = nodes.begin(cluster, NodeSpec("late-0"))
    nodes.retire(cluster.home, "late-0")
    with pytest.raises(UsageError, match="used before"):
        nodes.begin(cluster, NodeSpec("late-0"))
    second = nodes.begin(cluster, NodeSpec("late-1"))
    assert second.pod_cidr != first.pod_cidr
    with pytest.raises(UsageError, match="profile"):
        cluster.remove_node("control")


def test_a_late_node_that_dies_comes_back(cluster, home) -> None:
    cluster.add_node(NodeSpec("late-0"))
    before = pids_of(home)["late-0"]
    os.kill(before, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while pids_of(home).get("late-0") in (None, before):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("who", ["aiconform-super", "aiconform-clean"])
def test_a_killed_guardian_leaves_nothing_of_late_nodes_and_companions(cluster, home, who) -> None:
    nodes.begin(cluster, NodeSpec("late-0"))
    nodes.accompany(cluster, "sleeper", "timeit", "-n1", "-r1", "import time; time.sleep(600)")
    log = home.logs / "supervisor.log"
    deadline = time.monotonic() + 10
    while "companion sleeper started" not in log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(guardians(home)[who], signal.SIGKILL)
    wait_until_gone(home)


def test_down_takes_late_nodes_along(cluster, home) -> None:
    nodes.begin(cluster, NodeSpec("late-0"))
    assert down(home.name)
    assert left_over(home) == []


def test_a_cluster_that_is_down_takes_no_node(cluster, home) -> None:
    down(home.name)
    with pytest.raises(LocalClusterError):
        nodes.begin(cluster, NodeSpec("late-0"))
