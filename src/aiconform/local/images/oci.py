"""Writes OCI image archives: an image layout in a tar file, as ``ctr images import`` takes it.

The same input gives the same bytes: entries are sorted, and times, owners and compression are left out.
Format: OCI image specification 1.1, image layout and image manifest.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import stat
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""Go's names of processor architectures, which OCI uses, by the kernel's."""

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True)
class Entry:
    """A file, link or directory of an image; directories above it need not be listed.

    Args:
        path: absolute path in the image.
        source: file whose bytes it gets, links followed.
        text: its bytes, when there is no source.
        link: target, if it is a symbolic link.
        directory: it is a directory.
        mode: permission bits; of links it is ignored.
    """

    path: str
    source: Path | None = None
    text: str = ""
    link: str = ""
    directory: bool = False
    mode: int = 0o755


@dataclass(frozen=True)
class Config:
    """How a container of the image starts unless a pod says otherwise."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    user: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: str = "/"
    labels: Mapping[str, str] = field(default_factory=dict)


def entries(directory: Path, at: str) -> list[Entry]:
    """The files of a directory as files of an image.

    Args:
        directory: on this machine.
        at: where it is in the image.
    """
    found: list[Entry] = []
    for path in sorted(directory.rglob("*")):
        place = f"{at}/{path.relative_to(directory)}"
        if path.is_symlink():
            found.append(Entry(place, link=str(path.readlink())))
        elif path.is_file():
            found.append(Entry(place, source=path, mode=0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644))
    return found


def write_image(output: Path, reference: str, entries: Iterable[Entry], config: Config) -> str:
    """Write an image of one layer.

    Args:
        output: the archive; overwritten.
        reference: full name, for example ``registry.k8s.io/pause:3.10.1``.
        entries: what the image holds; of two entries with one path the later counts.
        config: how it starts.

    Returns:
        The manifest's digest, ``sha256:...``: what a container runtime calls the image's digest.

    Raises:
        OSError: a source cannot be read or the output not be written.
    """
    with tempfile.TemporaryFile(dir=output.parent) as layer:
        size = _write_layer(layer, entries)
        layer.seek(0)
        layer_digest = "sha256:" + hashlib.file_digest(layer, "sha256").hexdigest()
        document = _json(_config_document(config, layer_digest))
        manifest = _json(
            {
                "schemaVersion": 2,
                "mediaType": _MANIFEST,
                "config": _descriptor(_CONFIG, document),
                "layers": [{"mediaType": _LAYER, "digest": layer_digest, "size": size}],
            }
        )
        index = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [{**_descriptor(_MANIFEST, manifest), "annotations": _names(reference)}],
        }
        layer.seek(0)
        with tarfile.open(output, "w", format=tarfile.PAX_FORMAT) as archive:
            _add(archive, "oci-layout", io.BytesIO(_json({"imageLayoutVersion": "1.0.0"})))
            _add(archive, "index.json", io.BytesIO(_json(index)))
            for blob in (manifest, document):
                _add(archive, _blob(_digest(blob)), io.BytesIO(blob))
            _add(archive, _blob(layer_digest), layer)
    return _digest(manifest)


def _write_layer(layer: BinaryIO, entries: Iterable[Entry]) -> int:
    by_path = {entry.path.strip("/"): entry for entry in entries}
    for path in list(by_path):
        for parent in PurePosixPath(path).parents:
            if str(parent) != ".":
                by_path.setdefault(str(parent), Entry(f"/{parent}", directory=True))
    with tarfile.open(fileobj=layer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, entry in sorted(by_path.items()):
            _add_entry(archive, path, entry)
    return layer.tell()


def _add_entry(archive: tarfile.TarFile, path: str, entry: Entry) -> None:
    if entry.link:
        info = _info(path, 0o777)
        info.type, info.linkname = tarfile.SYMTYPE, entry.link
        archive.addfile(info)
    elif entry.directory:
        info = _info(path, entry.mode)
        info.type = tarfile.DIRTYPE
        archive.addfile(info)
    elif entry.source is not None:
        with entry.source.open("rb") as file:
            _add(archive, path, file, entry.mode)
    else:
        _add(archive, path, io.BytesIO(entry.text.encode()), entry.mode)


def _add(archive: tarfile.TarFile, path: str, file: BinaryIO, mode: int = 0o644) -> None:
    info = _info(path, mode)
    info.size = file.seek(0, io.SEEK_END)
    file.seek(0)
    archive.addfile(info, file)


def _info(path: str, mode: int) -> tarfile.TarInfo:
    """Metadata that is the same everywhere: owner root, time 0."""
    info = tarfile.TarInfo(path)
    info.mode = stat.S_IMODE(mode)
    return info


def _config_document(config: Config, layer_digest: str) -> dict[str, object]:
    run: dict[str, object] = {
        "Entrypoint": list(config.entrypoint),
        "Cmd": list(config.command),
        "User": config.user,
        "Env": [f"{name}={value}" for name, value in sorted(config.environment.items())],
        "WorkingDir": config.directory,
        "Labels": dict(sorted(config.labels.items())),
    }
    return {
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {name: value for name, value in run.items() if value},
        "rootfs": {"type": "layers", "diff_ids": [layer_digest]},
        "history": [{"created_by": "aiconform"}],
    }


def _names(reference: str) -> dict[str, str]:
    """The annotations that containerd and other tools take an imported image's name from."""
    tag = reference.rpartition(":")[2]
    return {"io.containerd.image.name": reference, "org.opencontainers.image.ref.name": tag}


def _descriptor(media_type: str, blob: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": _digest(blob), "size": len(blob)}


def _digest(blob: bytes) -> str:
    return "sha256:" + hashlib.sha256(blob).hexdigest()


def _blob(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
