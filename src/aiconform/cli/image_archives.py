"""Archives of the images of a run, built here from this machine's programs, for clusters that reach no registry."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from aiconform.errors import UsageError

BUILT: Mapping[str, str] = {"probe": "busybox", "python": "python", "ray": "ray"}
"""The local cluster's image (:data:`aiconform.local.images.IMAGES`) by role."""


@dataclass(frozen=True)
class Archive:
    """An image archive (OCI layout in a tar file, which runtimes and registries' tools take).

    Attributes:
        reference: the name under which a runtime that imports it has it.
        digest: of the manifest: what a registry that it is pushed to serves it by.
    """

    role: str
    path: Path
    reference: str
    digest: str
    size: int


def write(roles: Iterable[str], directory: Path) -> list[Archive]:
    """Build the images of these roles, for this machine's processor, and write them to a directory.

    Raises:
        UsageError: the directory cannot be written.
        LocalClusterError: what they are made of is missing here.
    """
    from aiconform.cli.console import Screen
    from aiconform.cli.signals import interruptible
    from aiconform.local.images.table import ensure_images
    from aiconform.local.programs.build import Binaries

    with interruptible(), Screen(sys.stderr) as screen:
        archives = []
        for role in roles:
            (made,) = ensure_images([BUILT[role]], Binaries({}), screen).values()
            path = directory / f"{role}.tar"
            archives.append(Archive(role, path, made.reference, made.digest, _copied(made.path, path)))
        return archives


def _copied(source: Path, target: Path) -> int:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    except OSError as problem:
        raise UsageError(f"cannot write {target}: {problem.strerror}", hint="name another directory") from problem
    return target.stat().st_size
