"""Collects what a local cluster is put together from: built programs, images, simulated accelerators, add-ons."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from aiconform.errors import LocalClusterError
from aiconform.local import boot
from aiconform.local.profiles import NodeSpec, Profile
from aiconform.local.state import base_directory, write_atomically
from aiconform.progress import Progress, Silent

if TYPE_CHECKING:
    from aiconform.local.addons.addon import Addon
    from aiconform.local.cluster import Cluster
    from aiconform.local.programs.build import Binaries

Installer = Callable[["Cluster", Profile, Progress], None]
"""Installs add-ons once the API server answers; ends when they are usable."""

NVML = ("github.com/NVIDIA/go-nvml", "pkg/nvml/nvml.h")
"""Go module that ships NVIDIA's ``nvml.h``, and where in it."""


def require_root() -> None:
    """Refuse to go on as an ordinary user.

    Raises:
        LocalClusterError: the caller is not root; the hint is the same command with sudo.
    """
    if os.geteuid() == 0:
        return
    command = ["sudo", "--preserve-env=HOME,XDG_CACHE_HOME,XDG_STATE_HOME", *_this_command()]
    raise LocalClusterError(
        "a local cluster needs root: it makes namespaces, mounts and cgroups of its own", hint=shlex.join(command)
    )


def _this_command() -> list[str]:
    """The command that started this process, as it works with another PATH too."""
    program = shutil.which(sys.argv[0])
    if program is None and sys.argv[0].endswith(".py"):  # python -m: that file cannot be executed
        return [sys.executable, *sys.orig_argv[1:]]
    return [program or sys.argv[0], *sys.argv[1:]]


def collect(
    cluster: str, wanted: Profile, progress: Progress, further: Iterable[str] = (), given_k0s: Path | None = None
) -> tuple[boot.Parts, list[Installer]]:
    """Build, or find in the cache, everything a cluster of this profile is made of, and what installs its accelerators.

    Args:
        cluster: its name.
        wanted: its nodes.
        progress: told what is being built.
        further: images that its nodes have from the beginning, beside the profile's own.
        given_k0s: a k0s binary that the nodes run.

    Raises:
        LocalClusterError: something is missing and cannot be built; the hint says how to get it.
    """
    from aiconform.local import prerequisites
    from aiconform.local.accelerators import toolkit
    from aiconform.local.accelerators.node import preparation
    from aiconform.local.images import table
    from aiconform.local.programs import build

    prerequisites.check(base_directory())
    binaries = build.ensure(components(wanted), progress)
    archives = table.ensure_images(dict.fromkeys([*image_names(wanted), *further]), binaries, progress)
    programs = [*boot.PROGRAMS, *(toolkit.PROGRAMS if accelerated(wanted) else ())]
    made = boot.Parts(
        programs={name: binaries[name] for name in programs},
        images=tuple(boot.Image(name, file.path) for name, file in archives.items()),
        versions={"etcd": _version("etcd"), "CoreDNS": _version("coredns"), "runc": _version("runc")},
    )
    if given_k0s is not None:
        made = _with_k0s(made, given_k0s)
    if not accelerated(wanted):
        return made, []
    driver = _driver(progress)
    made = dataclasses.replace(made, prepare=preparation(cluster, driver), driver=driver)
    return made, [_addons(wanted, binaries, progress)]


def _with_k0s(made: boot.Parts, program: Path) -> boot.Parts:
    from aiconform.local import k0s

    versions = {name: version for name, version in made.versions.items() if name != "etcd"}  # it brings its own
    programs = {**made.programs, k0s.PROGRAM: program}
    return dataclasses.replace(made, programs=programs, versions={k0s.PROGRAM: k0s.version(program), **versions})


def components(wanted: Profile) -> list[str]:
    """The components that a profile runs, in build order: what boots Kubernetes comes first."""
    from aiconform.local.components import ACCELERATORS, CORE

    return list(ACCELERATORS if accelerated(wanted) else CORE)


def image_names(wanted: Profile) -> list[str]:
    """The images that a profile's nodes have."""
    names = ["pause", "coredns", "busybox", "agnhost", "python"]
    if accelerated(wanted):
        names += ["node-feature-discovery", "nvidia-device-plugin"]
    if any(spec.accelerators and spec.accelerators.dra for spec in wanted.nodes):
        names.append("dra-example-driver")
    return names


def built_images(addons: Iterable[Addon]) -> list[str]:
    """Those images of add-ons of which all that they are made of is in the cache, so that they take no time."""
    return [name for addon in addons for name in addon.images if _built(name)]


def _built(name: str) -> bool:
    from aiconform.local import cache
    from aiconform.local.images.table import IMAGES
    from aiconform.local.programs import build

    image = IMAGES[name]
    if not all(build.place(item).exists() for item in build.components_of(image.programs.values())):
        return False
    # a tree is downloaded, if it was never made
    return image.tree is None or any((cache.directory() / "images").glob(f"{name}-*/image.tar"))


def accelerated(wanted: Profile) -> list[NodeSpec]:
    """The nodes with accelerators."""
    return [spec for spec in wanted.nodes if spec.accelerators is not None]


def kubectl() -> Path:
    """Our own kubectl, built if it is not in the cache."""
    from aiconform.local.programs import build

    return build.ensure(["kubectl"], Silent())["kubectl"]


def _driver(progress: Progress) -> Path:
    from aiconform.local.accelerators import driver
    from aiconform.local.programs import toolchain

    module, header = NVML
    return driver.ensure_driver(header=module_dir(module, progress) / header, compiler=toolchain.c_compiler(progress))


def _addons(wanted: Profile, binaries: Binaries, progress: Progress) -> Installer:
    from aiconform.local.addons import install

    progress.update("rendering charts")
    objects = install.manifests(
        install.charts(wanted),
        helm=binaries["helm"],
        module_dir=lambda chart: module_dir(chart.module, progress),
    )
    return partial(install.install, objects=objects)


def module_dir(module: str, progress: Progress) -> Path:
    """Directory of a pinned Go module; remembered, for asking Go takes longer than many a step of the boot."""
    from aiconform.local import cache
    from aiconform.local.components import COMPONENTS
    from aiconform.local.programs import build

    pins = "-".join(build.key(item) for item in COMPONENTS.values() if module in (item.pin / "go.mod").read_text())
    memory = cache.directory() / "modules" / f"{module.replace('/', '_')}-{pins}"
    known = _noted(memory)
    if known is not None:
        return known
    found = build.module_dir(module, progress)
    with contextlib.suppress(OSError), cache.lock(memory.name):
        memory.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(memory, str(found), 0o644)
    return found


def _noted(memory: Path) -> Path | None:
    """The directory that a note names; None without one: a full disk or a crash leaves notes that name nothing."""
    place = Path(memory.read_text()) if memory.exists() else Path()
    return place if place.is_absolute() and place.is_dir() else None


def _version(component: str) -> str:
    from aiconform.local.components import COMPONENTS

    return COMPONENTS[component].version
