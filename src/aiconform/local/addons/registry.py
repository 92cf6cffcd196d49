"""Every add-on of the local cluster by name, and which ones a requirement's check is tried on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aiconform.errors import UsageError
from aiconform.local.addons.accelerator_exporter import ACCELERATOR_EXPORTER
from aiconform.local.addons.addon import Addon
from aiconform.local.addons.envoy_gateway import ENVOY_GATEWAY
from aiconform.local.addons.gvisor import GVISOR
from aiconform.local.addons.istio import ISTIO
from aiconform.local.addons.karpenter import KARPENTER
from aiconform.local.addons.kuberay import KUBERAY
from aiconform.local.addons.kueue import KUEUE
from aiconform.local.addons.metrics_server import METRICS_SERVER
from aiconform.local.addons.prometheus import PROMETHEUS
from aiconform.local.addons.prometheus_adapter import ADAPTER
from aiconform.local.addons.volcano import VOLCANO

ADDONS: Mapping[str, Addon] = {
    addon.name: addon
    for addon in (
        PROMETHEUS,
        ACCELERATOR_EXPORTER,
        ADAPTER,
        METRICS_SERVER,
        ENVOY_GATEWAY,
        VOLCANO,
        KUEUE,
        KUBERAY,
        KARPENTER,
        GVISOR,
        ISTIO,
    )
}
"""Every add-on, in the order they are installed where nothing else decides."""

FOR_REQUIREMENT: Mapping[str, tuple[str, ...]] = {
    "ai_inference": ("envoy-gateway",),
    "advanced_inference_ingress": ("envoy-gateway",),
    "gang_scheduling": ("volcano", "kueue"),
    "cluster_autoscaling": ("karpenter",),
    "pod_autoscaling": ("prometheus", "prometheus-adapter", "metrics-server"),
    "accelerator_metrics": ("prometheus", "accelerator-exporter"),
    "ai_service_metrics": ("prometheus",),
    "robust_controller": ("kuberay",),
    "workload_sandboxing": ("gvisor",),
}
"""What ``run --local`` brings for a requirement; what is not listed needs Kubernetes and accelerators alone.

The user may give another autoscaler of nodes: see :func:`needs`.
"""


def wanted(names: Iterable[str]) -> tuple[Addon, ...]:
    """The add-ons of these names with all that they require, required ones first.

    Raises:
        UsageError: there is none of that name.
    """
    found: dict[str, Addon] = {}

    def add(name: str) -> None:
        if name not in ADDONS:
            raise UsageError(f"unknown add-on {name!r}", hint="add-ons: " + ", ".join(ADDONS))
        for needed in ADDONS[name].requires:
            add(needed)
        found.setdefault(name, ADDONS[name])

    for name in names:
        add(name)
    return tuple(found.values())


EVERY = "all"
"""Chooses every add-on but those that are optional."""


def chosen(text: str) -> tuple[Addon, ...]:
    """The add-ons of a comma-separated list, with what they require; :data:`EVERY`: every one.

    Raises:
        UsageError: there is none of a name.
    """
    names = [name for part in text.split(",") if (name := part.strip())]
    every = [name for name, addon in ADDONS.items() if not addon.optional]
    return wanted(every if names == [EVERY] else names)


def needs(autoscaler: Addon | None = KARPENTER) -> Mapping[str, tuple[str, ...]]:
    """Add-ons by requirement, with this autoscaler of nodes; None: the cluster has one of its own."""
    return {**FOR_REQUIREMENT, "cluster_autoscaling": (autoscaler.name,) if autoscaler else ()}


def for_requirements(requirements: Iterable[str], autoscaler: Addon | None = KARPENTER) -> tuple[Addon, ...]:
    """The add-ons that the checks of these requirements are tried on, in the order of :data:`ADDONS`.

    Args:
        requirements: their names.
        autoscaler: as for :func:`needs`.
    """
    names = {name for requirement in requirements for name in needs(autoscaler).get(requirement, ())}
    found = wanted(name for name in ADDONS if name in names)
    return (*found, autoscaler) if autoscaler and autoscaler.name in names - ADDONS.keys() else found
