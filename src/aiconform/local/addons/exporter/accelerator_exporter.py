"""Serves what a node's accelerators are doing, read through NVML, under the field names of NVIDIA's DCGM.

Stands in for DCGM Exporter on the local cluster: same fields and labels, but a program of aiconform, for simulated
devices. Needs ``nvidia-ml-py`` and ``prometheus_client`` and nothing of aiconform.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pynvml
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily

PORT = 9400
LABELS = ("gpu", "UUID", "pci_bus_id", "device", "modelName", "Hostname", "DCGM_FI_DRIVER_VERSION")

_MIB = 1024 * 1024
_ABSENT = (pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)


@dataclass(frozen=True)
class Field:
    """A field of DCGM, and how NVML answers it; it is left out for a device that does not have it."""

    name: str
    help: str
    ask: Callable[[object], float]


FIELDS = (
    Field(
        "DCGM_FI_DEV_GPU_UTIL",
        "Time in which the device worked (in %).",
        lambda device: float(pynvml.nvmlDeviceGetUtilizationRates(device).gpu),
    ),
    Field(
        "DCGM_FI_DEV_MEM_COPY_UTIL",
        "Time in which its memory was read or written (in %).",
        lambda device: float(pynvml.nvmlDeviceGetUtilizationRates(device).memory),
    ),
    Field(
        "DCGM_FI_DEV_FB_USED",
        "Device memory in use (in MiB).",
        lambda device: pynvml.nvmlDeviceGetMemoryInfo(device).used / _MIB,
    ),
    Field(
        "DCGM_FI_DEV_FB_FREE",
        "Device memory that is free (in MiB).",
        lambda device: pynvml.nvmlDeviceGetMemoryInfo(device).free / _MIB,
    ),
    Field(
        "DCGM_FI_DEV_GPU_TEMP",
        "Temperature (in C).",
        lambda device: float(pynvml.nvmlDeviceGetTemperature(device, pynvml.NVML_TEMPERATURE_GPU)),
    ),
    Field(
        "DCGM_FI_DEV_POWER_USAGE",
        "Power draw (in W).",
        lambda device: pynvml.nvmlDeviceGetPowerUsage(device) / 1000,
    ),
    Field(
        "DCGM_FI_DEV_SM_CLOCK",
        "Clock of the multiprocessors (in MHz).",
        lambda device: float(pynvml.nvmlDeviceGetClockInfo(device, pynvml.NVML_CLOCK_SM)),
    ),
)


def devices() -> list[object]:
    """NVML's handles of every device of the node."""
    return [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]


def labels(index: int, device: object) -> tuple[str, ...]:
    """The values of :data:`LABELS` for a device."""
    return (
        str(index),
        pynvml.nvmlDeviceGetUUID(device),
        pynvml.nvmlDeviceGetPciInfo(device).busId,
        f"nvidia{pynvml.nvmlDeviceGetMinorNumber(device)}",
        pynvml.nvmlDeviceGetName(device),
        os.environ.get("NODE_NAME", ""),
        pynvml.nvmlSystemGetDriverVersion(),
    )


def read(field: Field, device: object) -> float | None:
    """The value of a field now, or None where the device has no such thing."""
    try:
        return field.ask(device)
    except pynvml.NVMLError as problem:
        if problem.value in _ABSENT:
            return None
        raise


class Devices:
    """Asks NVML anew each time the metrics are read."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """One family a field, one sample a device."""
        known = [(labels(index, device), device) for index, device in enumerate(devices())]
        for field in FIELDS:
            family = GaugeMetricFamily(field.name, field.help, labels=LABELS)
            for named, device in known:
                value = read(field, device)
                if value is not None:
                    family.add_metric(named, value)
            yield family


def main() -> None:
    """Serve until told to stop."""
    pynvml.nvmlInit()
    registry = CollectorRegistry()
    registry.register(Devices())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    start_http_server(PORT, registry=registry)
    sys.stdout.write(f"SIMULATED accelerators: serving {len(devices())} device(s) on port {PORT}\n")
    sys.stdout.flush()
    signal.pause()


if __name__ == "__main__":
    main()
