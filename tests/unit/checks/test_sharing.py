"""Shares of a node's devices: as many pods as a run may make."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.support.scripted import Scripted

from aiconform.catalog import accelerators
from aiconform.checks._kit import sharing
from aiconform.engine import Context, StopProbe

NVIDIA = accelerators.by_resource("nvidia.com/gpu")


@pytest.mark.parametrize(("number", "made"), [(150, 0), (149, 149)])
def test_more_shares_than_pods_may_be_made_are_undecided_and_none_is_made(number: int, made: int) -> None:
    ctx = Scripted()
    label = {"kubernetes.io/hostname": "gpu-1"}
    node: Any = SimpleNamespace(
        node="gpu-1", kind=NVIDIA, resource="nvidia.com/gpu.shared", device_class="", claimed=False, label=label
    )
    with pytest.raises(StopProbe):  # none of those that are made runs here
        asyncio.run(sharing.fill(cast("Context", ctx), node, number))
    assert len(ctx.made) == made
    if not made:
        outcome, text = ctx.told[-1]
        assert outcome == "undecided"
        assert "150 nvidia.com/gpu.shared: a run makes at most 150 pods in a namespace; show by hand: 150 pods" in text
