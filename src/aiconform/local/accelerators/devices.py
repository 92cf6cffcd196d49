"""Which simulated devices a node has, and the text file that tells the driver library about them."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from pathlib import Path

from aiconform.errors import LocalClusterError, UsageError
from aiconform.local.profiles import Accelerators

DRIVER_VERSION = "580.126.20"
"""Version of the NVIDIA driver that is imitated."""

CUDA_VERSION = 13000
"""CUDA version of that driver as NVML counts: 1000 * major + 10 * minor."""

LOCAL_MAJORS = range(240, 255)
"""Character device majors for local and experimental use (Linux, Documentation/admin-guide/devices.txt)."""

CONTROL_MINOR = 255
"""Minor number of ``/dev/nvidiactl``; the simulated ``nvidia-uvm`` nodes follow downwards."""


@dataclass(frozen=True)
class Model:
    """A product whose properties NVML tells.

    Args:
        name: product name.
        memory_mib: device memory in MiB.
        compute: CUDA compute capability.
        architecture: ``NVML_DEVICE_ARCH_*`` of ``nvml.h``; 6 is Turing.
        pci_device: PCI device id of vendor 10de.
        pci_subsystem: PCI subsystem id of vendor 10de.
        power_limit_watt: board power limit.
    """

    name: str
    memory_mib: int
    compute: tuple[int, int]
    architecture: int
    pci_device: int
    pci_subsystem: int
    power_limit_watt: int


MODELS = {
    model.name: model
    for model in (
        Model("Tesla T4", 15360, (7, 5), 6, 0x1EB8, 0x12A2, 70),
        Model("GRID T4-4Q", 4096, (7, 5), 6, 0x1EB8, 0x130F, 70),
    )
}


@dataclass(frozen=True)
class Device:
    """One simulated device of one node. ``bus_id`` is written as NVML does: ``00000000:3B:00.0``."""

    model: Model
    major: int
    minor: int
    uuid: str
    serial: str
    bus_id: str
    virtual: bool


def free_major(devices_file: Path = Path("/proc/devices")) -> int:
    """The first character device major of the local range that no driver of this kernel uses.

    Raises:
        LocalClusterError: all of them are taken.
    """
    characters = devices_file.read_text().partition("Block devices:")[0]
    taken = {int(line.split()[0]) for line in characters.splitlines() if line.split() and line.split()[0].isdigit()}
    for major in LOCAL_MAJORS:
        if major not in taken:
            return major
    raise LocalClusterError(
        "no free device number for simulated accelerators",
        details=[f"all character majors from {LOCAL_MAJORS.start} to {LOCAL_MAJORS.stop - 1} are in use"],
        hint="unload a driver that uses one of them (see /proc/devices)",
    )


def devices_of(node: str, cluster: str, accelerators: Accelerators, major: int) -> tuple[Device, ...]:
    """The devices of a node. Identities are derived from cluster and node names, so they are the same at every start.

    Raises:
        UsageError: the model is unknown.
    """
    model = MODELS.get(accelerators.model)
    if model is None:
        raise UsageError(f"unknown accelerator model {accelerators.model!r}", hint="models: " + ", ".join(MODELS))
    return tuple(
        _device(node, cluster, model, major, minor, virtual=accelerators.virtual) for minor in range(accelerators.count)
    )


def _device(node: str, cluster: str, model: Model, major: int, minor: int, *, virtual: bool) -> Device:
    digest = hashlib.sha256(f"{cluster}/{node}/{minor}".encode()).digest()
    # Bus numbers differ from node to node, as they do between real machines.
    bus = 0x20 + hashlib.sha256(f"{cluster}/{node}".encode()).digest()[0] % 0x80 + minor
    return Device(
        model=model,
        major=major,
        minor=minor,
        uuid=f"GPU-{uuid.UUID(bytes=digest[:16], version=4)}",
        serial=f"SIMULATED{int.from_bytes(digest[17:21], 'big'):010d}",
        bus_id=f"00000000:{bus:02X}:00.0",
        virtual=virtual,
    )


def board_file(devices: tuple[Device, ...]) -> str:
    """The text that the driver library reads (its format: ``driver/board.c``)."""
    lines = [
        "# Simulated NVIDIA devices of this node, made by aiconform. No real accelerator stands behind them.",
        "# Processes that load a device hold locks on this file; the driver library adds them up.",
        f"driver_version = {DRIVER_VERSION}",
        f"cuda_version = {CUDA_VERSION}",
    ]
    for device in devices:
        model = device.model
        lines += [
            "",
            "[device]",
            f"name = {model.name}",
            f"uuid = {device.uuid}",
            f"serial = {device.serial}",
            f"bus_id = {device.bus_id}",
            f"major = {device.major}",
            f"minor = {device.minor}",
            f"memory_mib = {model.memory_mib}",
            f"compute_major = {model.compute[0]}",
            f"compute_minor = {model.compute[1]}",
            f"architecture = {model.architecture}",
            f"pci_device_id = {model.pci_device << 16 | 0x10DE:#010x}",
            f"pci_subsystem_id = {model.pci_subsystem << 16 | 0x10DE:#010x}",
            f"power_limit_watt = {model.power_limit_watt}",
            f"virtual = {int(device.virtual)}",
        ]
    return "\n".join(lines) + "\n"
