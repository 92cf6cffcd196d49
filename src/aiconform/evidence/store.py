"""The files of a bundle, as a directory or as an archive, behind one door. Nothing is ever extracted.

Everything that a hostile bundle could bring is refused here, before a byte of it means anything: links, devices, names
that are not those of a bundle, and more than a bundle may have.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Protocol

from aiconform.errors import BundleError
from aiconform.evidence import layout
from aiconform.evidence.census import NAME_ONE, Census, refuse
from aiconform.evidence.unpack import ArchiveStore

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Store(Protocol):
    """The files of a bundle."""

    sizes: dict[str, int]
    """Bytes per file, by name."""

    def read(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            BundleError: it is not there, or not readable as a plain file.
        """


def open_store(path: Path) -> Store:
    """The files of the bundle at a path: a directory, or an archive (``.tar.gz`` or ``.tar``).

    Raises:
        BundleError: no bundle, or one that must not be trusted with being read.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            _refuse_runs(path)
            return DirectoryStore(path)
        if stat.S_ISREG(mode):
            return ArchiveStore(path)
    except OSError as problem:
        raise BundleError(f"cannot read {path}: {problem.strerror or problem}", hint=NAME_ONE) from problem
    raise BundleError(f"{path} is neither a directory nor a plain file", hint=NAME_ONE)


def _refuse_runs(path: Path) -> None:
    """Refuse a run's directory, which has the bundle in it, and one of runs."""
    if any((path / name).exists() for name in (layout.MANIFEST, layout.LOG, layout.PLAN)):
        return
    if inside := _inside(path):
        raise BundleError(f"{path} is a run's directory, not its bundle", hint=f"name the bundle in it: {inside}")
    below = [found for entry in path.iterdir() if (found := _inside(entry))]
    if below:
        newest = max(below, key=lambda found: found.stat().st_mtime)
        raise BundleError(f"{path} is a directory of runs, not a bundle", hint=f"the newest bundle in it is {newest}")


def _inside(run: Path) -> Path | None:
    return next((found for name in ("bundle", "bundle.tar.gz") if (found := run / name).exists()), None)


class DirectoryStore:
    """A bundle as a directory. No symbolic link is followed in it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        census = Census()
        self.sizes = census.sizes
        root = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._list(root, "", census)
        finally:
            os.close(root)

    def _list(self, folder: int, prefix: str, census: Census) -> None:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = prefix + entry.name
                info = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(info.st_mode) and name in layout.FOLDERS:
                    below = os.open(entry.name, _DIRECTORY, dir_fd=folder)
                    try:
                        self._list(below, name + "/", census)
                    finally:
                        os.close(below)
                elif stat.S_ISREG(info.st_mode):
                    census.admit(name, info.st_size)
                else:
                    raise refuse(name, f"is {_kind(info.st_mode)}, not a plain file of a bundle")

    def read(self, name: str) -> bytes:
        """See :class:`Store`."""
        limit = layout.size_limit(name)
        try:
            with open(self._open(name), "rb") as file:  # noqa: PTH123 - a descriptor, opened without following links
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise refuse(name, "is no plain file")
                data = file.read(limit + 1)
        except OSError as problem:
            why = "is missing" if problem.errno == errno.ENOENT else f"cannot be read: {problem.strerror}"
            raise refuse(name, why) from problem
        if len(data) > limit:
            raise refuse(name, f"has more than {limit} bytes")
        return data

    def _open(self, name: str) -> int:
        *folders, last = name.split("/")
        at = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for folder in folders:
                below = os.open(folder, _DIRECTORY, dir_fd=at)
                os.close(at)
                at = below
            return os.open(last, _FILE, dir_fd=at)
        finally:
            os.close(at)


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFLNK: "a symbolic link",
        stat.S_IFDIR: "a directory",
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a character device",
        stat.S_IFBLK: "a block device",
    }
    return kinds.get(stat.S_IFMT(mode), "something else")
