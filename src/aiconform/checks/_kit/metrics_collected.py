"""What an exporter serves, as a Prometheus has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiconform.catalog.exporters import Metric
from aiconform.checks._kit import (
    metrics_exporters,
    prometheus,
    prometheus_found,
    prometheus_operator,
    selectors,
)
from aiconform.checks._kit.metrics_exporters import Device, Door
from aiconform.checks._kit.prometheus import Monitoring, Sample
from aiconform.engine import Context, State, UndecidableError, kinds

Obj = dict[str, Any]

WITHIN_S = 120.0


async def find(ctx: Context, doors: Sequence[Door]) -> Monitoring:
    """The Prometheus that has these exporters' metrics, or else the first that answers.

    Raises:
        StopProbe: none answers; undecided.
    """
    expected = "a Prometheus answers queries for accelerator metrics"
    problems: list[str] = []
    answering: list[Monitoring] = []
    for monitoring in await prometheus_found.every(ctx):
        try:
            found = await prometheus.query(ctx, monitoring, _everything(doors))
        except UndecidableError as problem:
            problems.append(f"{monitoring.name} by {monitoring.door}: {problem.cause}")
            continue
        answering.append(monitoring)
        if found:
            return monitoring
    if answering:
        return answering[0]
    raise ctx.undecided(expected, "; ".join(problems) or "no Prometheus object", "no Prometheus that we could use")


def _everything(doors: Sequence[Door]) -> str:
    names = sorted({name for door in doors for name in _units(door)})
    return f'{{__name__=~"{"|".join(names)}"}}'


def _units(door: Door) -> dict[str, Metric]:
    return {metric.name: metric for metric in door.exporter.needed}


@dataclass
class Served:
    """A value that a page served first, and what became of it.

    Attributes:
        moved: whether the page has served another since, which a Prometheus that looks now and then may have missed.
        met: whether Prometheus was seen to have it, collected since the probe began.
    """

    first: float | None
    moved: bool = False
    met: bool = False


@dataclass
class Comparison:
    """Samples of the query that follow a page; kept for what is stated afterwards.

    The devices of others work, and each exporter is read at another moment: no single look shows all values at rest.
    So each series must be met once, in whichever look.
    """

    ctx: Context
    monitoring: Monitoring
    doors: Sequence[Door]
    began: float
    samples: Sequence[Sample] = ()
    devices: Mapping[str, Device] = field(default_factory=dict)
    served: dict[tuple[str, str], Served] = field(default_factory=dict)

    async def look(self) -> State:
        """A sample for a wait: every value of every page was in Prometheus, in this look or in an earlier one.

        Values that are not met are blocked, not wrong, where Prometheus has others and each of them moved meanwhile.
        """
        pages = [(door, await metrics_exporters.read(self.ctx, door)) for door in self.doors]
        self.samples = await prometheus.query(self.ctx, self.monitoring, _everything(self.doors))
        self.devices = {name: device for _, page in pages for name, device in page.devices.items()}
        for door, page in pages:
            if len(page.devices) != door.node.physical:
                return State("waiting", f"{door.pod} tells of {len(page.devices)} device(s)")
        old = await self._old()
        found = [
            self._compared(door, device, metric, old=device.identity in old)
            for door, page in pages
            for device in page.devices.values()
            for metric in _units(door).values()
        ]
        if old:
            return State("waiting", f"no new values of {', '.join(old)} since the probe began")
        if differing := [difference for difference, _ in found if difference]:
            moving = all(moved for difference, moved in found if difference)
            observed = f"{len(differing)} series differ: {'; '.join(differing[:3])}"
            return State("blocked" if moving else "waiting", observed)
        return State("met", f"{len(self.samples)} series of {len(self.devices)} devices, with the values served")

    def targets(self) -> frozenset[tuple[str, str]]:
        """Job and instance of the targets that the devices' values came from."""
        identities = {door.exporter.identity for door in self.doors}
        mine = [one for one in self.samples if any(one.labels.get(name) in self.devices for name in identities)]
        return frozenset(_target(one) for one in mine)

    async def _old(self) -> list[str]:
        """Devices whose last values were collected before the probe began: a query finds them for minutes."""
        identity, metric = self.doors[0].exporter.identity, self.doors[0].exporter.utilization.name
        ages = await prometheus.query(self.ctx, self.monitoring, f"min by ({identity}) (time() - timestamp({metric}))")
        age = {one.labels.get(identity, ""): one.value for one in ages}
        longest = self.ctx.now - self.began
        return sorted(name for name in self.devices if name in age and age[name] > longest)

    def _compared(self, door: Door, device: Device, metric: Metric, *, old: bool) -> tuple[str, bool]:
        """How a series that was not met so far differs, or empty; and whether it is there, of a value that moves."""
        name, now = metric.name, device.values.get(metric.name)
        mine = [one for one in self.samples if one.labels.get(door.exporter.identity) == device.identity]
        values = [one.value for one in mine if one.labels.get("__name__") == name]
        seen = self.served.setdefault((device.identity, name), Served(now))
        if now is not None:
            seen.moved |= seen.first is not None and abs(now - seen.first) > metric.close
            seen.met |= not old and any(abs(value - now) <= metric.close for value in values)
        if seen.met:
            return "", seen.moved
        has = ", ".join(f"{value:g}" for value in values) or "nothing"
        return f"{name} of {device.identity}: served {now}, Prometheus has {has}", bool(values) and seen.moved


async def collected(ctx: Context, monitoring: Monitoring, doors: Sequence[Door]) -> None:
    """State that a Prometheus has the exporters' metrics with their values and labels, and by what."""
    seen = Comparison(ctx, monitoring, doors, ctx.now)
    by = await _monitors(ctx, doors)
    await ctx.poll(seen.look, expected=f"{monitoring.name} has the values that the exporters serve", within_s=WITHIN_S)
    lost = {
        f"{device.identity} {label}"
        for one in seen.samples
        for device in [seen.devices.get(one.labels.get(doors[0].exporter.identity, ""))]
        if device is not None
        for label, value in device.labels.items()
        if label in doors[0].exporter.labels
        if one.labels.get(label) != value and one.labels.get(f"exported_{label}") != value
    }
    jobs = sorted({one.labels.get("job", "") for one in seen.samples})
    ctx.expect(
        "every label that identifies a device is kept",
        "; ".join(sorted(lost)) or f"{len(seen.samples)} series keep them",
        ok=not lost,
        figures={"collected by": by, "job": ", ".join(jobs), "Prometheus": f"{monitoring.name} {monitoring.version}"},
    )
    targets, theirs = f'up{{job=~"{"|".join(jobs)}"}}', seen.targets()

    async def look() -> State:
        return up(await prometheus.query(ctx, monitoring, targets), theirs, len(doors))

    await ctx.poll(look, expected=f"{len(doors)} exporter(s) are up", within_s=60)


def up(found: Sequence[Sample], theirs: frozenset[tuple[str, str]], least: int) -> State:
    """Whether the targets that a device's values came from are up; others of the same job do not matter.

    Args:
        found: all targets of their jobs.
        theirs: job and instance of those that matter.
        least: how many there are at least.
    """
    mine = [one for one in found if _target(one) in theirs or (one.labels.get("job", ""), "") in theirs]
    down = [one.labels.get("instance", "without instance") for one in mine if one.value != 1.0]
    others = len(found) - len(mine)
    observed = f"{len(mine) - len(down)} of {len(mine)} targets that tell of the devices" + (
        f", down: {', '.join(down)}" if down else ""
    )
    observed += f"; {others} other target(s) of the job are not looked at" if others else ""
    return State("met" if len(mine) >= least and not down else "waiting", observed)


def _target(one: Sample) -> tuple[str, str]:
    return one.labels.get("job", ""), one.labels.get("instance", "")


async def _monitors(ctx: Context, doors: Sequence[Door]) -> str:
    """The ServiceMonitors that choose a Service of an exporter, by name; for the page alone."""
    namespaces = {door.namespace for door in doors}
    services = [
        (space, item["metadata"].get("labels") or {})
        for space in sorted(namespaces)
        for item in await ctx.list(kinds.SERVICE, space)
        if any(_chooses(item["spec"].get("selector") or {}, door) for door in doors if door.namespace == space)
    ]
    if prometheus_operator.API not in ctx.facts.groups:
        return "not by ServiceMonitors, which are not served"
    found = [
        f"ServiceMonitor {item['metadata']['namespace']}/{item['metadata']['name']}"
        for item in await ctx.list(kinds.SERVICE_MONITOR)
        if any(
            _reaches(item, space) and selectors.matches(item["spec"]["selector"], labels) for space, labels in services
        )
    ]
    return ", ".join(found) or "no ServiceMonitor that chooses the exporters' Services"


def _chooses(selector: Mapping[str, str], door: Door) -> bool:
    return bool(selector) and all(door.labels.get(key) == value for key, value in selector.items())


def _reaches(monitor: Obj, namespace: str) -> bool:
    where = monitor["spec"].get("namespaceSelector") or {}
    own = not where and monitor["metadata"]["namespace"] == namespace
    return own or bool(where.get("any")) or namespace in (where.get("matchNames") or ())
