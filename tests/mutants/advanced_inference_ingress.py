"""The inference extension's definitions with nobody behind them."""

from __future__ import annotations

from contextlib import AbstractContextManager

from tests.mutants.breaking import applied
from tests.mutants.contract import Kill, Mutant

from aiconform.local import Cluster

GROUP = "inference.networking.k8s.io"
_ANY = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {
        "name": f"inferencepools.{GROUP}",
        "annotations": {"api-approved.kubernetes.io": "unapproved, for a test of ours"},
    },
    "spec": {
        "group": GROUP,
        "scope": "Namespaced",
        "names": {"kind": "InferencePool", "plural": "inferencepools", "singular": "inferencepool"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": _ANY},
                "subresources": {"status": {}},
            }
        ],
    },
}
"""The kind alone, with no more of a schema than is needed for objects to be taken."""


def unimplemented(cluster: Cluster) -> AbstractContextManager[None]:
    """A cluster on which pools can be made, and nothing comes of them."""
    return applied(cluster, DEFINITION)


MUTANTS = (
    Mutant(
        "advanced_inference_ingress",
        "InferencePools are defined, and no gateway implements them",
        unimplemented,
        {"accepted": Kill("failed", ("InvalidKind", "says nothing of the route"))},
    ),
)
