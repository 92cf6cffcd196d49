"""Keeps the logs of a cluster that failed; those of one that was stopped go with it."""

from __future__ import annotations

import shutil
from pathlib import Path

from aiconform.local import cache
from aiconform.local.state import Home


def kept(name: str) -> Path:
    """Where the logs of the last failure of a cluster are, if there was one."""
    return cache.directory() / "logs" / f"local-{name}"


def keep(home: Home) -> Path:
    """Copy a failed cluster's logs to the cache, over those of the failure before.

    Raises:
        OSError: the cache cannot be written.
    """
    place = kept(home.name)
    shutil.rmtree(place, ignore_errors=True)
    if home.logs.is_dir():
        shutil.copytree(home.logs, place)
    return place
