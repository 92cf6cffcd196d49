"""gVisor on a real cluster: pods in its sandbox are, and one that has only the name of it is found out."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest
from tests.cluster.test_checks import failed, only, run
from tests.mutants.workload_sandboxing import in_name_only

from aiconform.local import Cluster, status
from aiconform.local.addons.arrivals import Arrivals
from aiconform.local.addons.registry import ADDONS
from aiconform.progress import Silent

pytestmark = pytest.mark.cluster

REQUIREMENT = "workload_sandboxing"


@pytest.fixture(scope="module")
def sandboxed(local_cluster: Cluster) -> Cluster:
    with Arrivals(local_cluster, [ADDONS["gvisor"]], {REQUIREMENT: ["gvisor"]}, Silent()) as arrivals:
        assert anyio.run(arrivals.arrived, REQUIREMENT) == ""
    return local_cluster


def test_it_is_installed_on_every_node_there_is(sandboxed: Cluster) -> None:
    nodes = json.loads(sandboxed.kubectl("get", "nodes", "-l", "aiconform.dev/gvisor=true", "-o", "json"))["items"]
    assert len(nodes) == len(sandboxed.state.nodes)
    assert status(sandboxed.name).addons["gvisor"] == ADDONS["gvisor"].version


def test_a_sandbox_passes_and_a_name_alone_fails(sandboxed: Cluster, tmp_path: Path) -> None:
    _, good = run(sandboxed, tmp_path / "good", REQUIREMENT, "--release", "1.37")
    assert only(good).outcome == "passed", only(good)
    with in_name_only(sandboxed):
        _, bad = run(sandboxed, tmp_path / "bad", REQUIREMENT, "--release", "1.37")
    assert only(bad).outcome == "failed"
    assert "another kernel" in failed(only(bad))["kernel"]
