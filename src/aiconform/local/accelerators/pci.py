"""PCI entries of simulated devices, in the form of ``/sys/bus/pci/devices``.

node-feature-discovery and gpu-feature-discovery find devices there. The directory is shown inside the node only, in
place of the machine's own list.
"""

from __future__ import annotations

import struct
from pathlib import Path

from aiconform.local.accelerators.devices import DRIVER_VERSION, Device

NVIDIA = 0x10DE
CLASS_3D_CONTROLLER = 0x030200
CLASS_VGA_CONTROLLER = 0x030000

_CAPABILITY_AT = 0xD0


def write_pci_devices(directory: Path, devices: tuple[Device, ...]) -> None:
    """Write one directory per device below ``directory``."""
    for device in devices:
        folder = directory / device.bus_id[4:].lower()
        folder.mkdir(parents=True)
        for name, content in _attributes(device).items():
            (folder / name).write_text(content + "\n")
        (folder / "config").write_bytes(configuration_space(device))


def _class(device: Device) -> int:
    return CLASS_VGA_CONTROLLER if device.virtual else CLASS_3D_CONTROLLER


def _attributes(device: Device) -> dict[str, str]:
    return {
        "vendor": f"{NVIDIA:#06x}",
        "device": f"{device.model.pci_device:#06x}",
        "subsystem_vendor": f"{NVIDIA:#06x}",
        "subsystem_device": f"{device.model.pci_subsystem:#06x}",
        "class": f"{_class(device):#08x}",
        "revision": "0xa1",
        "numa_node": "-1",
        "resource": "\n".join(["0x0000000000000000 0x0000000000000000 0x0000000000000000"] * 7),
        "label": "SIMULATED by aiconform",
    }


def configuration_space(device: Device) -> bytes:
    """The 256 bytes of PCI configuration.

    A virtual GPU is told apart by a vendor-specific capability with the signature ``VF`` and a record with the version
    and branch of the host's driver (read by gpu-feature-discovery, k8s-device-plugin ``internal/vgpu``).
    """
    space = bytearray(256)
    struct.pack_into("<HH", space, 0x00, NVIDIA, device.model.pci_device)
    struct.pack_into("<HH", space, 0x2C, NVIDIA, device.model.pci_subsystem)
    space[0x08:0x0C] = bytes([0xA1]) + _class(device).to_bytes(3, "little")
    if device.virtual:
        space[0x06] = 0x10  # status: there is a capability list
        space[0x34] = _CAPABILITY_AT
        version = DRIVER_VERSION.encode()[:10].ljust(10, b"\0")
        branch = f"r{DRIVER_VERSION.partition('.')[0]}_00".encode().ljust(10, b"\0")
        record = bytes([0, 22]) + version + branch
        capability = bytes([0x09, 0, 5 + len(record)]) + b"VF" + record
        space[_CAPABILITY_AT : _CAPABILITY_AT + len(capability)] = capability
    return bytes(space)
