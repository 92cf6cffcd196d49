"""Keeps the logs of a cluster that failed; those of one that was stopped go with it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from aiconform.local import cache
from aiconform.local.state import Home


def kept(name: str) -> Path:
    """Where the logs of the last failure of a cluster are, if there was one."""
    return cache.directory() / "logs" / f"local-{name}"


def keep(home: Home) -> Path | None:
    """Copy a failed cluster's logs to the cache, over those of the failure before.

    Returns:
        Where they are; None if the cluster has none.

    Raises:
        OSError: the cache cannot be written, or the cluster is removed meanwhile; what was kept before stays.
    """
    if not home.logs.is_dir():
        return None
    place = kept(home.name)
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", dir=place.parent) as scratch:
        copy = shutil.copytree(home.logs, Path(scratch) / place.name)
        shutil.rmtree(place, ignore_errors=True)
        copy.rename(place)
    return place
