"""All devices over time, as exporters tell of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from aiconform.checks._kit import metrics_exporters
from aiconform.checks._kit.metrics_devices import complete
from aiconform.checks._kit.metrics_exporters import Device, Door, Page
from aiconform.engine import Context, Series


@dataclass
class Watch:
    """All devices of some nodes over time.

    Attributes:
        doors: the exporters.
        pages: what they said first, by node.
        idle: what each device was then, by identity.
        points: utilisation since, for a plot.
        rise_s: how long it took a load to show.
    """

    doors: tuple[Door, ...]
    pages: dict[str, Page] = field(default_factory=dict)
    idle: dict[str, Device] = field(default_factory=dict)
    where: dict[str, Door] = field(default_factory=dict)
    points: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    rise_s: float = 0.0

    async def rest(self, ctx: Context) -> None:
        """Take note of what all devices are without a load of ours."""
        for door in self.doors:
            page = self.pages[door.node.node] = await metrics_exporters.read(ctx, door)
            for name, device in page.devices.items():
                self.idle[name], self.where[name] = device, door
                self._note(ctx, door, device)

    async def look(self, ctx: Context) -> dict[str, Device]:
        """Every device as it is now.

        Raises:
            StopProbe: an exporter tells of a device no more (failed).
        """
        seen: dict[str, Device] = {}
        for door in self.doors:
            page = await metrics_exporters.read(ctx, door)
            lost = sorted(name for name, at in self.where.items() if at is door and name not in page.devices)
            if lost:
                ctx.expect(f"{door.pod} still tells of every device", f"{', '.join(lost)} not there any more", ok=False)
            for name, device in page.devices.items():
                seen[name] = device
                self._note(ctx, door, device)
        return seen

    def _note(self, ctx: Context, door: Door, device: Device) -> None:
        if complete(device, door.exporter):
            busy = door.exporter.utilization
            value = busy.common(device.values[busy.name])
            self.points.setdefault(device.identity, []).append((ctx.now, value))

    def series(self) -> tuple[Series, ...]:
        """Utilisation of every device, for a plot."""
        return tuple(
            Series(f"{name} on {self.where[name].node.node}", "%", tuple(points))
            for name, points in sorted(self.points.items())
            if name in self.where
        )

    def grown(self, name: str, device: Device | None) -> tuple[float, float] | None:
        """Utilisation now in per cent, and memory in use above what it was at rest in MiB; None if that is not told."""
        before, door = self.idle.get(name), self.where.get(name)
        if device is None or before is None or door is None:
            return None
        if not (complete(device, door.exporter) and complete(before, door.exporter)):
            return None
        used, busy = door.exporter.memory_used, door.exporter.utilization
        grown = device.values[used.name] - before.values[used.name]
        return busy.common(device.values[busy.name]), used.common(grown)

    def base(self, name: str) -> float:
        """Utilisation at rest, in per cent."""
        busy = self.where[name].exporter.utilization
        return busy.common(self.idle[name].values[busy.name])
