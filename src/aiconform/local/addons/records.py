"""What is installed in a local cluster: a file for each add-on, in the cluster's own directory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from aiconform.local.state import Home, write_atomically

INSTALLING, READY, FAILED = "installing", "ready", "failed"


@dataclass(frozen=True)
class Record:
    """An add-on as its installation left it.

    Attributes:
        version: upstream's.
        condition: ``installing``, ``ready`` or ``failed``.
        cause: why it failed.
    """

    version: str
    condition: str
    cause: str = ""


def write(home: Home, name: str, record: Record) -> None:
    """Remember an add-on; a cluster that is gone is left alone."""
    if not home.ready_file.exists():
        return
    place = home.directory / "addons"
    place.mkdir(exist_ok=True)
    write_atomically(place / f"{name}.json", json.dumps(asdict(record)))


def read(home: Home) -> Mapping[str, Record]:
    """Every add-on of a cluster by name."""
    found: dict[str, Record] = {}
    for file in sorted((home.directory / "addons").glob("*.json")):
        try:
            found[file.stem] = Record(**json.loads(file.read_text()))
        except (OSError, ValueError, TypeError):
            continue
    return found
