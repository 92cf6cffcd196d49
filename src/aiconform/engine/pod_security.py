"""What makes a pod meet the restricted Pod Security Standard, on OpenShift too.

OpenShift gives each namespace a range of users, refuses others and chooses one itself where none is named. It gives a
pod that no controller makes the security context constraint of most privileges that its maker may use, which for an
administrator is one that has the image's user run it: so it is told which one is meant.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

Obj = dict[str, Any]

OPENSHIFT: Final = "security.openshift.io/v1"
"""A group version that only OpenShift serves."""
NOBODY: Final = (65532, 65532)
"""Numbers of a user and a group that own nothing."""
CONTAINER: Final = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
"""The security context of each container."""


def pod_context(groups: Collection[str], user: tuple[int, int] = NOBODY) -> Obj:
    """The pod's security context.

    Args:
        groups: group versions that are served.
        user: numbers of user and group to run as, unless that is the cluster's to choose.
    """
    made: Obj = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    if OPENSHIFT not in groups:
        made.update(runAsUser=user[0], runAsGroup=user[1])
    return made


def bare_pod_annotations(groups: Collection[str]) -> dict[str, str]:
    """What a pod that no controller makes says of itself."""
    return {"openshift.io/required-scc": "restricted-v2"} if OPENSHIFT in groups else {}
