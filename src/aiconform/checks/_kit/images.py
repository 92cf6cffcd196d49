"""Which requirements need which image, for whoever has to mirror them beforehand.

Held against the recorded runs by a test, so that a check which comes to need another one is noticed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

NEEDED: Mapping[str, tuple[str, ...]] = {
    "accelerator_metrics": ("probe", "python"),
    "ai_inference": ("python",),
    "ai_service_metrics": ("python",),
    "cluster_autoscaling": ("probe",),
    "dra_support": ("probe",),
    "driver_runtime_management": ("probe",),
    "gang_scheduling": ("probe",),
    "gpu_sharing": ("probe",),
    "pod_autoscaling": ("probe", "python"),
    "robust_controller": ("probe", "ray"),
    "secure_accelerator_access": ("probe",),
    "virtualized_accelerator": ("probe",),
    "workload_sandboxing": ("probe",),
}
"""Roles by requirement; one that is not named may need any of them."""

EITHER = frozenset({"robust_controller"})
"""Requirements that need one of their images or another, by which product a cluster has."""


def needed_by(requirement: str, roles: Iterable[str]) -> tuple[str, ...]:
    """The roles that a requirement needs, of those there are."""
    return tuple(role for role in roles if role in NEEDED.get(requirement, (role,)))
