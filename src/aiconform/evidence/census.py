"""What a bundle may have in it: known names, once each, and no more than there may be."""

from __future__ import annotations

from typing import Final

from aiconform.errors import BundleError
from aiconform.evidence import layout

HINT: Final = "ask for the bundle again, and compare its root digest with the one that its author names"
NAME_ONE: Final = "name a bundle's directory or its .tar.gz"
"""The hint where what was named is no bundle in any shape."""


def refuse(name: str, why: str, *, hint: str = HINT) -> BundleError:
    """The error for a file of a bundle; names are shown so that nothing in them acts on a terminal."""
    shown = ascii(name)[1:-1]
    return BundleError(f"{shown[:120]}: {why}", hint=hint)


class Census:
    """Counts what is in a bundle, and refuses what may not be."""

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}
        self._total = 0

    def admit(self, name: str, size: int) -> None:
        """Take a file in.

        Raises:
            BundleError: a bundle has no such file, or not so much of it.
        """
        if name in self.sizes:
            raise refuse(name, "is there twice")
        if not layout.is_known(name):
            raise refuse(name, why_unknown(name))
        if size > layout.size_limit(name):
            raise refuse(name, f"has {size} bytes; at most {layout.size_limit(name)} are read")
        self._total += size
        if self._total > layout.MAX_TOTAL:
            raise refuse(name, f"with it the bundle has more than {layout.MAX_TOTAL} bytes")
        if len(self.sizes) >= layout.MAX_FILES:
            raise refuse(name, f"with it the bundle has more than {layout.MAX_FILES} files")
        self.sizes[name] = size


def why_unknown(name: str) -> str:
    """Why a bundle has no file of this name."""
    parts = name.split("/")
    if name.startswith("/"):
        return "is an absolute path"
    if ".." in parts:
        return "is a path that leaves the bundle"
    if "\\" in name or any(ord(char) < 32 for char in name):
        return "has a character that no file of a bundle has in its name"
    if layout.is_known(name.lower()):
        return "differs from a file of a bundle in upper and lower case only"
    return "is no file of a bundle"
