"""What vendors' exporters call their metrics, and how they are found; the data are in ``vendors/*.toml``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

Unit = Literal["%", "ratio", "MiB", "MB", "bytes", "°C", "W", "mW", "MB/s"]

_OWN: Final[Mapping[str, float]] = {"ratio": 100.0, "MB": 1e6 / 2**20, "bytes": 1 / 2**20}
"""What one of a unit is in per cent or in MiB."""
_CLOSE: Final[Mapping[str, float]] = {"%": 5.0, "ratio": 5.0, "MiB": 64.0, "MB": 64.0, "bytes": 64.0}
"""Per cent or MiB that a value may move by between two looks."""


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Metric(_Row):
    """A metric of one device: its name, its unit, and the values that a working device can have."""

    name: str = Field(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$")
    unit: Unit
    least: float = 0.0
    most: float = float("inf")

    def sane(self, value: float) -> bool:
        """Whether a device can have this value; false for what is no number."""
        return self.least <= value <= self.most

    def common(self, value: float) -> float:
        """A value in the unit that vendors are compared in: per cent for shares, MiB for memory."""
        return value * _OWN.get(self.unit, 1.0)

    @property
    def close(self) -> float:
        """What a value may move by between two looks, in its own unit; 0 where any change tells."""
        return _CLOSE.get(self.unit, 0.0) / _OWN.get(self.unit, 1.0)


class Exporter(_Row):
    """How a vendor's exporter tells what its devices do. What the vendor does not document is left out.

    Attributes:
        apps: values of the usual app labels that its pods carry.
        port: where it serves, if its container names no port ``metrics``.
        identity: label with the device's unique id.
        utilization: share of time in which the device worked.
        memory_used, memory_free, memory_total: device memory.
        optional: what is only asked for where the hardware has it, by what it is.
        model, address, driver, host: labels with the device's product, PCI address, driver version and node.
    """

    apps: tuple[str, ...] = Field(min_length=1)
    port: int = Field(gt=0, lt=65536)
    identity: str = ""
    utilization: Metric
    memory_used: Metric
    memory_free: Metric | None = None
    memory_total: Metric | None = None
    model: str = ""
    address: str = ""
    driver: str = ""
    host: str = ""
    optional: Mapping[str, Metric] = Field(default_factory=dict)

    @property
    def needed(self) -> tuple[Metric, ...]:
        """The metrics that every device must have."""
        found = (self.utilization, self.memory_used, self.memory_free, self.memory_total)
        return tuple(metric for metric in found if metric is not None)

    @property
    def labels(self) -> frozenset[str]:
        """The labels by which a device is known; others tell who used it, or where it was scraped."""
        return frozenset({self.identity, self.model, self.address, self.driver, self.host} - {""})
