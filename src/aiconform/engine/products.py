"""Products that do what a requirement is about, and by what each is known: data for :mod:`engine.capabilities`.

What an operator's own webhook refuses is told as upstream's source has it; the check that tries it is the proof.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

GANG: Final = "gang scheduling"
OPERATOR: Final = "operator"


@dataclass(frozen=True)
class Product:
    """A product that serves kinds of its own.

    Attributes:
        does: what it is looked for.
        groups: API groups of which it serves one at least.
        kind: the object that it takes for this, as ``Kind.group``.
        refuses: an object that its webhook refuses, in words; empty if none is known.
        apps: values of the usual app labels on its Deployments.
    """

    name: str
    does: tuple[str, ...]
    groups: tuple[str, ...]
    kind: str
    refuses: str = ""
    apps: frozenset[str] = frozenset()


PRODUCTS: Final = (
    Product(
        "Volcano",
        (GANG, OPERATOR),
        ("batch.volcano.sh",),
        "Job.batch.volcano.sh",
        "a Job that names a plugin which Volcano has not",
        frozenset({"volcano", "volcano-scheduler"}),
    ),
    Product(
        "Kueue",
        (GANG, OPERATOR),
        ("kueue.x-k8s.io",),
        "a suspended Job.batch with the label of a LocalQueue",
        "a ClusterQueue whose selector of namespaces has an expression without the values that it needs",
        frozenset({"kueue"}),
    ),
    Product("KAI Scheduler", (GANG,), ("scheduling.run.ai", "kai.scheduler"), "PodGroup.scheduling.run.ai"),
    Product("coscheduling", (GANG,), ("scheduling.x-k8s.io",), "PodGroup.scheduling.x-k8s.io"),
    Product(
        "KubeRay",
        (OPERATOR,),
        ("ray.io",),
        "RayCluster.ray.io",
        "a RayCluster two of whose worker groups have the same name",
        frozenset({"kuberay", "kuberay-operator"}),
    ),
    Product(
        "JobSet",
        (OPERATOR,),
        ("jobset.x-k8s.io",),
        "JobSet.jobset.x-k8s.io",
        "a JobSet whose success policy names a replicated job that it has not",
        frozenset({"jobset"}),
    ),
    Product(
        "Kubeflow Trainer",
        (OPERATOR,),
        ("trainer.kubeflow.org",),
        "TrainJob.trainer.kubeflow.org",
        "a TrainJob whose runtime does not exist",
        frozenset({"trainer"}),
    ),
)
