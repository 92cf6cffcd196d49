"""What an add-on of the local cluster is: upstream software beside Kubernetes, installed as upstream ships it.

To add one: a module beside this file that makes an :class:`Addon`, and its name in
:data:`aiconform.local.addons.registry.ADDONS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiconform.local.api import Api
    from aiconform.local.cluster import Cluster
    from aiconform.local.programs.build import Binaries

Manifest = Mapping[str, Any]


@dataclass(frozen=True)
class Materials:
    """What an add-on's objects are made from.

    Attributes:
        programs: the built programs that the add-on names.
        module_dir: directory of a pinned Go module, with its charts and manifests.
        render: a helm chart as objects, from the cache where it was rendered before.
        kustomize: a kustomization directory of a module (module, path) as objects, likewise.
    """

    programs: Binaries
    module_dir: Callable[[str], Path]
    render: Callable[..., list[Manifest]]
    kustomize: Callable[[str, str], list[Manifest]]


@dataclass(frozen=True)
class Addon:
    """An add-on.

    Attributes:
        name: as ``local up --with`` and the screen say it, ``envoy-gateway``.
        version: upstream's, for ``local status``.
        summary: what it is for, in a few words.
        images: names in :data:`aiconform.local.images.table.IMAGES` that its pods use.
        programs: built programs it needs on the machine itself, beside those in its images.
        objects: makes its objects, namespaces and definitions first; called once per installation, with new keys.
        missing: what is still missing until it can be used, one phrase each; empty when ready. Asks the API server for
            behaviour where it can (a metric is answered, a webhook answers), not for conditions alone.
        requires: add-ons that must be ready before its objects are applied.
        namespaces: where its pods run, for the events that say why it does not become ready.
        limit_s: how long after its objects were applied it is given up.
        companion: a helper of ours on the machine that the add-on works with while the cluster runs (the watcher that
            turns Node objects into nodes); entered before its objects are applied. It lives in the cluster's own
            processes and ends with them; it is left only where the installation fails.
        companion_log: the helper's name, whose last lines say why the add-on does not become ready.
        optional: comes only where it is asked for by name, not with ``--with all``.
    """

    name: str
    version: str
    summary: str
    images: tuple[str, ...]
    objects: Callable[[Materials], Sequence[Manifest]]
    missing: Callable[[Api], list[str]]
    requires: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    limit_s: float = 180.0
    companion: Callable[[Cluster], AbstractContextManager[object]] | None = None
    companion_log: str = ""
    optional: bool = False
