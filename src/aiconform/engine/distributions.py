"""Which distribution of Kubernetes a cluster is: by the mark in its version or by its API groups, and never guessed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_GROUPS: Final = {"config.openshift.io": "OpenShift", "security.openshift.io": "OpenShift"}
"""By API group, for those whose version carries a commit and no name: ``v1.29.6+aba1e8d``."""
_MARKS: Final = (
    (r"\+k0s\b", "k0s"),
    (r"\+k3s\d", "K3s"),
    (r"\+rke2r\d", "RKE2"),
    (r"\+vmware\b", "VMware Kubernetes"),
    (r"-gke\b", "GKE"),
    (r"-eks\b", "EKS"),
)
"""By the version's end: ``v1.35.3+k0s.0``, ``v1.35.3+rke2r1``, ``v1.35.3-gke.1200``, ``v1.35.3-eks-1a2b3c4``."""


def product(version: str, group_versions: Iterable[str]) -> str:
    """The distribution's name and version; that of Kubernetes itself where the distribution is not known."""
    served = {one.partition("/")[0] for one in group_versions}
    names = [name for group, name in _GROUPS.items() if group in served]
    names += [name for mark, name in _MARKS if re.search(mark, version)]
    return f"{names[0] if names else 'Kubernetes'} {version}"
