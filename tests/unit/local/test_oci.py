"""Image archives: the same input gives the same bytes, every digest is right, entries come out as they went in."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from aiconform.local.images.oci import Config, Entry, write_image

REFERENCE = "registry.example/tool:1.0"
CONFIG = Config(("/tool",), ("--wait",), user="65532:65532", environment={"B": "2", "A": "1"})


@pytest.fixture
def entries(tmp_path: Path) -> list[Entry]:
    program = tmp_path / "program"
    program.write_bytes(bytes(range(256)) * 1000)
    return [
        Entry("/usr/bin/tool", source=program),
        Entry("/etc/passwd", text="root:x:0:0\n", mode=0o644),
        Entry("/tool", link="usr/bin/tool"),
        Entry("/tmp", directory=True, mode=0o1777),
    ]


def blobs(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        members = {member.name: tar.extractfile(member) for member in tar.getmembers()}
        return {name: file.read() for name, file in members.items() if file is not None}


def parts(archive: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any], bytes]:
    """Index, manifest, configuration and layer, found by following digests."""
    files = blobs(archive)

    def follow(descriptor: dict[str, Any]) -> bytes:
        algorithm, _, value = descriptor["digest"].partition(":")
        data = files[f"blobs/{algorithm}/{value}"]
        assert len(data) == descriptor["size"]
        return data

    index = json.loads(files["index.json"])
    manifest = json.loads(follow(index["manifests"][0]))
    return index, manifest, json.loads(follow(manifest["config"])), follow(manifest["layers"][0])


def test_same_input_gives_same_bytes_whatever_the_order_and_times(tmp_path: Path, entries: list[Entry]) -> None:
    first, second = tmp_path / "first.tar", tmp_path / "second.tar"
    one = write_image(first, REFERENCE, entries, CONFIG)
    source = entries[0].source
    assert source is not None
    os.utime(source, (1, 1))
    other = write_image(second, REFERENCE, reversed(entries), CONFIG)
    assert (one, first.read_bytes()) == (other, second.read_bytes())


@pytest.mark.parametrize(
    ("reference", "config", "extra"),
    [
        (REFERENCE, Config(("/other",)), []),
        (REFERENCE, CONFIG, [Entry("/etc/more", text="x")]),
        (REFERENCE, CONFIG, [Entry("/etc/passwd", text="root:x:0:0\n", mode=0o600)]),
    ],
)
def test_any_change_of_content_changes_the_digest(
    tmp_path: Path, entries: list[Entry], reference: str, config: Config, extra: list[Entry]
) -> None:
    plain = write_image(tmp_path / "a.tar", REFERENCE, entries, CONFIG)
    assert write_image(tmp_path / "b.tar", reference, [*entries, *extra], config) != plain


def test_every_digest_is_that_of_its_blob(tmp_path: Path, entries: list[Entry]) -> None:
    archive = tmp_path / "image.tar"
    digest = write_image(archive, REFERENCE, entries, CONFIG)
    files = blobs(archive)
    for name, data in files.items():
        if name.startswith("blobs/sha256/"):
            assert name == "blobs/sha256/" + hashlib.sha256(data).hexdigest()
    index, _, config, layer = parts(archive)
    assert index["manifests"][0]["digest"] == digest
    assert config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(layer).hexdigest()]
    assert len([name for name in files if name.startswith("blobs/")]) == 3


def test_names_and_configuration_are_where_runtimes_look(tmp_path: Path, entries: list[Entry]) -> None:
    write_image(tmp_path / "image.tar", REFERENCE, entries, CONFIG)
    index, _, config, _ = parts(tmp_path / "image.tar")
    assert index["manifests"][0]["annotations"] == {
        "io.containerd.image.name": REFERENCE,
        "org.opencontainers.image.ref.name": "1.0",
    }
    assert config["config"] == {
        "Entrypoint": ["/tool"],
        "Cmd": ["--wait"],
        "User": "65532:65532",
        "Env": ["A=1", "B=2"],
        "WorkingDir": "/",
    }


def test_layer_holds_files_links_and_directories_with_owner_root(tmp_path: Path, entries: list[Entry]) -> None:
    write_image(tmp_path / "image.tar", REFERENCE, entries, CONFIG)
    layer = parts(tmp_path / "image.tar")[3]
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        members = {member.name: member for member in tar.getmembers()}
        tool = tar.extractfile("usr/bin/tool")
        assert tool is not None
        assert tool.read() == bytes(range(256)) * 1000
    assert list(members) == sorted(members)  # and so a directory precedes what it holds
    assert {"usr", "usr/bin", "etc"} <= {name for name, member in members.items() if member.isdir()}
    assert (members["tool"].issym(), members["tool"].linkname) == (True, "usr/bin/tool")
    assert (members["tmp"].mode, members["etc/passwd"].mode, members["usr/bin/tool"].mode) == (0o1777, 0o644, 0o755)
    assert {(m.uid, m.gid, m.mtime, m.uname) for m in members.values()} == {(0, 0, 0, "")}


def test_later_entry_of_a_path_counts(tmp_path: Path) -> None:
    write_image(tmp_path / "i.tar", REFERENCE, [Entry("/a", text="first"), Entry("/a", text="second")], Config())
    with tarfile.open(fileobj=io.BytesIO(parts(tmp_path / "i.tar")[3])) as tar:
        file = tar.extractfile("a")
        assert file is not None
        assert file.read() == b"second"
        assert len(tar.getmembers()) == 1
