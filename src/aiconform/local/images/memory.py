"""Remembers which archive an image came to whose files take seconds to list: an interpreter, packages, their libraries.

What is remembered holds as long as this program, its lists of packages and its Python are the same. Libraries of the
machine that were replaced meanwhile are not noticed; the image has those it was made with, which still work together.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable
from functools import cache as remembered
from pathlib import Path

from aiconform.local import cache
from aiconform.local.state import write_atomically

_DIRECTORY = Path(__file__).parents[1]


def recall(name: str, facts: Iterable[str]) -> Path | None:
    """The directory of the image's archive; None if it was not made yet by this program.

    Args:
        name: the image's short name.
        facts: what else decides what is in it.
    """
    try:
        place = cache.directory() / "images" / _note(name, facts).read_text()
    except FileNotFoundError:
        return None
    return place if (place / "image.tar").is_file() else None


def remember(name: str, facts: Iterable[str], place: Path) -> None:
    """Note where the image's archive is."""
    write_atomically(_note(name, facts), place.name)


def _note(name: str, facts: Iterable[str]) -> Path:
    digest = hashlib.sha256("\0".join([_program(), *facts]).encode()).hexdigest()[:12]
    return cache.directory() / "images" / f".{name}-{digest}"


@remembered
def _program() -> str:
    """Digest of all that makes images: the package of local clusters, and the Python that runs it."""
    digest = hashlib.sha256(f"{sys.version} {sys.base_prefix}".encode())
    for file in sorted(_DIRECTORY.rglob("*")):
        if file.suffix in (".py", ".txt"):
            digest.update(str(file.relative_to(_DIRECTORY)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
