"""Packages from PyPI: exactly what is pinned, trimmed, compiled for where they go."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import zipfile
from pathlib import Path

import pytest

from aiconform.errors import LocalClusterError
from aiconform.local import cache
from aiconform.local.images import oci
from aiconform.local.programs import pypi
from aiconform.progress import Silent


@pytest.fixture
def shop(tmp_path, monkeypatch) -> Path:
    """A place with one wheel, pip told to look nowhere else, and an empty cache."""
    place = tmp_path / "shop"
    place.mkdir()
    with zipfile.ZipFile(place / "tiny-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("tiny/__init__.py", "where = __file__\n")
        archive.writestr("tiny/tests/test_it.py", "")
        archive.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("tiny-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(place))
    monkeypatch.setattr(pypi, "PINS", place)
    _pin(place, hashlib.sha256((place / "tiny-1.0-py3-none-any.whl").read_bytes()).hexdigest())
    return place


def _pin(shop: Path, digest: str) -> None:
    (shop / "tiny.txt").write_text(f"tiny==1.0 \\\n    --hash=sha256:{digest}\n")


def test_what_is_pinned_is_installed_once_and_trimmed(shop, monkeypatch) -> None:
    directory = pypi.packages("tiny", Silent(), without=["**/tests"])
    assert sorted(p.name for p in (directory / "tiny").iterdir()) == ["__init__.py"]
    monkeypatch.setenv("PIP_FIND_LINKS", os.devnull)
    assert pypi.packages("tiny", Silent(), without=["**/tests"]) == directory


def test_another_trim_is_another_directory(shop) -> None:
    assert pypi.packages("tiny", Silent()) != pypi.packages("tiny", Silent(), without=["**/tests"])


def test_another_digest_is_refused_and_nothing_is_left(shop) -> None:
    _pin(shop, "0" * 64)
    with pytest.raises(LocalClusterError, match=r"downloading tiny 1\.0 failed") as caught:
        pypi.packages("tiny", Silent())
    assert any("hash" in line.lower() for line in caught.value.details)
    assert list((cache.directory() / "wheels").iterdir()) == []


def test_compiled_files_name_the_place_in_the_image_and_no_time(shop) -> None:
    directory = pypi.packages("tiny", Silent(), at="/opt/packages")
    (compiled,) = directory.glob("tiny/__pycache__/*.pyc")
    data = compiled.read_bytes()
    assert data[:4] == importlib.util.MAGIC_NUMBER
    assert data[4:8] == b"\x01\0\0\0", "by the source's hash, and not looked at again"
    assert b"/opt/packages/tiny/__init__.py" in data
    assert str(directory).encode() not in data


def test_entries_keep_links_and_what_can_be_run(tmp_path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/run").write_text("#!/bin/sh\n")
    (tmp_path / "bin/run").chmod(0o700)
    (tmp_path / "data").write_text("x")
    (tmp_path / "link").symlink_to("data")
    found = {entry.path: entry for entry in oci.entries(tmp_path, "/opt/x")}
    assert (found["/opt/x/bin/run"].mode, found["/opt/x/data"].mode) == (0o755, 0o644)
    assert found["/opt/x/link"].link == "data"


@pytest.mark.parametrize("pins", sorted(pypi.PINS.glob("*.txt")), ids=lambda path: path.stem)
def test_every_pin_has_a_version_and_digests(pins) -> None:
    wanted = [line for line in pins.read_text().replace("\\\n", " ").splitlines() if line and not line.startswith("#")]
    assert wanted
    assert all("==" in line and "--hash=sha256:" in line for line in wanted)
