"""The cache of built programs and images, shared by every local cluster of a user.

::

    <cache>/aiconform/
        components/<name>-<version>-<key>/   programs of one component
        images/<name>-<key>.tar              image archives
        toolchain/<package>-<version>/       Go and a C compiler, where the system has none
        logs/<name>.log                      output of the last build
        locks/                               one per thing that is made

Nothing is ever changed in place: a thing is made in a directory of its own and renamed when it is finished, so whatever
has its final name is whole, whenever the maker was killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from aiconform.errors import LocalClusterError

_PARTIAL = ".partial-"


def directory() -> Path:
    """The cache: ``$XDG_CACHE_HOME/aiconform`` or ``~/.cache/aiconform`` (XDG Base Directory Specification)."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "aiconform"


def log_file(name: str) -> Path:
    """Where the output of building ``name`` goes."""
    path = directory() / "logs" / f"{name}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def lock(name: str, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold a lock among all processes that use this cache; the kernel drops it when the holder dies.

    Args:
        name: what is locked.
        waiting: called once if another process holds it.
    """
    path = directory() / "locks" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def make(
    target: Path,
    produce: Callable[[Path], None],
    *,
    waiting: Callable[[], None] = lambda: None,
) -> Path:
    """Return a directory or file of the cache, making it first if it is not there.

    Args:
        target: its final path.
        produce: makes it at the path it is given, which does not exist yet; its parent directory does.
        waiting: called once if another process is making the same.

    Raises:
        LocalClusterError: the cache cannot be written, or its file system is full.
    """
    if target.exists():
        return target
    try:
        with lock(target.name, waiting):
            if not target.exists():
                _produce(target, produce)
    except OSError as error:
        raise LocalClusterError(
            f"cannot write to the cache: {error}", hint=f"free space, or point XDG_CACHE_HOME away from {directory()}"
        ) from error
    return target


def _produce(target: Path, produce: Callable[[Path], None]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    for left_over in target.parent.glob(f"{_PARTIAL}{target.name}-*"):  # we hold the lock: its maker is dead
        shutil.rmtree(left_over, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(prefix=f"{_PARTIAL}{target.name}-", dir=target.parent))
    try:
        made = scratch / target.name
        produce(made)
        made.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
