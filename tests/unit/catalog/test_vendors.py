"""The vendor tables: strict, with sources, in the wheel; and a vendor is added by a file alone."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import hardware

from aiconform.catalog import accelerators
from aiconform.engine import needs
from aiconform.engine.planner import judge_digest
from aiconform.errors import InternalError

ROOT = Path(__file__).parents[3]
TABLES = ROOT / "src" / "aiconform" / "catalog" / "vendors"

ACME = """
vendor = "Acme"
sources = ["https://acme.example/manual"]
other_resources = ["acme.example/nic"]

[[kinds]]
name = "NPU"
resource = "acme.example/npu"
device_glob = "/dev/acme[0-9]*"
product_label = "acme.example/product"

[kinds.dra]
driver = "npu.acme.example"
device_nodes = true
"""


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the package's tables that a test may change."""
    shutil.copytree(TABLES, tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr(accelerators, "TABLES", tmp_path)
    accelerators.vendors.cache_clear()
    yield tmp_path
    monkeypatch.undo()
    accelerators.vendors.cache_clear()


def refused(text: str) -> str:
    with pytest.raises(InternalError) as raised:
        accelerators.read(text, "x.toml")
    return str(raised.value)


def test_every_vendor_asked_for_is_there_with_its_sources() -> None:
    resources = ("nvidia.com/gpu", "amd.com/gpu", "habana.ai/gaudi", "gpu.intel.com/xe", "gpu.intel.com/i915")
    for resource in (*resources, "aws.amazon.com/neuron", "google.com/tpu"):
        assert accelerators.by_resource(resource), resource
    for driver in ("gpu.nvidia.com", "gpu.amd.com", "gaudi.intel.com", "gpu.intel.com", "neuron.aws.com"):
        assert accelerators.by_driver(driver), driver
    assert accelerators.by_driver("tpu.google.com")
    assert accelerators.by_driver("gpu.example.com")
    assert all(vendor.sources for vendor in accelerators.vendors())


def test_a_new_file_is_a_new_vendor(directory: Path) -> None:
    before = hardware.facts(hardware.node("a", {"acme.example/npu": "2"}))
    assert before.accelerators == ()
    assert before.unknown == ("2 acme.example/npu on a",)
    digest = judge_digest()

    (directory / "acme.toml").write_text(ACME)
    accelerators.vendors.cache_clear()
    plugin = hardware.node("a", {"acme.example/npu": "2", "acme.example/nic": "8"}, {"acme.example/product": "N1"})
    found = hardware.facts(plugin)
    assert [(item.words, item.product) for item in found.accelerators] == [("2 acme.example/npu on a", "N1")]
    assert found.unknown == ()
    assert needs.accelerator("two", needs.several, by_hand="")(found) is None
    assert judge_digest() != digest, "a bundle that was judged with other tables must be told from one that was not"

    slices = [hardware.resource_slice("npu.acme.example", hardware.device("n0"), hardware.device("n1"))]
    classes = [hardware.device_class("npus", "npu.acme.example")]
    claimed = hardware.facts(hardware.node("a"), slices=slices, classes=classes)
    assert [(item.words, item.device_class) for item in claimed.claimable] == [
        ("2 npu.acme.example by DRA on a", "npus")
    ]


def test_two_files_cannot_claim_the_same(directory: Path) -> None:
    (directory / "other.toml").write_text(ACME.replace("acme.example/npu", "nvidia.com/gpu"))
    accelerators.vendors.cache_clear()
    with pytest.raises(InternalError, match=r"nvidia\.com/gpu in more than one place"):
        accelerators.vendors()


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('vendor = "Acme"', "", "vendor"),
        ('["https://acme.example/manual"]', "[]", "sources"),
        ('name = "NPU"', 'name = "NPU"\nspeed = 3', "speed"),
        ('name = "NPU"', "name = 3", "name"),
        ("acme.example/npu", "npu", "resource"),
        ("/dev/acme[0-9]*", "/dev/acme; rm -rf /", "device_glob"),
        ("device_nodes = true", "", "device_nodes"),
        ("device_nodes = true", 'device_nodes = "yes"', "device_nodes"),
        ("device_nodes = true", 'device_nodes = true\nvariable = "("', "unterminated"),
        ('vendor = "Acme"', "vendor = ", "Invalid value"),
    ],
)
def test_what_is_no_table_is_refused_with_its_place(old: str, new: str, why: str) -> None:
    assert why in refused(ACME.replace(old, new))
    assert "x.toml" in refused(ACME.replace(old, new))


def test_metrics_are_compared_in_one_unit() -> None:
    gaudi, neuron = accelerators.by_resource("habana.ai/gaudi"), accelerators.by_resource("aws.amazon.com/neuron")
    assert gaudi is not None
    assert gaudi.exporter is not None
    assert gaudi.exporter.memory_used.common(3 * 2**20) == 3.0
    assert gaudi.exporter.memory_used.close == 64 * 2**20
    assert [metric.name for metric in gaudi.exporter.needed] == [
        "habanalabs_utilization",
        "habanalabs_memory_used_bytes",
        "habanalabs_memory_free_bytes",
        "habanalabs_memory_total_bytes",
    ]
    assert neuron is not None
    assert neuron.exporter is not None
    assert neuron.exporter.utilization.common(0.5) == 50.0
    assert neuron.exporter.utilization.close == pytest.approx(0.05)


def test_commands_and_globs_name_the_same_devices() -> None:
    for kind in accelerators.kinds():
        for command in (kind.uuid_command, kind.product_command, kind.pci_command):
            for path in re.findall(r"/dev/[A-Za-z0-9/\[\]*-]+", command):
                assert path in (kind.device_glob or "").split(), (kind.words, path)


@pytest.mark.parametrize(
    "resource",
    [
        "rdma/hca_shared",
        "openshift.io/mlx",
        "nvidia.com/hostdev",
        "gpu.intel.com/i915_monitoring",
        "devices.kubevirt.io/kvm",
    ],
)
def test_network_devices_and_monitors_are_no_accelerators(resource: str) -> None:
    assert accelerators.no_accelerator(resource)
    assert hardware.facts(hardware.node("a", {resource: "8"})).unknown == ()


def test_the_wheel_has_every_table(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    inside = {Path(name).name for name in zipfile.ZipFile(wheel).namelist() if "/catalog/vendors/" in name}
    assert inside == {path.name for path in TABLES.glob("*.toml")}
    assert len(inside) >= 8
