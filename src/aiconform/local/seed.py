"""Images as containerd keeps them: imported once into a directory of the cache, from which every node starts.

Unpacking the images anew on each of three nodes would take longer than the rest of a boot. Nodes get hard links to
the files, which containerd never writes to once they are there, and copies of its two databases, which it does.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from aiconform.errors import LocalClusterError
from aiconform.local import cache
from aiconform.local.boot import Image, Parts
from aiconform.progress import Progress

KEPT = 6
"""How many image sets stay in the cache; older ones go when a new one is made. What they share is there once."""

START_LIMIT_S = 30.0

_SCRATCH = "/tmp"  # noqa: S108 - the directory in it is ours alone; never below /run, which containerd sees empty

_CONFIG = """\
version = 3
root = "{root}"
state = "{scratch}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", \
"io.containerd.snapshotter.v1.erofs", "io.containerd.snapshotter.v1.blockfile", "io.containerd.nri.v1.nri"]

[grpc]
  address = "{scratch}/socket"
"""


def ensure(made: Parts, progress: Progress) -> Path:
    """A containerd root directory with all images of a cluster.

    Args:
        made: programs and images; containerd and ctr are among the programs.
        progress: told of each image that is unpacked.

    Raises:
        LocalClusterError: containerd does not start or an archive is not what it should be.
    """
    target = cache.directory() / "containerd" / _key(made)
    if target.exists():
        os.utime(target)
        return target
    cache.make(
        target,
        lambda place: _produce(place, made, progress),
        waiting=lambda: progress.update("unpacking images", waiting="another aiconform does it"),
    )
    _forget_old(target.parent)
    return target


def extend(root: Path, made: Parts, progress: Progress) -> None:
    """Add images to a containerd root directory of one's own, on which no containerd runs.

    Args:
        root: what :func:`plant` filled.
        made: programs, and the images to add.
        progress: told of each image that is unpacked.

    Raises:
        LocalClusterError: containerd does not start or an archive is not what it should be.
    """
    with (
        tempfile.TemporaryDirectory(prefix="aiconform-", dir=_SCRATCH) as scratch,
        _containerd(root, Path(scratch), made),
    ):
        _import(made.images, Path(scratch), made, progress)


def plant(seed: Path, root: Path) -> None:
    """Fill a node's containerd root directory.

    Args:
        seed: what :func:`ensure` returned.
        root: does not exist yet, or is empty.

    Raises:
        LocalClusterError: the disk is full or not writable.
    """
    for mode in ("--link", "--reflink=auto"):  # links do not cross file systems
        shutil.rmtree(root, ignore_errors=True)
        copied = subprocess.run(
            ["cp", "--archive", mode, str(seed), str(root)], capture_output=True, text=True, check=False
        )
        if copied.returncode == 0:
            break
    else:
        raise LocalClusterError(
            "cannot copy images to a node", details=copied.stderr.splitlines()[:3], hint="free space"
        )
    for database in seed.rglob("*.db"):
        mine = root / database.relative_to(seed)
        mine.unlink()
        shutil.copy2(database, mine)


def _facts(made: Parts) -> list[str]:
    """What decides what is in a set: containerd, and each archive by size and time, to be quick."""
    facts = [str(made.programs["containerd"])]
    for archive in sorted({image.archive for image in made.images}):
        seen = archive.stat()
        facts.append(f"{archive} {seen.st_size} {seen.st_mtime_ns}")
    return facts


def _key(made: Parts) -> str:
    return hashlib.sha256("\n".join(_facts(made)).encode()).hexdigest()[:16]


def _list(target: Path) -> Path:
    """Where it is noted what a set is made of."""
    return target.with_name(f".{target.name}.list")


def _produce(place: Path, made: Parts, progress: Progress) -> None:
    """Unpack what no set in the cache has yet; the rest are links to the largest set of which all is wanted."""
    facts = _facts(made)
    known = _begin_with(place, set(facts))
    rest = tuple(image for image in made.images if not any(fact.startswith(f"{image.archive} ") for fact in known))
    extend(place, dataclasses.replace(made, images=rest), progress)
    directory = cache.directory() / "containerd"
    _list(directory / place.name).write_text("\n".join(facts))


def _begin_with(place: Path, facts: set[str]) -> set[str]:
    """Start a set from another one; what that was made of, nothing if there is none to start from."""
    lists = {file: set(file.read_text().splitlines()) for file in (cache.directory() / "containerd").glob(".*.list")}
    for file, known in sorted(lists.items(), key=lambda item: -len(item[1])):
        other = file.with_name(file.name.removeprefix(".").removesuffix(".list"))
        if known <= facts and other.is_dir():
            with contextlib.suppress(LocalClusterError):  # it may be on its way out
                os.utime(other)
                plant(other, place)
                return known
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(mode=0o711)
    return set()


@contextlib.contextmanager
def _containerd(root: Path, scratch: Path, made: Parts) -> Iterator[None]:
    """Run containerd without Kubernetes' part, apart from the machine's mounts and its ``/run``."""
    (scratch / "config.toml").write_text(_CONFIG.format(root=root, scratch=scratch))
    apart = [sys.executable, "-m", "aiconform.local.node.apart"]
    command = ["setpriv", "--pdeathsig=KILL", *apart, str(made.programs["containerd"])]
    with (scratch / "log").open("wb") as log:
        process = subprocess.Popen([*command, "--config", str(scratch / "config.toml")], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + START_LIMIT_S
        while not (scratch / "socket").exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise LocalClusterError(
                    "containerd does not start to unpack images",
                    details=(scratch / "log").read_text().splitlines()[-5:],
                )
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait()


def _import(images: Iterable[Image], scratch: Path, made: Parts, progress: Progress) -> None:
    ctr = [str(made.programs["ctr"]), f"--address={scratch}/socket", "--namespace=k8s.io"]
    todo = list(images)
    for done, image in enumerate(todo):
        progress.update("unpacking images", done, len(todo), image.name)
        result = subprocess.run(
            [*ctr, "images", "import", "--local", str(image.archive)], capture_output=True, text=True, check=False
        )
        if result.returncode != 0:
            raise LocalClusterError(
                f"containerd refuses the image {image.name}",
                details=[str(image.archive), *result.stderr.splitlines()[-3:]],
            )
    progress.finished("unpacked images", f"{len(todo)}")


def _forget_old(directory: Path) -> None:
    """Remove image sets not used for long; clusters that run on them keep their links."""
    sets = sorted((entry for entry in directory.iterdir() if not entry.name.startswith(".")), key=_age)
    for entry in sets[KEPT:]:
        _list(entry).unlink(missing_ok=True)
        shutil.rmtree(entry, ignore_errors=True)


def _age(entry: Path) -> float:
    with contextlib.suppress(FileNotFoundError):
        return -entry.stat().st_mtime
    return 0.0
