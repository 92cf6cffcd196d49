"""The table of images, and when an image is written again."""

from __future__ import annotations

import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from aiconform.errors import UsageError
from aiconform.local.components import COMPONENTS
from aiconform.local.images import table
from aiconform.local.images.table import IMAGES, ensure_images
from aiconform.progress import Silent

needs_busybox = pytest.mark.skipif(shutil.which("busybox") is None, reason="needs busybox")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Small stand-ins for our programs, and a cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    names = {name for image in IMAGES.values() for name in image.programs.values()}
    found = {name: tmp_path / name for name in names}
    for name, path in found.items():
        path.write_text(f"program {name}")
    return found


def listing(archive: Path) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(archive) as outer:
        layer = max(outer.getmembers(), key=lambda member: member.size)
        with tarfile.open(fileobj=outer.extractfile(layer)) as tar:
            return {member.name: member for member in tar.getmembers()}


def test_every_program_of_an_image_is_built_by_a_component() -> None:
    built = {program for component in COMPONENTS.values() for program in component.programs}
    for image in IMAGES.values():
        assert set(image.programs.values()) <= built, image.name


def test_versions_in_references_are_those_of_the_pins() -> None:
    for image, component in (
        ("coredns", "coredns"),
        ("nvidia-device-plugin", "nvidia-device-plugin"),
        ("node-feature-discovery", "node-feature-discovery"),
        ("dra-example-driver", "dra-example-driver"),
    ):
        assert IMAGES[image].reference.endswith(f":{COMPONENTS[component].version}")
    for image_ in IMAGES.values():
        assert re.fullmatch(r"[a-z0-9.]+(/[a-z0-9-]+)+:[\w.-]+", image_.reference)


def test_image_holds_its_programs_at_their_paths(programs: dict[str, Path]) -> None:
    found = ensure_images(["coredns", "dra-example-driver"], programs, Silent())
    assert list(found) == ["coredns", "dra-example-driver"]
    inside = listing(found["coredns"].path)
    assert inside["coredns"].size == len("program coredns")
    assert inside["tmp"].mode == 0o1777
    assert "usr/bin/dra-example-kubeletplugin" in listing(found["dra-example-driver"].path)
    assert found["coredns"].reference == "registry.k8s.io/coredns/coredns:v1.13.1"


def test_written_once_and_again_only_when_a_program_changes(programs: dict[str, Path]) -> None:
    first = ensure_images(["coredns"], programs, Silent())["coredns"]
    stamp = first.path.stat().st_mtime_ns
    again = ensure_images(["coredns"], programs, Silent())["coredns"]
    assert (again, again.path.stat().st_mtime_ns) == (first, stamp)
    programs["coredns"].write_text("another program")
    changed = ensure_images(["coredns"], programs, Silent())["coredns"]
    assert changed.path != first.path
    assert changed.digest != first.digest


def test_missing_programs_are_asked_for(programs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[set[str]] = []

    def ensure(names: set[str], progress: object) -> dict[str, Path]:
        asked.append(set(names))
        return {name: programs[name] for name in names}

    monkeypatch.setattr(table.build, "ensure", ensure)
    ensure_images(["coredns"], {"kubelet": programs["agnhost"]}, Silent())
    assert asked == [{"coredns"}]


def test_unknown_image_is_refused(programs: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match="unknown image 'nginx'"):
        ensure_images(["nginx"], programs, Silent())


@needs_busybox
def test_test_image_runs_programs_that_are_linked_to_the_c_library(programs: dict[str, Path]) -> None:
    inside = listing(ensure_images(["busybox"], programs, Silent())["busybox"].path)
    assert {"bin/sh", "bin/cat", "bin/mknod", "bin/wget", "usr/bin/env", "etc/passwd"} <= set(inside)
    assert inside["bin/sh"].linkname == "busybox"
    assert any(name.endswith("/libc.so.6") and member.isfile() for name, member in inside.items())
    assert any("ld-linux" in name for name in inside)


@needs_busybox
def test_sandbox_reaps_orphans_and_ends_on_a_signal() -> None:
    """What the sandbox of a pod with a shared process namespace has to do as the first process in it."""
    script = f"""
        unshare --pid --fork --mount-proc --kill-child busybox sh -c '
            busybox sh -c "(busybox sleep 0.1; exit 3) & exec busybox sleep 0.01" &
            {table.WAIT.replace("'", '"')}' &
        keeper=$!
        sleep 0.6
        read -r sandbox < /proc/$keeper/task/$keeper/children
        cat /proc/$sandbox/task/$sandbox/children | wc -w
        kill -TERM $sandbox
        wait $keeper; echo $?
    """
    if subprocess.run(["unshare", "--pid", "--fork", "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("needs root")
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False, timeout=20)
    assert done.stdout.split() == ["1", "0"], done.stderr
