"""Collects what a local cluster is put together from: built programs, images, simulated accelerators, add-ons."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from aiconform.errors import LocalClusterError
from aiconform.local import boot
from aiconform.local.profiles import Profile
from aiconform.progress import Progress, Silent

if TYPE_CHECKING:
    from aiconform.local.cluster import Cluster


def require_root() -> None:
    """Refuse to go on as an ordinary user.

    Raises:
        LocalClusterError: the caller is not root; the hint is the same command with sudo.
    """
    if os.geteuid() == 0:
        return
    program = shutil.which(sys.argv[0]) or sys.argv[0]
    command = shlex.join(["sudo", "--preserve-env=HOME,XDG_CACHE_HOME,XDG_STATE_HOME", program, *sys.argv[1:]])
    raise LocalClusterError(
        "a local cluster needs root: it makes namespaces, mounts and cgroups of its own", hint=command
    )


IMAGES = ("pause", "coredns", "busybox", "agnhost")
"""Short names of the images every cluster has; the sandbox image first."""


def collect(cluster: str, wanted: Profile, progress: Progress) -> boot.Parts:
    """Build, or find in the cache, everything a cluster of this profile is made of.

    Raises:
        LocalClusterError: something is missing and cannot be built; the hint says how to get it.
    """
    from aiconform.local import build, images

    names = boot.PROGRAMS
    binaries = build.ensure(names, progress)
    found = images.ensure_images(IMAGES, binaries, progress)
    return boot.Parts(
        programs={name: binaries[name] for name in names},
        images=tuple(boot.Image(name, found[name].path) for name in IMAGES),
    )


def installers(wanted: Profile) -> list[Callable[[Cluster, Profile, Progress], None]]:
    """What installs the add-ons of a profile."""
    return []


def kubectl() -> Path:
    """Our own kubectl, built if it is not in the cache."""
    from aiconform.local import build

    return build.ensure(["kubectl"], Silent())["kubectl"]
