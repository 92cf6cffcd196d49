"""Builds the local cluster's programs from their pinned Go modules, once: finished ones come from the cache."""

from __future__ import annotations

import contextlib
import hashlib
import platform
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from aiconform.errors import LocalClusterError, UsageError
from aiconform.local import cache
from aiconform.local.components import COMPONENTS, Component
from aiconform.local.programs import toolchain
from aiconform.local.programs.compile import Tools, Watch, build_flags, compile_component
from aiconform.local.programs.prefetch import prefetch
from aiconform.progress import Progress, Silent

LARGE_BYTES = 10 * 1024**3
SMALL_BYTES = 1024**3
"""Free space asked for before building with and without Kubernetes: programs, modules, and Go's own cache."""


class Binaries(Mapping[str, Path]):
    """Paths of built programs, by program name: ``binaries["kubelet"]``."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._paths = dict(paths)

    def __getitem__(self, name: str) -> Path:
        return self._paths[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


def components_of(names: Iterable[str]) -> tuple[Component, ...]:
    """The components that contain these programs, in build order.

    Args:
        names: of programs (``kubelet``) or of components (``kubernetes``).

    Raises:
        UsageError: a name is neither.
    """
    wanted = set(names)
    found = [item for item in COMPONENTS.values() if item.name in wanted or not wanted.isdisjoint(item.programs)]
    unknown = wanted.difference(COMPONENTS, *(item.programs for item in found))
    if unknown:
        programs = sorted(program for item in COMPONENTS.values() for program in item.programs)
        raise UsageError(f"unknown program: {', '.join(sorted(unknown))}", hint=f"programs: {', '.join(programs)}")
    return tuple(found)


def key(item: Component) -> str:
    """Digest of all that decides what is built, except the compilers; a newer Go does not make programs stale."""
    digest = hashlib.sha256()
    for file in (item.pin / "go.mod", item.pin / "go.sum", *sorted(item.pin.glob("*.go"))):
        digest.update(file.read_bytes() + b"\0")
    pairs = [*item.programs.items(), *item.defines.items()]
    flags = [*build_flags(item), f"cgo={item.cgo}", platform.machine(), *map("=".join, pairs)]
    digest.update("\0".join(flags).encode())
    return digest.hexdigest()[:12]


def place(item: Component) -> Path:
    """Directory of a component's finished programs in the cache."""
    return cache.directory() / "components" / f"{item.name}-{item.version}-{key(item)}"


def ensure(names: Iterable[str], progress: Progress) -> Binaries:
    """Build what is not in the cache yet.

    Args:
        names: of programs or components; the result has every program of the components they belong to.
        progress: told which component is being built, how many there are, and how long it has taken.

    Raises:
        UsageError: a name is unknown.
        LocalClusterError: no toolchain, no space, no network, or a build failed.
    """
    wanted = components_of(names)
    missing = [item for item in wanted if item.programs and not place(item).exists()]
    if missing:
        _check_space(LARGE_BYTES if any(item.name == "kubernetes" for item in missing) else SMALL_BYTES)
        tools = _tools(missing, progress)
        with prefetch(missing[1:], tools):
            for done, item in enumerate(missing):
                _build(item, tools, progress, done, len(missing))
    return Binaries({program: place(item) / program for item in wanted for program in item.programs})


@contextlib.contextmanager
def downloading(names: Iterable[str], progress: Progress) -> Iterator[None]:
    """Download, in the background, the modules of what will be built one by one.

    Args:
        names: of programs or components.
        progress: told of a download of Go.
    """
    missing = [item for item in components_of(names) if item.programs and not place(item).exists()]
    if not missing:
        yield
        return
    with prefetch(missing, _tools(missing, progress)):
        yield


def module_dir(module: str, progress: Progress | None = None) -> Path:
    """Directory of a pinned module's source, with its charts and manifests; downloaded when missing.

    Args:
        module: Go module path, for example ``github.com/NVIDIA/k8s-device-plugin``: a component's own, or one that
            components require; then the first of them decides the version.
        progress: told of a download of Go.

    Raises:
        UsageError: no component requires it.
        LocalClusterError: it cannot be downloaded.
    """
    pin = _pin_with(module)
    go = toolchain.go([pin], progress or Silent())
    environment = toolchain.go_environment()
    for arguments in (["mod", "download", module], ["list", "-mod=readonly", "-m", "-f", "{{.Dir}}", module]):
        done = subprocess.run(
            [str(go), *arguments], cwd=pin, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise LocalClusterError(
                f"cannot download the Go module {module}",
                details=done.stderr.splitlines()[-5:],
                hint="check the network, GOPROXY and HTTPS_PROXY",
            )
    return Path(done.stdout.strip())


def _pin_with(module: str) -> Path:
    own = [item.pin for item in COMPONENTS.values() if item.module == module]
    if own:
        return own[0]
    for item in COMPONENTS.values():
        if any(line.split()[:1] == [module] for line in (item.pin / "go.mod").read_text().splitlines()):
            return item.pin
    raise UsageError(f"no component requires the Go module {module}")


def _tools(missing: list[Component], progress: Progress) -> Tools:
    go = toolchain.go([item.pin for item in missing], progress)
    return Tools(go, toolchain.c_compiler(progress) if any(item.cgo for item in missing) else ())


def _build(item: Component, tools: Tools, progress: Progress, done: int, total: int) -> None:
    what = f"building {item.name} {item.version}"
    started = time.monotonic()
    cache.make(
        place(item),
        lambda target: compile_component(item, tools, target, Watch(progress, done, total)),
        waiting=lambda: progress.update(what, done, total, "another aiconform builds it"),
    )
    elapsed = time.monotonic() - started
    progress.finished(f"built {item.name} {item.version}", f"{done + 1} of {total}, {elapsed:.0f} s")


def _check_space(needed: int) -> None:
    directory = cache.directory()
    there = next(path for path in (directory, *directory.parents) if path.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise LocalClusterError(
            f"{free / 1024**3:.1f} GiB are free for building, {needed / 1024**3:.0f} GiB are needed",
            details=[f"cache: {directory}"],
            hint="free space, or set XDG_CACHE_HOME to a directory on another disk",
        )
