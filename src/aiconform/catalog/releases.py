"""Which release asks what: the facts of the official forms, in our own words.

Sources: the checklists of cncf/k8s-ai-conformance (``docs/AIConformance-<release>.yaml``) for ids, categories and
levels; kubernetes-sigs/ai-conformance for the numbers of the requirements (KAR). The forms' own words are never kept
here: they come from the user's template.

The form of 1.37 was not at hand when this was written, only a listing of its ids, categories and levels; so there is no
digest to know it by, and its conditions are taken to be those of 1.36.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Level = Literal["MUST", "SHOULD"]


@dataclass(frozen=True)
class Description:
    """What a requirement is, whatever the release."""

    title: str
    category: str
    kar: str
    asks: str


DESCRIPTIONS: Final[dict[str, Description]] = {
    "dra_support": Description(
        "Dynamic Resource Allocation",
        "accelerators",
        "KAR-0051",
        "Pods can claim devices through the resource.k8s.io API: it is served, a driver's devices are allocated to "
        "claims, each to one claim, and given back.",
    ),
    "driver_runtime_management": Description(
        "Driver and runtime management",
        "accelerators",
        "KAR-0001",
        "What a node says about its accelerator driver and runtime is what a container on that node finds installed.",
    ),
    "gpu_sharing": Description(
        "Accelerator sharing",
        "accelerators",
        "KAR-0003",
        "One device can be offered as several schedulable ones, and that many workloads use it at the same time.",
    ),
    "virtualized_accelerator": Description(
        "Virtualised accelerators",
        "accelerators",
        "KAR-0004",
        "Where accelerators are virtual (vGPU), pods ask for them in the way they ask for parts of physical ones.",
    ),
    "ai_inference": Description(
        "Inference gateway",
        "networking",
        "",
        "The Gateway API works with an implementation that splits traffic by weight and routes by header.",
    ),
    "advanced_inference_ingress": Description(
        "Inference-aware ingress",
        "networking",
        "KAR-0011",
        "The Gateway API's inference extension is implemented: endpoints are picked by what the model servers say.",
    ),
    "high_performance_networking": Description(
        "High-performance networking",
        "networking",
        "KAR-0010",
        "Pods can have fast secondary network interfaces whose traits the cluster knows and schedules by.",
    ),
    "disaggregated_inference": Description(
        "Disaggregated inference",
        "networking",
        "KAR-0041",
        "One inference request can be served by separate prefill and decode pods.",
    ),
    "gang_scheduling": Description(
        "Gang scheduling",
        "schedulingOrchestration",
        "KAR-0053",
        "The members of a distributed workload start together or not at all.",
    ),
    "cluster_autoscaling": Description(
        "Cluster autoscaling",
        "schedulingOrchestration",
        "KAR-0055",
        "Where nodes are scaled automatically, a pending accelerator pod brings a node and its end lets the node go.",
    ),
    "pod_autoscaling": Description(
        "Pod autoscaling",
        "schedulingOrchestration",
        "KAR-0057",
        "Pods that use accelerators are scaled up and down by a metric of their own.",
    ),
    "accelerator_metrics": Description(
        "Accelerator metrics",
        "observability",
        "KAR-0059",
        "Utilisation and memory of every accelerator can be scraped in a standard format, and follow the load.",
    ),
    "ai_service_metrics": Description(
        "AI service metrics",
        "observability",
        "KAR-0061",
        "A monitoring system finds workloads that expose metrics and collects what they count.",
    ),
    "secure_accelerator_access": Description(
        "Secure accelerator access",
        "security",
        "KAR-0049",
        "A container reaches the accelerators it was granted and no others, whatever it tries.",
    ),
    "workload_sandboxing": Description(
        "Workload sandboxing",
        "security",
        "KAR-0020",
        "Workloads can run in a sandboxed runtime that keeps them from the host's kernel, processes and files.",
    ),
    "robust_controller": Description(
        "Robust operator",
        "operator",
        "KAR-0063",
        "An AI operator runs, its webhook refuses what is wrong, and its custom resources are reconciled.",
    ),
}


@dataclass(frozen=True)
class Condition:
    """What a requirement depends on by its own wording.

    Attributes:
        holds_if: when the requirement is asked at all. A cluster of which this is false is ``n/a``, for that reason
            alone: that a platform does not support something is not one.
        why_na: how the reason is shown to be true, in words for the notes of a form.
        since: the first release worded so; later ones are, until a later entry of the same requirement.
    """

    holds_if: str
    why_na: str
    since: str = "1.33"


CONDITIONS: Final[dict[str, tuple[Condition, ...]]] = {
    "gpu_sharing": (
        Condition(
            "some accelerator of the cluster can be shared statically",
            "name the accelerators, and that none of them can be divided or shared",
            "1.35",
        ),
    ),
    "virtualized_accelerator": (
        Condition(
            "some accelerator of the cluster can be a virtual one",
            "name the accelerators, and that none is or can be made virtual",
            "1.35",
        ),
    ),
    "high_performance_networking": (
        Condition(
            "workloads need faster communication between pods than the cluster's own network gives",
            "say which workloads the platform is for, and that none of them needs it",
            "1.36",
        ),
    ),
    "cluster_autoscaling": (
        Condition(
            "the platform comes with an autoscaler of nodes, or with something that does the same",
            "say that none is part of the platform, and how nodes are added",
        ),
    ),
    "pod_autoscaling": (
        Condition(
            "the platform supports the HorizontalPodAutoscaler",
            "show that autoscaling/v2 is not served",
        ),
    ),
    "accelerator_metrics": (
        Condition(
            "the platform supports accelerators of some type",
            "say that the platform supports none",
        ),
    ),
}
"""Requirements that are asked under a condition; all others are asked of every cluster."""

_MUST: Level = "MUST"
_SHOULD: Level = "SHOULD"

_SINCE_133: dict[str, Level] = {
    "ai_inference": _MUST,
    "gang_scheduling": _MUST,
    "cluster_autoscaling": _MUST,
    "pod_autoscaling": _MUST,
    "accelerator_metrics": _MUST,
    "ai_service_metrics": _MUST,
    "secure_accelerator_access": _MUST,
    "robust_controller": _MUST,
}
_SINCE_135: dict[str, Level] = {
    "driver_runtime_management": _SHOULD,
    "gpu_sharing": _SHOULD,
    "virtualized_accelerator": _SHOULD,
}
_SINCE_136: dict[str, Level] = {
    "advanced_inference_ingress": _SHOULD,
    "high_performance_networking": _SHOULD,
    "disaggregated_inference": _SHOULD,
}
_SINCE_137: dict[str, Level] = {"workload_sandboxing": _SHOULD}

LEVELS: Final[dict[str, dict[str, Level]]] = {
    "1.33": {"dra_support": _SHOULD, **_SINCE_133},
    "1.34": {"dra_support": _MUST, **_SINCE_133},
    "1.35": {"dra_support": _MUST, **_SINCE_135, **_SINCE_133},
    "1.36": {**_SINCE_135, **_SINCE_136, **_SINCE_133},
    "1.37": {**_SINCE_135, **_SINCE_136, **_SINCE_133, **_SINCE_137},
}

FORM_SHA256: Final[dict[str, str]] = {
    "1.33": "6c32256c2fc3429c9770a828f3b642bc9fb04229503c632c2a7bea9a705ff949",
    "1.34": "5c85273d76ca69c97d0f1e01af26c495c704307a149726af976c8350a2790214",
    "1.35": "cf87915a9bcf977bb9c61298bc60afa0f062d1c3aad0a2d3dcefcdf1fa644693",
    "1.36": "43d8b708956c69f8a87a426c8c883e0e845588db173d94d707209397dad06170",
}
"""Digests of the official forms that this was read from; that of 1.37 is not known."""
