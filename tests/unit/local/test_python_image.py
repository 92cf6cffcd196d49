"""The running Python as an image's files: it runs from there, for anybody, and is small."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from aiconform.errors import LocalClusterError
from aiconform.local.images import oci, python_image, ray_image
from aiconform.local.images.table import IMAGES
from aiconform.local.programs import pypi
from aiconform.progress import Silent

LARGEST = 80_000_000


@pytest.fixture(scope="module")
def entries(tmp_path_factory) -> list[oci.Entry]:
    """The files, with a cache of their own."""
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    try:
        return python_image.interpreter(Silent())
    finally:
        os.environ.pop("XDG_CACHE_HOME")
        if before is not None:
            os.environ["XDG_CACHE_HOME"] = before


def _laid_out(entries: list[oci.Entry], root: Path) -> None:
    for entry in entries:
        place = root / entry.path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if entry.link:
            place.symlink_to(entry.link)
        elif entry.source is not None:
            shutil.copy(entry.source, place)
            place.chmod(entry.mode)


def test_python_runs_from_its_new_place(entries, tmp_path) -> None:
    _laid_out([entry for entry in entries if entry.path.startswith(python_image.HOME)], tmp_path)
    others = [entry for entry in entries if entry.source and "libpython" in entry.path]
    _laid_out(others, tmp_path)
    home = tmp_path / python_image.HOME.lstrip("/")
    script = "import ssl, sqlite3, ctypes, http.server, sys; print(sys.prefix)"
    where = ":".join(str(tmp_path / entry.path.lstrip("/")).rpartition("/")[0] for entry in others)
    done = subprocess.run(
        [str(home / "bin/python"), "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={"LD_LIBRARY_PATH": where},
    )
    assert done.stdout.strip() == str(home), done.stderr


def test_it_is_small_and_has_nothing_of_the_machine(entries) -> None:
    assert sum(entry.source.stat().st_size for entry in entries if entry.source) < LARGEST
    paths = [entry.path for entry in entries]
    assert f"{python_image.LIBRARY}/os.py" in paths
    for word in ("/site-packages/", "/dist-packages/", "/tkinter/", "/idlelib/", "_tkinter", "/test/test_"):
        assert [path for path in paths if word in path] == []
    assert all(path.startswith((f"{python_image.HOME}/", "/lib", "/usr/lib")) for path in paths)


def test_a_library_that_no_loader_would_find_goes_beside_the_c_library() -> None:
    place = python_image._place
    assert place(Path("/lib/x86_64-linux-gnu/libz.so.1"), "/lib/x86_64-linux-gnu") == "/lib/x86_64-linux-gnu/libz.so.1"
    assert (
        place(Path("/root/.pyenv/lib/libpython3.so"), "/lib/x86_64-linux-gnu") == "/lib/x86_64-linux-gnu/libpython3.so"
    )
    assert place(Path("/lib64/ld-linux-x86-64.so.2"), "/lib/x86_64-linux-gnu") == "/lib64/ld-linux-x86-64.so.2"


def test_libraries_of_a_program_are_those_that_ldd_names() -> None:
    found = {
        Path(entry.path).name for entry in python_image.shared_libraries([Path(shutil.which("bash") or "/bin/sh")])
    }
    assert "libc.so.6" in found


def test_a_python_without_its_library_is_told(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(python_image.sysconfig, "get_path", lambda _name: str(tmp_path))
    with pytest.raises(LocalClusterError, match="has no standard library"):
        python_image.interpreter(Silent())


def test_the_images_have_the_names_that_roles_have() -> None:
    from aiconform.engine.images import DEFAULT_IMAGES

    assert IMAGES["python"].reference == f"docker.io/library/python:{pypi.PYTHON}-slim"
    assert IMAGES["ray"].reference == DEFAULT_IMAGES["ray"]


def test_ray_has_the_version_that_is_pinned() -> None:
    assert f"\nray=={ray_image.VERSION} " in (pypi.PINS / "ray.txt").read_text()
