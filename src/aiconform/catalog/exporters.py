"""What vendors' exporters call their metrics, and how they are found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True)
class Metric:
    """A metric of one device: its name, its unit, and the values that a working device can have."""

    name: str
    unit: str
    least: float = 0.0
    most: float = float("inf")

    def sane(self, value: float) -> bool:
        """Whether a device can have this value; false for what is no number."""
        return self.least <= value <= self.most


@dataclass(frozen=True)
class Exporter:
    """How a vendor's exporter tells what its devices do.

    Attributes:
        apps: values of the usual app labels that its pods carry.
        port: where it serves, if its container names no port ``metrics``.
        identity: label with the device's unique id.
        utilization: share of time in which the device worked.
        memory_used, memory_free: device memory, in one unit.
        optional: what is only asked for where the hardware has it, by what it is.
        model, address, driver, host: labels with the device's product, PCI address, driver version and node.
    """

    apps: tuple[str, ...]
    port: int
    identity: str
    utilization: Metric
    memory_used: Metric
    memory_free: Metric
    model: str
    address: str
    driver: str
    host: str
    optional: Mapping[str, Metric] = field(default_factory=dict)

    @property
    def labels(self) -> frozenset[str]:
        """The labels by which a device is known; others tell who used it, or where it was scraped."""
        return frozenset({self.identity, self.model, self.address, self.driver, self.host})


DCGM: Final = Exporter(
    apps=(
        *("dcgm-exporter", "nvidia-dcgm-exporter"),  # its own chart, and the GPU Operator
        "gke-managed-dcgm-exporter",
        "accelerator-exporter",  # aiconform's, on its local cluster
    ),
    port=9400,
    identity="UUID",
    utilization=Metric("DCGM_FI_DEV_GPU_UTIL", "%", 0, 100),
    memory_used=Metric("DCGM_FI_DEV_FB_USED", "MiB"),
    memory_free=Metric("DCGM_FI_DEV_FB_FREE", "MiB"),
    model="modelName",
    address="pci_bus_id",
    driver="DCGM_FI_DRIVER_VERSION",
    host="Hostname",
    optional={
        "temperature": Metric("DCGM_FI_DEV_GPU_TEMP", "°C", 1, 120),
        "power": Metric("DCGM_FI_DEV_POWER_USAGE", "W", 0.1, 3000),
        "interconnect": Metric("DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL", "MB/s"),
    },
)
"""NVIDIA's Data Center GPU Manager (DCGM Exporter's field names)."""
