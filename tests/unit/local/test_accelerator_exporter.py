"""The accelerator exporter: its program over a stand-in for NVIDIA's bindings, its image's files, its objects."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest

from aiconform.catalog import accelerators
from aiconform.checks._kit.metrics_devices import complete, describe
from aiconform.checks._kit.metrics_exporters import OPENMETRICS, parse
from aiconform.local.accelerators.devices import DRIVER_VERSION
from aiconform.local.addons import accelerator_exporter, registry
from aiconform.local.addons.exporter import image
from aiconform.local.images.table import IMAGES
from aiconform.local.profiles import PROFILES
from aiconform.local.programs import pypi

NVIDIA = accelerators.by_resource("nvidia.com/gpu")
assert NVIDIA is not None
assert NVIDIA.exporter is not None
DCGM = NVIDIA.exporter

MIB = 1024 * 1024


class NVMLError(Exception):
    def __init__(self, value: int) -> None:
        super().__init__(value)
        self.value = value


def bindings(*, power: int | NVMLError = 68500) -> ModuleType:
    """Two devices; handles are their indexes."""
    module: Any = ModuleType("pynvml")
    module.NVMLError, module.NVML_ERROR_NOT_SUPPORTED, module.NVML_ERROR_FUNCTION_NOT_FOUND = NVMLError, 3, 13
    module.NVML_TEMPERATURE_GPU = module.NVML_CLOCK_SM = 0
    module.nvmlDeviceGetCount = lambda: 2
    module.nvmlDeviceGetHandleByIndex = lambda index: index
    module.nvmlDeviceGetUUID = lambda device: f"GPU-{device}"
    module.nvmlDeviceGetPciInfo = lambda device: SimpleNamespace(busId=f"00000000:0{device}:00.0")
    module.nvmlDeviceGetMinorNumber = lambda device: device
    module.nvmlDeviceGetName = lambda _: "Tesla T4"
    module.nvmlSystemGetDriverVersion = lambda: DRIVER_VERSION
    module.nvmlDeviceGetUtilizationRates = lambda device: SimpleNamespace(gpu=83 * device, memory=41 * device)
    module.nvmlDeviceGetMemoryInfo = lambda device: SimpleNamespace(used=2048 * device * MIB, free=8192 * MIB)
    module.nvmlDeviceGetTemperature = lambda *_: 61
    module.nvmlDeviceGetClockInfo = lambda *_: 300

    def power_usage(_: int) -> int:
        if isinstance(power, NVMLError):
            raise power
        return power

    module.nvmlDeviceGetPowerUsage = power_usage
    return module  # type: ignore[no-any-return]


def served(nvml: ModuleType, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setenv("NODE_NAME", "gpu-0")
    path = Path(image.__file__).with_name(f"{image.PROGRAM}.py")
    spec = importlib.util.spec_from_file_location("exporter_under_test", path)
    assert spec is not None
    assert spec.loader is not None
    program = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "exporter_under_test", program)
    spec.loader.exec_module(program)
    exported = CollectorRegistry()
    exported.register(program.Devices())
    return generate_latest(exported).decode()


def test_the_page_is_what_the_check_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    page = parse(served(bindings(), monkeypatch), OPENMETRICS, DCGM)
    assert page.format == "OpenMetrics"
    assert describe(page.devices["GPU-1"], DCGM) == (
        "83 %, 2048 of 10240 MiB, 61 °C, 68.5 W; modelName Tesla T4, pci_bus_id 00000000:01:00.0, "
        f"DCGM_FI_DRIVER_VERSION {DRIVER_VERSION}, Hostname gpu-0"
    )
    assert all(complete(device, DCGM) for device in page.devices.values())


def test_a_field_that_the_device_does_not_have_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    page = parse(served(bindings(power=NVMLError(3)), monkeypatch), OPENMETRICS, DCGM)
    assert sorted(page.devices) == ["GPU-0", "GPU-1"]
    assert "DCGM_FI_DEV_POWER_USAGE" not in page.devices["GPU-0"].values


def test_another_error_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NVMLError):
        served(bindings(power=NVMLError(999)), monkeypatch)


def test_the_bindings_are_of_the_driver_that_is_imitated() -> None:
    pins = (pypi.PINS / "accelerator-exporter.txt").read_text()
    version = re.search(r"nvidia-ml-py==13\.(\S+)", pins)
    assert version is not None
    assert DRIVER_VERSION.startswith(f"{version[1]}.")


def test_it_is_named_as_ours() -> None:
    assert IMAGES["accelerator-exporter"].reference.startswith("aiconform.local/")
    assert "simulated" in registry.ADDONS["accelerator-exporter"].version


@pytest.fixture
def daemon_set() -> Any:
    [found] = [dict(item) for item in accelerator_exporter.objects(None) if item["kind"] == "DaemonSet"]  # type: ignore[arg-type]
    return found["spec"]["template"]["spec"]


def test_it_holds_no_accelerator_and_no_capability_in_effect(daemon_set: dict[str, Any]) -> None:
    [container] = daemon_set["containers"]
    assert "nvidia.com/gpu" not in str(container["resources"])
    assert daemon_set["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert not daemon_set["automountServiceAccountToken"]


class Api:
    """Nodes of the default profile, one that an autoscaler brought, and Prometheus' answer."""

    def __init__(self, *hosts: str) -> None:
        self.hosts = hosts

    def get(self, path: str) -> dict[str, Any]:
        if path == "/api/v1/nodes":
            passing = self.node("passing", True)
            passing["spec"] = {"taints": [{"key": "aiconform.dev/autoscaled", "effect": "NoSchedule"}]}
            return {
                "items": [passing, *(self.node(spec.name, spec.accelerators) for spec in PROFILES["default"].nodes)]
            }
        return {"data": {"result": [{"metric": {"Hostname": host}} for host in self.hosts]}}

    def node(self, name: str, accelerators: object) -> dict[str, Any]:
        labels = {"aiconform.dev/simulated-accelerator": "true"} if accelerators else {}
        allocatable = {"nvidia.com/gpu": "1"} if accelerators else {}
        return {"metadata": {"name": name, "labels": labels}, "status": {"allocatable": allocatable}}


def test_it_is_ready_when_prometheus_knows_every_node_with_accelerators() -> None:
    assert accelerator_exporter.missing(Api("gpu-0", "gpu-1")) == []  # type: ignore[arg-type]
    assert accelerator_exporter.missing(Api("gpu-0")) == ["metrics of the accelerators on gpu-1"]  # type: ignore[arg-type]
    assert len(accelerator_exporter.missing(Api())) == 2  # type: ignore[arg-type]
