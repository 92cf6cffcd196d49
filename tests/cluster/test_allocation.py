"""Checks that ask for devices by claims, on a real cluster.

The example driver's devices are no device nodes. Here they are, for these tests alone: the runtime gives a container a
device node for each device that its claim was allocated, and a vendor table says so.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.mutants.nodes import runtime
from tests.support.asking import unasked, unsaid

from aiconform.catalog import accelerators
from aiconform.checks import all_checks
from aiconform.engine import runner
from aiconform.engine.rejudge import rejudge
from aiconform.evidence.documents import CheckVerdict
from aiconform.evidence.reader import Bundle, open_bundle
from aiconform.local import Cluster
from aiconform.local.images.table import IMAGES

pytestmark = pytest.mark.cluster

NODE, DEVICES = "gpu-0", 4
GIVE = """
for entry in list(spec["process"]["env"]):
    name, _, value = entry.partition("=gpu-")
    if name.startswith("GPU_DEVICE_") and value.isdigit():
        give(spec, "/dev/claimed" + value)
""".strip().splitlines()
TABLE = """
vendor = "Kubernetes"
sources = ["this test"]

[[kinds]]
name = "claimed device"
device_glob = "/dev/claimed[0-9]*"
uuid_command = "env | sed -n 's/^GPU_DEVICE_[0-9]*=//p'"
pci_command = "echo 0000:00:00.9"
driver_command = "echo 1.0.0"
runtime_classes = []
visible_devices = []

[kinds.dra]
driver = "gpu.example.com"
classes = ["gpu.example.com"]
device_nodes = true
driver_attribute = "driverVersion"
product_attribute = "model"
variable = 'GPU_DEVICE_\\d+'
simulated = "dra-example-driver's devices are not real"
"""


@pytest.fixture(scope="module")
def with_nodes(local_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster with a device node for each device that can be claimed, and a vendor table that knows them."""
    tables = tmp_path_factory.mktemp("tables")
    shutil.copytree(Path(str(accelerators.TABLES)), tables, dirs_exist_ok=True)
    (tables / "example-drivers.toml").write_text(TABLE)
    major = local_cluster.enter(NODE, ["stat", "-c", "%t", "/dev/nvidia0"]).stdout.strip()
    for number in range(DEVICES):
        path, minor = f"/dev/claimed{number}", str(100 + number)
        assert local_cluster.enter(NODE, ["mknod", path, "c", str(int(major, 16)), minor]).returncode == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accelerators, "TABLES", tables)
        accelerators.vendors.cache_clear()
        try:
            yield local_cluster
        finally:
            local_cluster.enter(NODE, ["rm", *(f"/dev/claimed{number}" for number in range(DEVICES))])
    accelerators.vendors.cache_clear()


def run(cluster: Cluster, output: Path, *requirements: str, holes: tuple[str, ...] = (), **options: Any) -> Bundle:
    wanted = runner.RunOptions(
        release="1.35",
        output=output,
        requirements=requirements,
        kubeconfig=cluster.kubeconfig,
        images={"probe": IMAGES["busybox"].reference},
        **options,
    )
    with runtime(cluster, NODE, *GIVE, *holes):
        result = anyio.run(runner.run, wanted, all_checks(), lambda _: None)
    bundle = open_bundle(result.bundle)
    assert rejudge(bundle, all_checks()).problems == ()
    return bundle


def only(bundle: Bundle) -> CheckVerdict:
    (check,) = bundle.verdicts.checks
    return check


def test_isolation_is_proven_on_claimed_devices(with_nodes: Cluster, tmp_path: Path) -> None:
    bundle = run(with_nodes, tmp_path, "secure_accelerator_access", options={"allocation": "dra"})
    assert {probe.id: probe.outcome for probe in only(bundle).probes} == dict.fromkeys(
        ("granted", "not_granted", "sibling", "another", "over_request", "released"), "passed"
    ), only(bundle)
    assert bundle.plan.options == {"allocation": "dra"}
    assert bundle.verdicts.cluster.asked_for == "Kubernetes claimed device by DRA (gpu.example.com); allocation dra"
    assert "2 nvidia.com/gpu on gpu-0: --allocation dra" in bundle.verdicts.cluster.left_alone
    assert bundle.verdicts.left_behind == []
    assert (unsaid(bundle, "secure_accelerator_access"), unasked(bundle, "secure_accelerator_access")) == ([], [])


def test_a_driver_is_compared_with_what_dra_advertises_of_it(with_nodes: Cluster, tmp_path: Path) -> None:
    check = only(run(with_nodes, tmp_path, "driver_runtime_management", options={"allocation": "dra"}))
    seen = [o for probe in check.probes for o in probe.observations]
    compared = next(o for o in seen if "as DRA attribute driverVersion" in o.expected)
    assert (compared.outcome, compared.figures) == ("passed", {"advertised": "1.0.0", "installed": "1.0.0"})
    assert check.outcome == "undecided"
    assert "does not advertise its runtime; show by hand" in check.reason


def test_a_fence_with_a_hole_is_found_by_claims_too(with_nodes: Cluster, tmp_path: Path) -> None:
    hole = 'if pod.startswith("intruder"): allow(spec, device("/dev/nvidia0")["major"])'
    check = only(run(with_nodes, tmp_path, "secure_accelerator_access", holes=(hole,), options={"allocation": "dra"}))
    assert check.outcome == "failed"
    assert "cannot be opened by mknod" in check.reason
