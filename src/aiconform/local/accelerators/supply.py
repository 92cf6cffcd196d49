"""Makes simulated accelerators ready for a cluster: the one place that the boot of a cluster asks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from aiconform.local import build, toolchain
from aiconform.local.accelerators.driver import ensure_driver
from aiconform.local.accelerators.node import node_extras
from aiconform.local.profiles import NodeExtras, NodeSpec, Profile
from aiconform.progress import Progress


def wanted(profile: Profile) -> bool:
    """Whether a profile has any accelerators."""
    return any(spec.accelerators is not None for spec in profile.nodes)


def preparation(cluster: str, progress: Progress) -> Callable[[NodeSpec, Path], NodeExtras]:
    """Build the driver, if it is not in the cache, and return what prepares a node with it.

    Args:
        cluster: name of the cluster; part of the devices' identity.
        progress: told of downloads.

    Raises:
        LocalClusterError: the driver cannot be built.
    """
    header = build.module_dir("github.com/NVIDIA/go-nvml", progress) / "pkg/nvml/nvml.h"
    driver = ensure_driver(header=header, compiler=toolchain.c_compiler(progress))
    return partial(_prepare, cluster, driver)


def _prepare(cluster: str, driver: Path, spec: NodeSpec, directory: Path) -> NodeExtras:
    return node_extras(spec, cluster, driver, directory)
