from __future__ import annotations

import struct
from pathlib import Path

import pytest

from aiconform.errors import LocalClusterError, UsageError
from aiconform.local.accelerators.devices import board_file, devices_of, free_major
from aiconform.local.accelerators.node import node_extras, node_labels
from aiconform.local.accelerators.pci import configuration_space, write_pci_devices
from aiconform.local.profiles import Accelerators, NodeExtras, NodeSpec

T4 = Accelerators("Tesla T4", count=2)
VIRTUAL = Accelerators("GRID T4-4Q", count=1, virtual=True)


def _devices_file(tmp_path: Path, majors: range) -> Path:
    file = tmp_path / "devices"
    lines = ["Character devices:", "  1 mem", *(f"{m} x" for m in majors), "", "Block devices:", "240 other"]
    file.write_text("\n".join(lines))
    return file


@pytest.mark.parametrize(("taken", "expected"), [(range(0), 240), (range(240, 243), 243), (range(241, 255), 240)])
def test_first_free_major_of_the_local_range(tmp_path: Path, taken: range, expected: int) -> None:
    assert free_major(_devices_file(tmp_path, taken)) == expected


def test_no_free_major(tmp_path: Path) -> None:
    with pytest.raises(LocalClusterError, match="no free device number"):
        free_major(_devices_file(tmp_path, range(240, 255)))


def test_identities_are_stable_and_differ_by_device_node_and_cluster() -> None:
    again = [devices_of(node, cluster, T4, 240) for node, cluster in [("a", "x"), ("b", "x"), ("a", "y")]]
    assert again[0] == devices_of("a", "x", T4, 240)
    assert len({device.uuid for devices in again for device in devices}) == 6
    assert len({device.serial for devices in again for device in devices}) == 6


def test_serials_say_simulated() -> None:
    assert all(device.serial.startswith("SIMULATED") for device in devices_of("a", "x", T4, 240))


def test_bus_ids_count_up_in_the_order_of_minors() -> None:
    first, second = devices_of("a", "x", T4, 240)
    assert int(second.bus_id[9:11], 16) == int(first.bus_id[9:11], 16) + 1


def test_unknown_model() -> None:
    with pytest.raises(UsageError, match="Voodoo"):
        devices_of("a", "x", Accelerators("Voodoo 2", 1), 240)


def test_board_file_names_every_device() -> None:
    devices = devices_of("a", "x", T4, 241)
    text = board_file(devices)
    assert text.count("[device]") == 2
    assert all(f"uuid = {device.uuid}" in text for device in devices)
    assert "SIMULATED" in text


def test_virtual_device_has_the_signature_in_pci_space() -> None:
    space = configuration_space(devices_of("v", "x", VIRTUAL, 240)[0])
    assert len(space) == 256
    assert struct.unpack_from("<H", space)[0] == 0x10DE
    capability = space[space[0x34] :]
    assert capability[0] == 9
    assert capability[3:5] == b"VF"
    assert capability[7:17] == b"580.126.20"


def test_physical_device_has_no_such_capability() -> None:
    assert configuration_space(devices_of("p", "x", T4, 240)[0])[0x34] == 0


def test_pci_entries(tmp_path: Path) -> None:
    devices = devices_of("a", "x", T4, 240)
    write_pci_devices(tmp_path, devices)
    entry = tmp_path / devices[0].bus_id[4:].lower()
    assert (entry / "vendor").read_text() == "0x10de\n"
    assert (entry / "class").read_text() == "0x030200\n"


def test_labels_say_simulated() -> None:
    assert node_labels(T4)["aiconform.dev/simulated-accelerator"] == "true"
    assert node_labels(Accelerators("Tesla T4", 1, time_slices=4))["nvidia.com/device-plugin.config"] == "time-sliced-4"


def test_a_plain_node_gets_nothing(tmp_path: Path) -> None:
    assert node_extras(NodeSpec("control"), "x", tmp_path, tmp_path / "node") == NodeExtras()


def test_a_node_gets_its_device_nodes_and_driver_root(tmp_path: Path) -> None:
    driver = tmp_path / "driver"
    driver.mkdir()
    for name in ("libnvidia-ml.so.580.126.20", "libcuda.so.580.126.20", "nvidia-smi"):
        (driver / name).write_text("built")
    extras = node_extras(NodeSpec("gpu-0", accelerators=T4), "x", driver, tmp_path / "node")
    paths = [device.path for device in extras.devices]
    assert paths[:3] == ["/dev/nvidia0", "/dev/nvidia1", "/dev/nvidiactl"]
    assert len({(device.major, device.minor) for device in extras.devices}) == len(paths)
    root = extras.mounts[0].source
    assert (root / "usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1").read_text() == "built"
    assert "accept-nvidia-visible-devices-envvar-when-unprivileged = false" in extras.files[0].content
