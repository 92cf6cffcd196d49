"""A program out of an image: of a real registry on the loopback, and out of archives."""

from __future__ import annotations

import re
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiconform.errors import LocalClusterError
from aiconform.local import cache
from aiconform.local.images import image_program
from aiconform.local.programs import build
from aiconform.progress import Silent

PROGRAM = b"#!/bin/sh\necho 1.35.2\n"


@pytest.fixture(scope="module")
def crane() -> Path:
    return build.ensure(["crane"], Silent())["crane"]


@pytest.fixture(scope="module")
def registry(crane: Path) -> Iterator[str]:
    """Host and port of an empty registry."""
    command = [crane, "registry", "serve", "--address", "127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as served:
        assert served.stderr is not None
        found = re.search(r"port (\d+)", served.stderr.readline())
        assert found
        yield f"127.0.0.1:{found.group(1)}"
        served.kill()


@pytest.fixture(scope="module")
def image(crane: Path, registry: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image with the program in a directory, and a link of its name before it."""
    place = tmp_path_factory.mktemp("image")
    (place / "root" / "bin").mkdir(parents=True)
    (place / "root" / "bin" / "scaler").write_bytes(PROGRAM)
    (place / "root" / "aaa").mkdir()
    (place / "root" / "aaa" / "scaler").symlink_to("/etc/passwd")
    with tarfile.open(place / "layer.tar", "w") as layer:
        layer.add(place / "root", ".")
    reference = f"{registry}/scaling/scaler:v1"
    subprocess.run(
        [crane, "append", "--new_layer", place / "layer.tar", "--new_tag", reference], check=True, capture_output=True
    )
    return reference


@pytest.fixture(autouse=True)
def own_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, crane: Path) -> None:
    """What was taken out before does not count."""
    monkeypatch.setattr(image_program.build, "ensure", lambda *_: {"crane": crane})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_out_of_a_registry_once_for_each_digest(image: str, crane: Path) -> None:
    taken = image_program.program(image, "scaler", Silent())
    assert subprocess.run([taken], capture_output=True, check=True).stdout == b"1.35.2\n"
    assert taken.read_bytes() == PROGRAM
    made = taken.stat().st_mtime_ns
    time.sleep(0.01)
    digest = subprocess.run([crane, "digest", image], capture_output=True, text=True, check=True).stdout.strip()
    assert image_program.program(f"{image}@{digest}", "scaler", Silent()) == taken
    assert taken.stat().st_mtime_ns == made
    nowhere = f"127.0.0.1:1/scaling/scaler@{digest}"
    assert image_program.program(nowhere, "scaler", Silent()) == taken  # known by its digest, nobody is asked


def test_out_of_an_archive(image: str, crane: Path, tmp_path: Path) -> None:
    subprocess.run([crane, "pull", image, tmp_path / "image.tar"], check=True, capture_output=True)
    assert image_program.program(str(tmp_path / "image.tar"), "scaler", Silent()).read_bytes() == PROGRAM


def test_an_image_without_the_program(image: str) -> None:
    with pytest.raises(LocalClusterError, match="no other in the image"):
        image_program.program(image, "other", Silent())
    assert not list((cache.directory() / "programs").iterdir())


def test_a_registry_that_does_not_answer() -> None:
    with pytest.raises(LocalClusterError, match=r"cannot read the image 127\.0\.0\.1:1/x:y") as caught:
        image_program.program("127.0.0.1:1/x:y", "scaler", Silent())
    assert "connection refused" in "".join(caught.value.details)
    assert "docker login" in caught.value.hint


def test_a_file_that_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "image.tar").write_text("no archive")
    with pytest.raises(LocalClusterError, match="no scaler in the image") as caught:
        image_program.program(str(tmp_path / "image.tar"), "scaler", Silent())
    assert "tarball" in "".join(caught.value.details)
