"""The journal: what a run is about to create, on disk before the request leaves.

JSON Lines beside the bundle. ``run`` begins it; ``create`` is written and flushed to the disk before each creation,
``created`` with the uid after it. A clean-up can do without: it helps where objects may not be listed.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiconform.errors import UsageError

NAME = "journal.jsonl"


@dataclass(frozen=True)
class Entry:
    """An object that was to be created; ``uid`` is empty where no answer was written down."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str = ""


@dataclass(frozen=True)
class Read:
    """What a journal tells."""

    run: str
    entries: tuple[Entry, ...]


class Journal:
    """Writes a journal.

    Raises:
        UsageError: it cannot be written; then nothing may be created.
    """

    def __init__(self, path: Path, run: str, server: str) -> None:
        self.path = path
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
            self._line({"journal": 1, "run": run, "server": server})
            directory = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as problem:
            raise self._unwritable(problem) from problem

    def creating(self, manifest: dict[str, Any]) -> None:
        """Write down what is about to be created."""
        try:
            self._line({"do": "create", **_named(manifest)})
        except OSError as problem:
            raise self._unwritable(problem) from problem

    def created(self, manifest: dict[str, Any], uid: str) -> None:
        """Write down what was created. Where that fails nothing is lost: the clean-up looks by name."""
        with suppress(OSError):
            self._line({"do": "created", **_named(manifest), "uid": uid})

    def close(self, *, keep: bool) -> None:
        """End it; it goes unless something of the run is left on the cluster."""
        with suppress(OSError):
            os.close(self._file)
            if not keep:
                self.path.unlink(missing_ok=True)

    def _line(self, entry: dict[str, Any]) -> None:
        os.write(self._file, json.dumps(entry, separators=(",", ":")).encode() + b"\n")
        os.fdatasync(self._file)

    def _unwritable(self, problem: OSError) -> UsageError:
        return UsageError(
            f"cannot write {self.path}: {problem.strerror}",
            hint="nothing is created without the journal: name another directory with --output",
        )


def read(path: Path) -> Read:
    """Read a journal; a directory stands for the one in it. A last line that was cut off is passed over.

    Raises:
        UsageError: there is none, or it is none of ours.
    """
    file = path / NAME if path.is_dir() else path
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as problem:
        raise UsageError(f"cannot read {file}: {problem.strerror}", hint="name the run's directory") from problem
    entries = [entry for line in lines if (entry := _parsed(line)) is not None]
    if not entries or entries[0].get("journal") != 1 or not isinstance(entries[0].get("run"), str):
        raise UsageError(f"{file} is no journal of a run", hint="a run's is in its directory, beside the bundle")
    found: dict[tuple[str, ...], Entry] = {}
    for entry in entries[1:]:
        made = Entry(*(str(entry.get(key, "")) for key in ("apiVersion", "kind", "namespace", "name", "uid")))
        found[made.api_version, made.kind, made.namespace, made.name] = made
    return Read(entries[0]["run"], tuple(found.values()))


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def _named(manifest: dict[str, Any]) -> dict[str, str]:
    meta = manifest.get("metadata") or {}
    return {
        "apiVersion": str(manifest.get("apiVersion", "")),
        "kind": str(manifest.get("kind", "")),
        "namespace": str(meta.get("namespace", "")),
        "name": str(meta.get("name", "")),
    }
