"""Cluster Autoscaler, whose program the user gives: upstream publishes no Go module to build it from.

Not among the add-ons of the registry, because it is one only once there is a program. It runs on the machine beside the
cluster, with a pool of real nodes that we serve to it (:mod:`aiconform.local.pool.cloud`).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from aiconform.errors import UsageError
from aiconform.local import nodes
from aiconform.local.addons.addon import Addon
from aiconform.local.addons.nvidia import RESOURCE
from aiconform.local.api import Api, ApiError
from aiconform.local.cluster import Cluster
from aiconform.local.images import image_program
from aiconform.local.inspection import is_ready
from aiconform.local.pool import cloud
from aiconform.progress import Progress

NAME = "cluster-autoscaler"
"""Of the add-on, and of the program in images."""

COMPANION = "autoscaler"
_STATUS = "/api/v1/namespaces/kube-system/configmaps/cluster-autoscaler-status"
_HINT = "give the binary of Cluster Autoscaler, or an image that has it"


def given(what: str, progress: Progress) -> Addon:
    """The add-on, with the program that the user gives.

    Args:
        what: the program, built with the provider ``externalgrpc`` (official images have it), or an image with it: a
            reference, or the path of an archive.
        progress: told of a download.

    Raises:
        LocalClusterError: the package grpcio is missing, or the image cannot be read.
        UsageError: there is no such file, or it is no program.
    """
    cloud.library()
    program = _program(what, progress)
    return Addon(
        NAME,
        f"Cluster Autoscaler of {what}",
        "nodes with accelerators that come and go",
        images=(),
        objects=lambda _materials: (),
        missing=missing,
        limit_s=120.0,
        companion=lambda cluster: _beside(cluster, program),
        companion_log=COMPANION,
    )


def missing(api: Api) -> list[str]:
    """What is still to come: its status with our group, and the group's first node with its accelerator."""
    try:
        told = api.get(_STATUS)["data"]["status"]
        made = api.get(f"/api/v1/nodes?labelSelector={cloud.LABEL}%3D{cloud.GROUP}")["items"]
    except (ApiError, KeyError) as error:
        return [f"its status ({error})"]
    if cloud.GROUP not in told:
        return ["its status of the pool"]
    ready = [node for node in made if is_ready(node) and node["status"]["allocatable"].get(RESOURCE, "0") != "0"]
    return [] if ready else ["the pool's first node"]


def _program(what: str, progress: Progress) -> Path:
    path = Path(what)
    if path.is_file() and os.access(path, os.X_OK):
        return path.resolve()
    if not path.exists() and what.startswith((".", "/", "~")):
        raise UsageError(f"{what}: there is no such file", hint=_HINT)
    if path.is_dir():
        raise UsageError(f"{what} is a directory", hint=_HINT)
    return image_program.program(what, NAME, progress)


@contextlib.contextmanager
def _beside(cluster: Cluster, program: Path) -> Iterator[None]:
    """Runs it as long as the cluster; where it does not come up it is ended."""
    nodes.accompany(cluster, COMPANION, "aiconform.local.pool.cloud", cluster.name, str(program))
    try:
        yield
    except Exception:
        nodes.dismiss(cluster, COMPANION)
        raise
