from __future__ import annotations

from typing import Any

import pytest

from aiconform.engine import needs
from aiconform.engine.facts import gather


def node(name: str, *taints: dict[str, str]) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "uid": name, "labels": {"nvidia.com/gpu.product": "Tesla-T4"}},
        "spec": {"taints": list(taints)},
        "status": {"conditions": [{"type": "Ready", "status": "True"}], "allocatable": {"nvidia.com/gpu": "1"}},
    }


def facts(*nodes: dict[str, Any]) -> Any:
    return gather(
        version={},
        nodes=list(nodes),
        system={"metadata": {"uid": "1"}},
        groups={},
        device_classes=[],
        slices=[],
        runtime_classes=[],
        workloads=[],
        gaps=(),
        node_pools=[],
        autoscaler_status=None,
    )


@pytest.mark.parametrize("effect", ["NoSchedule", "NoExecute"])
def test_a_node_that_keeps_our_pods_off_is_left_alone_and_named(effect) -> None:
    found = facts(node("a", {"key": "sku", "effect": effect}))
    assert found.accelerators == ()
    unmet = needs.accelerator("a node", by_hand="")(found)
    assert unmet is not None
    assert "left alone for their taints: a (taint sku)" in unmet.reason


@pytest.mark.parametrize("taint", [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}, {"key": "x", "effect": "Prefer"}])
def test_taints_that_our_pods_tolerate_do_not_matter(taint) -> None:
    found = facts(node("a", taint))
    assert [item.node for item in found.accelerators] == ["a"]
    assert found.fenced == ()


def test_nodes_without_accelerators_are_not_named() -> None:
    control = node("control", {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"})
    control["status"]["allocatable"] = {}
    assert facts(control).fenced == ()
    assert needs.accelerator("a node", by_hand="")(facts(control)) is not None
