"""Cluster Autoscaler, whose program the user gives: upstream publishes no Go module to build it from.

Not among the add-ons of the registry, because nothing of it can be built here.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from aiconform.errors import LocalClusterError, UsageError
from aiconform.local import nodes, pool_grpc
from aiconform.local.addons.nvidia import RESOURCE
from aiconform.local.api import Api, ApiError
from aiconform.local.cluster import Cluster
from aiconform.local.inspection import is_ready
from aiconform.progress import Progress

COMPANION = "autoscaler"
LIMIT_S = 120.0
_STATUS = "/api/v1/namespaces/kube-system/configmaps/cluster-autoscaler-status"


def install(cluster: Cluster, program: Path, progress: Progress) -> None:
    """Run Cluster Autoscaler beside a cluster, with a pool of real nodes.

    Args:
        cluster: the cluster.
        program: built with the provider ``externalgrpc`` (the official image has it too).
        progress: told what is being waited for.

    Raises:
        LocalClusterError: a part is missing, or the pool does not come up; the details are its last words.
        UsageError: there is no such program.
    """
    if not os.access(program, os.X_OK) or not program.is_file():
        raise UsageError(f"{program} is no program", hint="give the binary of Cluster Autoscaler")
    pool_grpc.library()
    begun = time.monotonic()
    nodes.accompany(cluster, COMPANION, "aiconform.local.pool_grpc", cluster.name, str(program.resolve()))
    api = Api(cluster.kubeconfig)
    while still := missing(api):
        progress.update("starting Cluster Autoscaler", waiting=", ".join(still))
        if time.monotonic() - begun > LIMIT_S:
            log = cluster.home.logs / f"{COMPANION}.log"
            last = log.read_text(errors="replace").splitlines()[-8:] if log.exists() else []
            raise LocalClusterError(
                f"Cluster Autoscaler does not come up within {LIMIT_S:.0f} s", details=[*still, *last], hint=str(log)
            )
        time.sleep(0.3)
    progress.finished("Cluster Autoscaler ready", f"{time.monotonic() - begun:.1f} s")


def missing(api: Api) -> list[str]:
    """What is still to come: its status with our group, and the group's first node with its accelerator."""
    try:
        told = api.get(_STATUS)["data"]["status"]
        made = api.get(f"/api/v1/nodes?labelSelector={pool_grpc.LABEL}%3D{pool_grpc.GROUP}")["items"]
    except (ApiError, KeyError) as error:
        return [f"its status ({error})"]
    if pool_grpc.GROUP not in told:
        return ["its status of the pool"]
    ready = [node for node in made if is_ready(node) and node["status"]["allocatable"].get(RESOURCE, "0") != "0"]
    return [] if ready else ["the pool's first node"]
