"""Service meshes that may put a container of theirs into every pod: our namespaces ask to be left out of those found.

Injected are an init container with NET_ADMIN, which our Pod Security Standards refuse, and a proxy, which our network
policy would cut off its control plane, so that no pod of ours got ready. Besides, what is measured would be the mesh.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Obj = dict[str, Any]


@dataclass(frozen=True)
class Mesh:
    """A mesh, and how a namespace asks it to leave its pods alone.

    Attributes:
        groups: what its API groups are, or end with.
        labels, annotations: of the namespace.
    """

    groups: str
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


MESHES: Final = (
    # no sidecars, and no redirection to its proxy of the node where there are none (ambient mode); pods of its Gateways
    # are whole without injection and are made all the same
    Mesh("istio.io", labels={"istio-injection": "disabled", "istio.io/dataplane-mode": "none"}),
    Mesh("linkerd.io", annotations={"linkerd.io/inject": "disabled"}),
)


def left_out(meta: Obj, group_versions: Iterable[str]) -> Obj:
    """The metadata of a namespace whose pods are to be left alone by the meshes that serve any of these APIs."""
    served = [f".{version.partition('/')[0]}" for version in group_versions]
    here = [mesh for mesh in MESHES if any(group.endswith(f".{mesh.groups}") for group in served)]
    labels = {key: value for mesh in here for key, value in mesh.labels.items()}
    annotations = {key: value for mesh in here for key, value in mesh.annotations.items()}
    made = {
        "labels": {**meta.get("labels", {}), **labels},
        "annotations": {**meta.get("annotations", {}), **annotations},
    }
    return {**meta, **{name: value for name, value in made.items() if value}}
