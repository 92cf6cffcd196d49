"""What a further node of a running cluster is made from: remembered when the cluster starts (``blueprint.json``).

A node that comes later is built of the same programs, images and driver as those that were there first, even if the
cache was cleared or built anew meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from aiconform.local import seed
from aiconform.local.accelerators.node import preparation
from aiconform.local.boot import Image, Parts
from aiconform.local.state import Home, write_atomically
from aiconform.progress import Silent

FILE = "blueprint.json"
IMAGES = "images"
"""Directory of the cluster with the images that further nodes start from, a copy of links."""


@dataclass(frozen=True)
class Blueprint:
    """What a further node is made from.

    Attributes:
        programs: path of each program by name.
        driver: the simulated accelerators' driver library; None in a cluster without accelerators.
        archives: images that a further node has from the beginning.
        later: images that were brought to running nodes and are not among them yet.
    """

    programs: Mapping[str, Path]
    driver: Path | None = None
    archives: tuple[Path, ...] = ()
    later: tuple[Path, ...] = ()

    def parts(self, cluster: str) -> Parts:
        """The same as a cluster starts from, without images."""
        if self.driver is None:
            return Parts(self.programs, ())
        return Parts(self.programs, (), preparation(cluster, self.driver), driver=self.driver)


def remember(home: Home, made: Parts, images: Path) -> None:
    """Keep what a cluster was started from.

    Args:
        home: of the cluster.
        made: what it is put together from.
        images: what :func:`aiconform.local.seed.ensure` returned.
    """
    seed.plant(images, home.directory / IMAGES)
    _write(home, Blueprint(made.programs, made.driver, tuple(image.archive for image in made.images)))


def recall(home: Home) -> Blueprint | None:
    """What was remembered; None for a cluster started by a version that did not."""
    try:
        raw = json.loads((home.directory / FILE).read_text())
    except (FileNotFoundError, ValueError):
        return None
    programs = {name: Path(path) for name, path in raw["programs"].items()}
    driver = Path(raw["driver"]) if raw["driver"] else None
    archives, later = (tuple(Path(path) for path in raw[name]) for name in ("archives", "later"))
    return Blueprint(programs, driver, archives, later)


def brought(home: Home, archives: Iterable[Path]) -> None:
    """Remember images that were brought to running nodes, for nodes that come later."""
    with home.changing():
        known = recall(home)
        new = [path for path in archives if known and path not in (*known.archives, *known.later)]
        if known is not None and new:
            _write(home, replace(known, later=(*known.later, *new)))


def complete(home: Home, known: Blueprint) -> Blueprint:
    """Unpack what was brought later, once, where further nodes take their images from.

    Raises:
        LocalClusterError: an archive cannot be unpacked.
    """
    if not known.later:
        return known
    images = tuple(Image(path.parent.name, path) for path in known.later if path.exists())
    seed.extend(home.directory / IMAGES, Parts(known.programs, images), Silent())
    whole = replace(known, archives=(*known.archives, *known.later), later=())
    _write(home, whole)
    return whole


def _write(home: Home, blueprint: Blueprint) -> None:
    raw = {
        "programs": {name: str(path) for name, path in blueprint.programs.items()},
        "driver": str(blueprint.driver) if blueprint.driver else "",
        "archives": [str(path) for path in blueprint.archives],
        "later": [str(path) for path in blueprint.later],
    }
    write_atomically(home.directory / FILE, json.dumps(raw, indent=1))
