"""The running Python as files of an image: interpreter, standard library, and the shared libraries they need.

They go to ``/usr/local``, as in the public images of Python, wherever they are on this machine: a prefix in somebody's
home directory could not be read by other users, and an interpreter finds its library beside itself. Shared libraries
keep their paths where a dynamic loader looks by itself; others go beside the C library.
"""

from __future__ import annotations

import shutil
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from aiconform.errors import LocalClusterError
from aiconform.local import cache
from aiconform.local.images import oci
from aiconform.local.images.oci import Entry
from aiconform.local.programs import pypi
from aiconform.progress import Progress

REFERENCE = f"docker.io/library/python:{pypi.PYTHON}-slim"
"""The public image with the same version."""

HOME = "/usr/local"
LIBRARY = f"{HOME}/{sys.platlibdir}/python{pypi.PYTHON}"
PACKAGES = f"{LIBRARY}/site-packages"
"""Where an image's packages go. Some distributions' Python looks elsewhere: put it into ``PYTHONPATH``."""

_LEFT_OUT = (
    *("site-packages", "dist-packages", "test", "idlelib", "tkinter", "turtledemo", "turtle.py", "lib2to3"),
    *("ensurepip", "pydoc_data", "distutils/tests", "unittest/test", "sqlite3/test", "ctypes/test", "config-*"),
    *("lib-dynload/_tkinter*", "lib-dynload/_test*", "lib-dynload/_xxtest*", "lib-dynload/xx*", "**/*.a", "**/*.exe"),
)
_DEFAULT_DIRECTORIES = ("/lib", "/usr/lib", "/lib64", "/usr/lib64")


def interpreter(progress: Progress) -> list[Entry]:
    """Python with ``/usr/local/bin/python`` and ``python3``, its standard library, and the C library.

    Raises:
        LocalClusterError: the running Python has no library of its own to copy.
    """
    library = _library(progress)
    program = _program()
    names = (f"python{pypi.PYTHON}", "python3", "python")
    links = [Entry(f"{HOME}/bin/{name}", link=target) for target, name in pairwise(names)]
    return [
        Entry(f"{HOME}/bin/{names[0]}", source=program),
        *links,
        *oci.entries(library, LIBRARY),
        *shared_libraries([program, *library.rglob("*.so")]),
    ]


def shared_libraries(files: Iterable[Path]) -> list[Entry]:
    """What programs and libraries need to be loaded, as ``ldd`` finds it on this machine.

    Args:
        files: programs and libraries; those of them that others need are not listed again.

    Raises:
        LocalClusterError: one of them is missing on this machine.
    """
    programs = sorted(set(files))
    done = subprocess.run(["ldd", *map(str, programs)], capture_output=True, text=True, check=False)
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("\t")]
    lacking = sorted({words[0] for words in lines if words[1:] == ["=>", "not", "found"]})
    own = {program.name for program in programs}
    if set(lacking) - own:
        raise LocalClusterError(f"shared libraries are missing: {', '.join(sorted(set(lacking) - own))}")
    wanted = {word: Path(word) for words in lines for word in words if word.startswith("/")}
    needed = {name: path for name, path in wanted.items() if path.name not in own}
    beside = next((str(path.parent) for path in needed.values() if path.name == "libc.so.6"), "/usr/lib")
    unwinder = Path(beside) / "libgcc_s.so.1"  # loaded by name when a thread ends
    if unwinder.exists():
        needed[str(unwinder)] = unwinder
    return [Entry(_place(path, beside), source=path) for _, path in sorted(needed.items())]


def _place(path: Path, beside: str) -> str:
    """Where the loader of an image without a cache of paths finds a library by its name."""
    known = str(path.parent) in (beside, *_DEFAULT_DIRECTORIES) or path.name.startswith("ld-linux")
    return str(path) if known else f"{beside}/{path.name}"


def _library(progress: Progress) -> Path:
    """The standard library, trimmed and compiled, in the cache."""
    source = Path(sysconfig.get_path("stdlib"))
    if not (source / "os.py").is_file():
        raise LocalClusterError(f"Python {pypi.PYTHON} has no standard library at {source}", hint="install python3")
    stamp = (source / "os.py").stat()
    key = f"{sys.version_info.micro}-{stamp.st_size:x}-{stamp.st_mtime_ns:x}"

    def produce(target: Path) -> None:
        progress.update(f"copying Python {pypi.PYTHON}")
        shutil.copytree(source, target, symlinks=False, ignore=_skip, ignore_dangling_symlinks=True)
        pypi.trim(target, _LEFT_OUT)
        for path in target.rglob("*"):
            path.chmod(path.stat().st_mode | stat.S_IRUSR | stat.S_IWUSR)
        pypi.precompile(target, LIBRARY)

    return cache.make(cache.directory() / "python" / f"{pypi.PYTHON}-{key}", produce)


def _skip(_directory: str, names: list[str]) -> list[str]:
    """What is large and need not even be copied."""
    return [name for name in names if name in ("site-packages", "dist-packages", "test", "__pycache__")]


def _program() -> Path:
    """The interpreter itself, not a virtual environment's name for it."""
    own = Path(sys.base_exec_prefix) / "bin" / f"python{pypi.PYTHON}"
    return (own if own.exists() else Path(sys.executable)).resolve()
