"""A program out of a container image that the user names: of a registry, or an archive as ``docker save`` writes it.

The image is read by crane, which knows registries, their logins and their manifests; nothing of it is unpacked but the
one file. Only here does a local cluster reach for a registry, and only when it is told to.
"""

from __future__ import annotations

import hashlib
import platform
import re
import shutil
import subprocess
import tarfile
from pathlib import Path, PurePosixPath
from typing import IO

from aiconform.errors import LocalClusterError, UsageError
from aiconform.local import cache
from aiconform.local.images.oci import ARCHITECTURES
from aiconform.local.programs import build
from aiconform.progress import Progress

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_STANDARD = "-"
"""By this name crane takes an archive from standard input, and gives a file system to standard output."""


def program(image: str, name: str, progress: Progress) -> Path:
    """The program of that name in an image, in the cache; fetched once for each digest.

    Args:
        image: a reference, or the path of an archive.
        name: of the file, wherever in the image it is.
        progress: told of a download.

    Raises:
        LocalClusterError: the image cannot be read, or has no such program; the details are crane's words.
    """
    crane = [str(build.ensure(["crane"], progress)["crane"]), "--platform", _platform()]
    archive = Path(image) if Path(image).is_file() else None
    progress.update(f"reading the image {image}")
    digest = _digest_of(archive) if archive else _resolved(crane, image)
    target = cache.directory() / "programs" / f"{name}-{digest}"  # whole: it is run as root

    def produce(place: Path) -> None:
        source = _STANDARD if archive else f"{_repository(image)}@sha256:{digest}"
        _take([*crane, "export", source, _STANDARD], archive, name, place)
        progress.finished(f"took {name} out of {image}", f"sha256:{digest[:12]}")

    try:
        return cache.make(target, produce)
    except _NotInImageError as problem:
        raise LocalClusterError(
            f"no {name} in the image {image}",
            details=problem.args,
            hint="crane export IMAGE - | tar t shows what it has",
        ) from problem


class _NotInImageError(Exception):
    """The image could not be read to its end, or has no such file; crane's words."""


def _resolved(crane: list[str], image: str) -> str:
    """The digest, in hexadecimal, of what a reference means for this machine."""
    if pinned := _DIGEST.search(image.partition("@")[2]):
        return pinned.group().removeprefix("sha256:")
    done = subprocess.run([*crane, "digest", image], capture_output=True, text=True, check=False)
    found = _DIGEST.search(done.stdout)
    if done.returncode != 0 or not found:
        raise LocalClusterError(
            f"cannot read the image {image}",
            details=done.stderr.splitlines()[-3:],
            hint="check the name, the network and `docker login`; a path to the program, or to an archive, works too",
        )
    return found.group().removeprefix("sha256:")


def _repository(image: str) -> str:
    """A reference without its tag and digest; a colon before a slash is a registry's port."""
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return head + slash + last.partition(":")[0]


def _digest_of(archive: Path) -> str:
    with archive.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _take(command: list[str], archive: Path | None, name: str, place: Path) -> None:
    """Copy one regular file out of the stream of an image's file system; nothing else is written anywhere."""
    given = archive.open("rb") if archive else None
    try:
        with subprocess.Popen(
            command, stdin=given or subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as crane:
            assert crane.stdout is not None and crane.stderr is not None  # noqa: S101, PT018 - pipes, as asked for
            found = _copied(crane.stdout, name, place)
            crane.stdout.close()
            words = crane.stderr.read().decode(errors="replace").splitlines()[-3:]
    finally:
        if given:
            given.close()
    if not found:
        raise _NotInImageError(*words)


def _copied(stream: IO[bytes], name: str, place: Path) -> bool:
    try:
        with tarfile.open(fileobj=stream, mode="r|") as files:
            for member in files:
                content = files.extractfile(member) if member.isreg() else None
                if content is not None and PurePosixPath(member.name).name == name:
                    with place.open("wb") as target:
                        shutil.copyfileobj(content, target)
                    place.chmod(0o755)
                    return place.stat().st_size == member.size
    except tarfile.TarError:
        pass  # crane says on standard error why it gave no file system
    return False


def _platform() -> str:
    machine = platform.machine()
    if machine not in ARCHITECTURES:
        raise UsageError(f"images have no name for the processor {machine}")
    return f"linux/{ARCHITECTURES[machine]}"
