"""What simulated accelerators add to a node before its container runtime starts."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from aiconform.local.accelerators import toolkit
from aiconform.local.accelerators.devices import CONTROL_MINOR, Device, devices_of, free_major
from aiconform.local.accelerators.driver_root import DRIVER_ROOT, write_driver_root
from aiconform.local.accelerators.pci import write_pci_devices
from aiconform.local.profiles import Accelerators, BindMount, DeviceNode, NodeExtras, NodeFile, NodeSpec

PCI_DEVICES = "/sys/bus/pci/devices"

META_DEVICES = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset")
"""Device nodes that every container with an accelerator gets beside its own; minors from 255 downwards."""


def node_labels(accelerators: Accelerators) -> Mapping[str, str]:
    """Labels of the Node object from its first registration.

    ``nvidia.com/gpu.present`` lets the device plugin's chart start its pods before node-feature-discovery has looked
    around, and tells an autoscaler from the start that devices are to come.
    """
    labels = {
        "aiconform.dev/simulated-accelerator": "true",
        "nvidia.com/gpu.present": "true",
        "nvidia.com/device-plugin.config": plugin_config_name(accelerators),
    }
    return labels | ({"aiconform.dev/dra-example-driver": "true"} if accelerators.dra else {})


def plugin_config_name(accelerators: Accelerators) -> str:
    """Name of the device plugin's configuration for a node."""
    return "exclusive" if accelerators.time_slices == 1 else f"time-sliced-{accelerators.time_slices}"


def preparation(cluster: str, driver: Path) -> Callable[[NodeSpec, Path], NodeExtras]:
    """:func:`node_extras` for the nodes of one cluster, as :class:`aiconform.local.boot.Parts` wants it."""
    return lambda spec, directory: node_extras(spec, cluster, driver, directory)


def node_extras(spec: NodeSpec, cluster: str, driver: Path, directory: Path) -> NodeExtras:
    """Make a node's driver root and say what else the node needs.

    Args:
        spec: the node.
        cluster: name of its cluster; part of the devices' identity.
        driver: the built driver, see :func:`~aiconform.local.accelerators.driver.ensure_driver`.
        directory: where the node's files go; replaced if it exists. It must stay while the node runs.

    Returns:
        Nothing to add for a node without accelerators.

    Raises:
        UsageError: the model is unknown.
        LocalClusterError: no device number is free.
        OSError: the files cannot be written.
    """
    if spec.accelerators is None:
        return NodeExtras()
    devices = devices_of(spec.name, cluster, spec.accelerators, free_major())
    shutil.rmtree(directory, ignore_errors=True)
    write_driver_root(directory / "driver", driver, devices)
    mounts = [BindMount(directory / "driver", DRIVER_ROOT)]
    if Path(PCI_DEVICES).is_dir():  # not on a machine without PCI; the labels above then have to do
        write_pci_devices(directory / "pci", devices)
        mounts.append(BindMount(directory / "pci", PCI_DEVICES))
    return NodeExtras(
        devices=_device_nodes(devices),
        mounts=tuple(mounts),
        files=(NodeFile(toolkit.CONFIG_PATH, toolkit.config()),),
        labels=node_labels(spec.accelerators),
    )


def _device_nodes(devices: tuple[Device, ...]) -> tuple[DeviceNode, ...]:
    major = devices[0].major
    own = [DeviceNode(f"/dev/nvidia{device.minor}", major, device.minor) for device in devices]
    meta = [DeviceNode(f"/dev/{name}", major, CONTROL_MINOR - index) for index, name in enumerate(META_DEVICES)]
    return (*own, *meta)
