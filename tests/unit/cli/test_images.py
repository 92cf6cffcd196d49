"""``aiconform images``: archives, and what of its options does not go together."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from aiconform.cli import main
from aiconform.cli.image_archives import BUILT
from aiconform.engine.images import ROLES
from aiconform.local.images import table
from aiconform.local.images.table import IMAGES, ImageFile

Streams = pytest.CaptureFixture[str]


def invoke(*args: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(["images", *args])
    assert isinstance(left.value.code, int)
    return left.value.code


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Images that were asked to be built; each is a small file."""
    asked: list[str] = []

    def ensure(names: Iterable[str], _binaries: object, _progress: object) -> dict[str, ImageFile]:
        made = {}
        for name in names:
            asked.append(name)
            (tmp_path / name).write_bytes(name.encode())
            made[name] = ImageFile(tmp_path / name, IMAGES[name].reference, f"sha256:{'1' * 64}")
        return made

    monkeypatch.setattr(table, "ensure_images", ensure)
    return asked


def test_archives_are_written_for_what_is_needed(tmp_path: Path, built: list[str], capsys: Streams) -> None:
    target = tmp_path / "new" / "archives"
    assert invoke("dra_support", "ai_inference", "--archive", str(target), "--format", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert built == ["busybox", "python"]
    assert [entry["role"] for entry in found] == ["probe", "python"]
    assert (target / "probe.tar").read_bytes() == b"busybox"
    assert found[0] == {
        "role": "probe",
        "reference": str(target / "probe.tar"),
        "digest": f"sha256:{'1' * 64}",
        "imported_as": "aiconform.local/shell:busybox-glibc",
        "bytes": 7,
    }


def test_a_directory_that_cannot_be_written_is_a_usage_error(tmp_path: Path, built: list[str], capsys: Streams) -> None:
    (tmp_path / "file").write_text("")
    assert invoke("dra_support", "--archive", str(tmp_path / "file")) == 2
    assert "cannot write" in capsys.readouterr().err
    assert built == ["busybox"]


def test_every_role_can_be_built_here() -> None:
    assert set(BUILT) == set(ROLES)
    assert all(name in IMAGES for name in BUILT.values())


def test_a_bundle_and_anything_else_do_not_go_together(capsys: Streams) -> None:
    assert invoke("dra_support", "--bundle", "x") == 2
    assert "--bundle" in capsys.readouterr().err


def test_what_a_bundle_shows_is_told(capsys: Streams) -> None:
    golden = Path(__file__).parents[2] / "golden/vgpu.tar.gz"
    assert invoke("--bundle", str(golden), "--format", "json") == 0
    found = {entry["role"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert found["probe"]["ran"][0].startswith("sha256:")
    assert found["ray"] == {
        "role": "ray",
        "reference": "docker.io/rayproject/ray:2.54.0",
        "ran": [],
        "shows": "no recorded pod shows it",
    }
