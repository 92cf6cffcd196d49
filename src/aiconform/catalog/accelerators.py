"""What is known of vendors' accelerators, and by what simulated and virtual ones are known.

An accelerator that is not in this table is not judged: its requirements are undecided and ask for manual proof
(KAR-0001 and KAR-0003 call that Unknown).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aiconform.catalog import exporters


@dataclass(frozen=True)
class AcceleratorKind:
    """A vendor's accelerator as a device plugin offers it.

    Attributes:
        resource: the extended resource.
        device_glob: device nodes of single devices in a container, as a shell pattern.
        tool: the vendor's tool that the node injects into containers.
        driver_command, uuid_command, product_command, pci_command: shell commands that print the driver's version, and
            the UUID, product and PCI address of each device the container holds, one a line.
        runtime_command: a shell command that prints the version of the runtime API (CUDA for NVIDIA).
        health_command: a shell command that exits 0 if the devices answer.
        driver_label, runtime_label: node labels that advertise both versions.
        product_label, count_label, replicas_label, sharing_strategy_label: node labels on the devices.
        runtime_classes: RuntimeClasses that give containers access.
        visible_devices: environment variables by which an image or a pod asks a permissive runtime for devices.
        load_program: the program of ours that keeps a device busy from within a pod.
        exporter: how metrics of its devices are told.
    """

    resource: str
    vendor: str
    device_glob: str
    tool: str
    driver_command: str
    uuid_command: str
    product_command: str
    pci_command: str
    runtime_command: str
    health_command: str
    driver_label: str
    runtime_label: str
    product_label: str
    count_label: str
    replicas_label: str
    sharing_strategy_label: str
    runtime_classes: tuple[str, ...]
    visible_devices: tuple[str, ...]
    load_program: str
    exporter: exporters.Exporter


NVIDIA: Final = AcceleratorKind(
    resource="nvidia.com/gpu",
    vendor="NVIDIA",
    device_glob="/dev/nvidia[0-9]*",
    tool="nvidia-smi",
    driver_command="nvidia-smi --query-gpu=driver_version --format=csv,noheader",
    uuid_command="nvidia-smi --query-gpu=uuid --format=csv,noheader",
    product_command="nvidia-smi --query-gpu=name --format=csv,noheader",
    pci_command="nvidia-smi --query-gpu=pci.bus_id --format=csv,noheader",
    runtime_command="nvidia-smi | sed -n 's/.*CUDA Version: *\\([0-9.]*\\).*/\\1/p'",
    health_command="nvidia-smi",
    driver_label="nvidia.com/cuda.driver-version.full",
    runtime_label="nvidia.com/cuda.runtime-version.full",
    product_label="nvidia.com/gpu.product",
    count_label="nvidia.com/gpu.count",
    replicas_label="nvidia.com/gpu.replicas",
    sharing_strategy_label="nvidia.com/gpu.sharing-strategy",
    runtime_classes=("nvidia", "nvidia-cdi", "nvidia-legacy"),
    visible_devices=("NVIDIA_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"),
    load_program="loading_nvidia",
    exporter=exporters.DCGM,
)

KINDS: Final = (NVIDIA,)

SIMULATED_LABEL: Final = "aiconform.dev/simulated-accelerator"

DRA_VARIABLES: Final = {"gpu.example.com": r"GPU_DEVICE_\d+"}
"""DRA drivers that name the device they give in an environment variable, and that variable's name as a pattern. Other
drivers are expected to show a device node."""

_SIMULATED_DRIVERS: Final = {"gpu.example.com": "dra-example-driver's devices are not real"}
_SIMULATED_NODE_LABELS: Final = {
    SIMULATED_LABEL: "the node says that its accelerators are simulated",
    "run.ai/simulated-gpu-node-pool": "fake-gpu-operator simulates the node's accelerators",
    "type=kwok": "KWOK simulates the node",
}

_VIRTUAL_LABEL: Final = "nvidia.com/vgpu.present"
# NVIDIA's names of vGPU types end in the frame buffer's size and a series letter: GRID-T4-4Q, A100-10C
_VIRTUAL_PRODUCT: Final = re.compile(r"(?i)(^|[-_ ])(grid|vgpu)[-_ ]|[-_ ]\d+[qcab]$")


def by_resource(resource: str) -> AcceleratorKind | None:
    """The kind behind an extended resource; a shared one may be named ``<resource>.shared``."""
    plain = resource.removesuffix(".shared")
    return next((kind for kind in KINDS if kind.resource == plain), None)


def simulated_node(labels: Mapping[str, str]) -> str:
    """By what a node's accelerators are known to be simulated; empty if by nothing."""
    for label, why in _SIMULATED_NODE_LABELS.items():
        key, _, value = label.partition("=")
        if key in labels and (not value or labels[key] == value) and labels[key] != "false":
            return why
    return ""


def simulated_driver(driver: str) -> str:
    """By what a DRA driver's devices are known to be simulated; empty if by nothing."""
    return _SIMULATED_DRIVERS.get(driver, "")


def virtual(labels: Mapping[str, str]) -> str:
    """By what a node's devices are known to be virtual; empty if by nothing."""
    if labels.get(_VIRTUAL_LABEL) == "true":
        return f"label {_VIRTUAL_LABEL}=true"
    product = labels.get(NVIDIA.product_label, "").removesuffix("-SHARED")
    if _VIRTUAL_PRODUCT.search(product):
        return f"product {product} is a vGPU type"
    return ""


def virtual_product(name: str) -> bool:
    """Whether a product's name is that of a virtual device."""
    return bool(_VIRTUAL_PRODUCT.search(name.strip()))
