"""Brings images to nodes that run already; what is known when a cluster starts is on its nodes from the beginning."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from aiconform.errors import LocalClusterError
from aiconform.local import blueprint, inspection
from aiconform.local.cluster import Cluster
from aiconform.local.images.table import ImageFile
from aiconform.progress import Progress

_CTR = ("ctr", "--namespace=k8s.io", "images")


def bring(cluster: Cluster, images: Iterable[ImageFile], progress: Progress) -> None:
    """Import images on every running node that lacks them.

    Raises:
        LocalClusterError: a node refuses one.
    """
    wanted = list(images)
    nodes = list(inspection.pids_of(cluster.home))
    if not wanted or not nodes:
        return
    with ThreadPoolExecutor(len(nodes)) as pool:
        for done in [pool.submit(import_on, cluster, node, wanted, progress) for node in nodes]:
            done.result()
    blueprint.brought(cluster.home, [image.path for image in wanted])


def import_on(cluster: Cluster, node: str, images: Iterable[ImageFile], progress: Progress) -> None:
    """Import images on one node, those it lacks.

    Raises:
        LocalClusterError: the node refuses one.
    """
    there = _present(cluster, node)
    for image in images:
        if (image.reference, image.digest) in there:
            continue
        progress.update("importing images", waiting=f"{image.reference} on {node}")
        with image.path.open("rb") as archive:  # by a pipe: the node need not see the cache
            done = cluster.enter(node, [*_CTR, "import", "--local", "-"], stdin=archive)
        if done.returncode != 0:
            raise LocalClusterError(
                f"node {node} does not take the image {image.reference}", details=done.stderr.splitlines()[-3:]
            )


def _present(cluster: Cluster, node: str) -> set[tuple[str, str]]:
    """Names and digests of a node's images."""
    rows = [line.split() for line in cluster.enter(node, [*_CTR, "list"]).stdout.splitlines()[1:]]
    return {(row[0], row[2]) for row in rows if len(row) > 2}
