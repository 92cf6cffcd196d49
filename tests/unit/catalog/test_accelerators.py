"""Vendors' accelerators, and how simulated and virtual ones are told from real ones."""

from __future__ import annotations

import pytest

from aiconform.catalog import accelerators


def test_a_shared_resource_belongs_to_the_same_kind() -> None:
    found = accelerators.by_resource("nvidia.com/gpu")
    assert found is not None
    assert found.words == "NVIDIA GPU"
    assert accelerators.by_resource("nvidia.com/gpu.shared") is found


def test_an_accelerator_without_facts_is_not_guessed() -> None:
    assert accelerators.by_resource("example.com/npu") is None


@pytest.mark.parametrize(
    "labels",
    [
        {"aiconform.dev/simulated-accelerator": "true"},
        {"run.ai/simulated-gpu-node-pool": "default"},
        {"type": "kwok"},
    ],
)
def test_simulated_nodes_are_known_by_their_labels(labels: dict[str, str]) -> None:
    assert accelerators.simulated_node(labels)


@pytest.mark.parametrize(
    "labels", [{}, {"type": "virtual-kubelet"}, {"aiconform.dev/simulated-accelerator": "false"}, {"kwok": "type"}]
)
def test_other_nodes_are_not_called_simulated(labels: dict[str, str]) -> None:
    assert accelerators.simulated_node(labels) == ""


def test_the_example_driver_is_simulated_and_a_vendors_is_not() -> None:
    assert accelerators.simulated_driver("gpu.example.com")
    assert accelerators.simulated_driver("gpu.nvidia.com") == ""


@pytest.mark.parametrize("product", ["GRID-T4-4Q", "GRID T4-4Q", "NVIDIA-A100-10C", "nvidia vgpu x"])
def test_virtual_products_are_known_by_their_names(product: str) -> None:
    assert accelerators.virtual_product(product)
    assert product in accelerators.virtual({"nvidia.com/gpu.product": product})


@pytest.mark.parametrize("product", ["Tesla T4", "Tesla-T4-SHARED", "NVIDIA-A100-SXM4-40GB", "NVIDIA-H100-80GB-HBM3"])
def test_physical_products_are_not_called_virtual(product: str) -> None:
    assert accelerators.virtual({"nvidia.com/gpu.product": product, "nvidia.com/vgpu.present": "false"}) == ""


def test_the_vgpu_label_is_enough() -> None:
    assert "vgpu.present" in accelerators.virtual({"nvidia.com/vgpu.present": "true"})
