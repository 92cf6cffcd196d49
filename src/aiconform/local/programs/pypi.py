"""Packages from PyPI, pinned by version and digest: what is only to be had there, or is written in Python.

A file ``wheels/<name>.txt`` lists a set of packages with everything they require, as ``uv pip compile --universal
--generate-hashes --only-binary :all:`` writes it. pip installs exactly that, for the Python that runs, into the cache.
"""

from __future__ import annotations

import hashlib
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from aiconform.errors import LocalClusterError
from aiconform.local import cache
from aiconform.progress import Progress

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
"""The running Python's version, for which packages are chosen."""

PINS = Path(__file__).parents[1] / "wheels"


def packages(name: str, progress: Progress, *, without: Sequence[str] = (), at: str = "") -> Path:
    """Directory in the cache with the packages of ``wheels/<name>.txt``, as ``pip install --target`` leaves them.

    Args:
        name: of the list.
        progress: told of a download.
        without: glob patterns, below the directory, of what is left out; every ``__pycache__`` is.
        at: where the packages go in an image; they are compiled for it. Without it they are not compiled.

    Raises:
        LocalClusterError: no network, no wheel for this machine, or a digest differs.
    """
    pins = (PINS / f"{name}.txt").read_text()
    what = f"downloading {name} {_version(name, pins)}"

    def produce(target: Path) -> None:
        progress.update(what)
        install(pins, target, what=what)
        trim(target, without)
        if at:
            precompile(target, at)
        progress.finished(what.replace("downloading", "downloaded"))

    key = hashlib.sha256("\0".join([pins, PYTHON, platform.machine(), at, *without]).encode()).hexdigest()[:12]
    place = cache.directory() / "wheels" / f"{name}-{key}"
    return cache.make(place, produce, waiting=lambda: progress.update(what, waiting="another aiconform"))


def install(pins: str, target: Path, *, what: str, hint: str = "check the network and pip's settings") -> None:
    """Install pinned packages into a directory that does not exist yet.

    Args:
        pins: lines of a requirements file; each names a version and its digests, and nothing else is installed.
        target: the directory.
        what: the work, for an error.
        hint: the next step, for an error.

    Raises:
        LocalClusterError: pip failed; the details say why.
    """
    file = target.with_name("requirements.txt")
    file.write_text(pins)
    options = ["--no-deps", "--require-hashes", "--only-binary=:all:", "--no-compile", "--disable-pip-version-check"]
    arguments = ["install", *options, "--python-version", PYTHON, "--target", str(target), "--requirement", str(file)]
    log = cache.log_file("pip")
    with log.open("wb") as output:
        done = subprocess.run([*_pip(), *arguments], stdout=output, stderr=subprocess.STDOUT, check=False)
    file.unlink()
    if done.returncode != 0:
        lines = log.read_text(errors="replace").splitlines()
        raise LocalClusterError(f"{what} failed", details=[*lines[-5:], f"log: {log}"], hint=hint)


def trim(directory: Path, without: Iterable[str]) -> None:
    """Remove what the patterns name, and every ``__pycache__``, from a directory."""
    for pattern in ("**/__pycache__", *without):
        for found in sorted(directory.glob(pattern)):
            if found.is_dir() and not found.is_symlink():
                shutil.rmtree(found)
            else:
                found.unlink(missing_ok=True)


def precompile(directory: Path, at: str) -> None:
    """Compile Python files once for all containers, which cannot keep what they compile themselves.

    The compiled files name no time: those in an image all have the same.

    Args:
        directory: on this machine.
        at: where it is in the image, for tracebacks.
    """
    options = ["-q", "-j", "2", "--invalidation-mode", "unchecked-hash", "-s", str(directory), "-p", at]
    done = subprocess.run(
        [sys.executable, "-m", "compileall", *options, str(directory)], capture_output=True, text=True, check=False
    )
    if not any(directory.rglob("*.pyc")):
        raise LocalClusterError("cannot compile Python files", details=done.stdout.splitlines()[-5:])


def _version(name: str, pins: str) -> str:
    """The version of the package that the list is named after, else of its first."""
    found = re.search(rf"^{re.escape(name)}==([^\s;]+)", pins, re.MULTILINE) or re.search(r"==([^\s;]+)", pins)
    return found[1] if found else ""


def _pip() -> list[str]:
    probe = subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False)
    if probe.returncode == 0:
        return [sys.executable, "-m", "pip"]
    found = shutil.which("pip3") or shutil.which("pip")
    if not found:
        raise LocalClusterError("pip is missing", hint="apt-get install python3-pip")
    return [found]
