"""When a Prometheus counts as having what exporters serve: each value once, of devices that others keep busy too."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.support.scripted import Scripted

from aiconform.catalog import accelerators
from aiconform.checks._kit import metrics_collected, metrics_exporters, prometheus
from aiconform.checks._kit.metrics_exporters import Device, Door
from aiconform.checks._kit.prometheus import Sample
from aiconform.engine import Context, StopProbe

NVIDIA = accelerators.by_resource("nvidia.com/gpu")
assert NVIDIA is not None
assert NVIDIA.exporter is not None
UTIL, USED, FREE = (metric.name for metric in NVIDIA.exporter.needed)
A, B = "GPU-A", "GPU-B"
NODE: Any = SimpleNamespace(node="gpu-1", kind=NVIDIA, physical=2)
DOOR = Door(NODE, "gpu/exporter", "/page", frozenset(), {})

Look = dict[str, float]
"""Utilisation by device."""


def outcome(
    monkeypatch: pytest.MonkeyPatch,
    *looks: tuple[Look, Look],
    ages: Sequence[dict[str, float]] = (),
) -> tuple[str, str]:
    """What a wait comes to that sees these pages, and with each what Prometheus has: the last look again and again."""
    ctx = Scripted()
    ctx.looks = len(looks)
    now = iter(looks)
    old = iter(ages)
    current: list[tuple[Look, Look]] = []

    async def read(*_: Any) -> Any:
        current.append(next(now))
        devices = {name: Device(name, {}, values(busy)) for name, busy in current[-1][0].items()}
        return SimpleNamespace(devices=devices)

    async def query(_ctx: Any, _monitoring: Any, promql: str) -> list[Sample]:
        if promql.startswith("min by"):
            return [Sample({"UUID": name}, age) for name, age in next(old, {}).items()]
        return [
            Sample({"__name__": metric, "UUID": name}, value)
            for name, busy in current[-1][1].items()
            for metric, value in values(busy).items()
        ]

    monkeypatch.setattr(metrics_exporters, "read", read)
    monkeypatch.setattr(prometheus, "query", query)
    seen = metrics_collected.Comparison(cast("Context", ctx), cast("Any", None), [DOOR], 0.0)

    async def wait() -> None:
        await ctx.poll(seen.look, expected="it", within_s=120)

    with contextlib.suppress(StopProbe):
        asyncio.run(wait())
    return ctx.told[-1]


def values(busy: float) -> dict[str, float]:
    return {UTIL: busy, USED: 1000.0, FREE: 9000.0}


def test_each_value_is_met_in_a_look_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    first = ({A: 90, B: 10}, {A: 90, B: 80})
    second = ({A: 20, B: 50}, {A: 90, B: 50})
    assert outcome(monkeypatch, first, second)[0] == "passed"


def test_a_value_that_stays_and_is_never_met_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = [({A: busy, B: 10}, {A: 50, B: 80}) for busy in (50, 90, 20)]
    told, text = outcome(monkeypatch, *looks)
    assert (told, f"{UTIL} of {B}: served 10, Prometheus has 80" in text) == ("failed", True)


def test_a_value_that_moves_and_is_never_met_is_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = [({A: busy, B: 10}, {A: 50, B: 10}) for busy in (90, 20, 70)]
    assert outcome(monkeypatch, *looks)[0] == "undecided"


def test_one_that_stays_wrong_beside_one_that_moves_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = [({A: busy, B: 10}, {A: 50, B: 80}) for busy in (90, 20, 70)]
    assert outcome(monkeypatch, *looks)[0] == "failed"


def test_a_value_that_moves_and_is_not_there_at_all_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[tuple[Look, Look]] = [({A: busy, B: 10}, {B: 10}) for busy in (90, 20, 70)]
    told, text = outcome(monkeypatch, *looks)
    assert (told, "Prometheus has nothing" in text) == ("failed", True)


def test_what_was_collected_before_the_probe_began_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    first: tuple[Look, Look] = ({A: 90, B: 10}, {A: 90, B: 10})
    later: tuple[Look, Look] = ({A: 20, B: 10}, {A: 90, B: 10})
    ages = [{A: 300.0, B: 0.0}]
    told, text = outcome(monkeypatch, first, ages=ages)
    assert (told, f"no new values of {A}" in text) == ("failed", True)
    assert outcome(monkeypatch, first, later, later, ages=ages)[0] != "passed", "it agreed when it was old"
