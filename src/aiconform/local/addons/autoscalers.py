"""Which autoscaler of nodes a local cluster has: Karpenter, unless the user gives a Cluster Autoscaler; never both.

Two would bring nodes for the same pods, and nobody could say which of them had acted.
"""

from __future__ import annotations

from aiconform.errors import UsageError
from aiconform.local.addons import cluster_autoscaler, records
from aiconform.local.addons.addon import Addon
from aiconform.local.addons.karpenter import KARPENTER
from aiconform.local.state import Home
from aiconform.progress import Progress


def choose(home: Home, given: str, progress: Progress) -> Addon | None:
    """The autoscaler to install where one is wanted; None: the cluster has a Cluster Autoscaler that was given before.

    Args:
        home: of the cluster, which need not run yet.
        given: a Cluster Autoscaler, see :func:`aiconform.local.addons.cluster_autoscaler.given`; empty: none.
        progress: told of a download.

    Raises:
        LocalClusterError: what was given cannot be read.
        UsageError: it is no program, or the cluster has Karpenter.
    """
    installed = records.read(home) if home.ready_file.exists() else {}
    if given:
        if KARPENTER.name in installed:
            raise _both(f"local cluster {home.name} has Karpenter")
        return cluster_autoscaler.given(given, progress)
    return None if cluster_autoscaler.NAME in installed else KARPENTER


def together(addons: tuple[Addon, ...], autoscaler: Addon | None, *, every: bool) -> tuple[Addon, ...]:
    """Add-ons chosen by name, with one autoscaler.

    Args:
        addons: as chosen; of these, only Karpenter scales nodes.
        autoscaler: as :func:`choose` found.
        every: they were chosen as "all of them".

    Raises:
        UsageError: Karpenter was named although the cluster has, or is given, another.
    """
    if autoscaler is KARPENTER:
        return addons
    if KARPENTER in addons and not every:
        raise _both("--with karpenter, and a Cluster Autoscaler")
    others = tuple(addon for addon in addons if addon is not KARPENTER)
    return (*others, autoscaler) if autoscaler else others


def _both(why: str) -> UsageError:
    return UsageError(
        f"{why}: a local cluster has one autoscaler of nodes", hint="start another cluster for it: --name NAME"
    )
