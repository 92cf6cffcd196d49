"""Writes a bundle, record by record, and seals it.

Nothing is read back: the chain, the counts and the digests are kept while writing. A bundle is sealed by its
``manifest.json``, which is written last and in one step; without it, a directory is no bundle.

Once something could not be written (a full disk), nothing is written any more and :meth:`BundleWriter.seal` refuses.
Lanes of the clean-up go on unrecorded, so that a full disk here leaves nothing behind on the cluster.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from aiconform.errors import InternalError, UsageError
from aiconform.evidence import layout
from aiconform.evidence.archive import write_archive
from aiconform.evidence.documents import Manifest, ManifestFile, Plan, Verdicts
from aiconform.evidence.records import GENESIS, PAYLOADS, PlanData, Record, SealData
from aiconform.evidence.strictjson import canonical

RUN_LANE: Final = "run"
"""The lane of the first and the last record."""

END_LANE: Final = "end"
"""The lane of one note, shortly before the seal: how the run ended."""

CLEANUP_LANE: Final = "cleanup"
"""The lane of the last clean-up; those of the checks are ``cleanup/<requirement>``."""

_LOG_RESERVE: Final = 4096
"""Bytes of the log for the records of how it ended: far more than they have."""
_MAX_TOTAL: Final = layout.MAX_TOTAL - 2 * layout.MAX_DOCUMENT - _LOG_RESERVE
_MAX_FILES: Final = layout.MAX_FILES - 4
"""Below what a reader accepts, so that the end of the log, the verdicts and the manifest always find room."""

_TYPES = {model: name for name, model in PAYLOADS.items()}


class BundleWriter:
    """A bundle that is being written. Not safe for several threads at once.

    Args:
        directory: where to; created, must be empty if it exists.
        wall: tells the time.
        mono_us: tells the microseconds since the run began.

    Raises:
        UsageError: the directory has something in it, or cannot be written to.
    """

    def __init__(self, directory: Path, *, wall: Callable[[], datetime], mono_us: Callable[[], int]) -> None:
        self.directory = directory
        self._wall = wall
        self._mono_us = mono_us
        self._counts: dict[str, int] = {}
        self._seq = 0
        self._prev = GENESIS
        self._files: dict[str, ManifestFile] = {}
        self._log_digest = hashlib.sha256()
        self._log_size = 0
        self._stored = 0
        self._plan: Plan | None = None
        self._closed = ""
        self._broken: UsageError | None = None
        self.last_wall = ""
        """Wall time of the last record: when the run ended, once its last record is written."""
        self._create()

    @property
    def archive(self) -> Path:
        """The one-file form of the bundle, written by :meth:`seal`."""
        return self.directory.with_name(self.directory.name + ".tar.gz")

    def _create(self) -> None:
        with self._errors():
            self.directory.mkdir(parents=True, exist_ok=True)
            if any(self.directory.iterdir()) or self.archive.exists():
                raise UsageError(
                    f"a bundle is never overwritten: {self.directory} is not empty, or {self.archive.name} exists",
                    hint="name another directory with --output, or remove that one yourself",
                )
            (self.directory / layout.BLOBS).mkdir(parents=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
            self._log = os.open(self.directory / layout.LOG, flags, 0o644)

    def commit_plan(self, plan: Plan) -> Record:
        """Write the plan, and commit to it in record 0. Must come before anything else.

        Raises:
            UsageError: the disk is full or not writable.
        """
        if self._seq:
            raise InternalError("the plan must be committed before anything is recorded")
        self._plan = plan
        return self.append(RUN_LANE, PlanData(sha256=self.document(layout.PLAN, plan)))

    def next_n(self, lane: str) -> int:
        """The number that the next record of a lane will have."""
        return self._counts.get(lane, 0)

    def append(self, lane: str, payload: BaseModel) -> Record:
        """Append a record to the log. It is on its way to the disk when this returns.

        Args:
            lane: the lane; the number in it is counted here.
            payload: one of the models of :data:`~aiconform.evidence.records.PAYLOADS`.

        Raises:
            UsageError: the disk is full or not writable; the log then ends with the record before. Never raised for
                a clean-up, which must go on.
        """
        self._must_be_open()
        kind = _TYPES.get(type(payload))  # type: ignore[arg-type]
        if kind is None:
            raise InternalError(f"{type(payload).__name__} is no payload of a record")
        if self._seq == 0 and kind != "plan":
            raise InternalError("the plan must be committed before anything is recorded")
        record = Record(
            seq=self._seq,
            prev=self._prev,
            lane=lane,
            n=self.next_n(lane),
            type=kind,  # type: ignore[arg-type]
            mono=self._mono_us(),
            wall=timestamp(self._wall()),
            data=payload.model_dump(mode="json"),
        )
        line = canonical(record.model_dump(mode="json"))
        self._attempt(lambda: self._write_line(line + b"\n", last=lane in (RUN_LANE, END_LANE)))
        if self._broken is not None and lane.partition("/")[0] != CLEANUP_LANE:
            raise self._broken
        self._counts[lane] = record.n + 1
        self._seq += 1
        self._prev = layout.sha256(line)
        self.last_wall = record.wall
        return record

    def blob(self, data: bytes) -> str:
        """Store bytes, once however often they come; returns their SHA-256 in hex.

        Where they cannot be stored, the record that names them says so by raising.
        """
        self._must_be_open()
        digest = layout.sha256(data)
        name = layout.blob_name(digest)
        if name not in self._files:
            self._attempt(lambda: self._store(name, data, digest))
        return digest

    def document(self, name: str, model: BaseModel) -> str:
        """Store a document in canonical form, in one step; returns its SHA-256 in hex.

        Raises:
            UsageError: the disk is full or not writable.
        """
        self._must_be_open()
        data = canonical(model.model_dump(mode="json"))
        digest = layout.sha256(data)
        self._attempt(lambda: self._store(name, data, digest))
        if self._broken is not None:
            raise self._broken
        return digest

    def seal(self, *, verdicts: Verdicts, partial: bool = False) -> str:
        """Write the verdicts, the last record, the manifest and the archive.

        Args:
            verdicts: what came of the run.
            partial: whether the run was interrupted.

        Returns:
            The bundle's root digest: the SHA-256 of ``manifest.json``, which stands for every byte in it.

        Raises:
            UsageError: the disk is full or not writable. If only the archive is missing then, the text says so.
        """
        if self._plan is None:
            raise InternalError("a bundle without a plan cannot be sealed")
        verdicts_sha256 = self.document(layout.VERDICTS, verdicts)
        plan_sha256 = self._files[layout.PLAN].sha256
        self.append(
            RUN_LANE,
            SealData(plan_sha256=plan_sha256, verdicts_sha256=verdicts_sha256, records=self._seq + 1, partial=partial),
        )
        with self._errors():
            os.fsync(self._log)
        self.close("the bundle is sealed")
        log = ManifestFile(path=layout.LOG, size=self._log_size, sha256=self._log_digest.hexdigest())
        listed = sorted([log, *self._files.values()], key=lambda file: file.path)
        manifest = Manifest(run=self._plan.run, log_head=self._prev, files=listed)
        data = canonical(manifest.model_dump(mode="json"))
        root = layout.sha256(data)
        with self._errors():
            self._store_atomically(layout.MANIFEST, data, sync=True)
        entries = {file.path: file.size for file in listed} | {layout.MANIFEST: len(data)}
        with self._errors("the bundle is sealed, but its archive cannot be written"):
            write_archive(self.archive, ((name, self.directory / name, entries[name]) for name in sorted(entries)))
        return root

    def close(self, why: str = "the bundle was given up") -> None:
        """Close the log. Without :meth:`seal` the directory stays as it is, and is no bundle."""
        if not self._closed:
            self._closed = why
            with suppress(OSError):
                os.close(self._log)

    def _attempt(self, write: Callable[[], None]) -> None:
        """Write, unless something could not be written before; the first failure is kept."""
        if self._broken is None:
            try:
                write()
            except UsageError as problem:
                self._broken = problem

    def _must_be_open(self) -> None:
        if self._closed:
            raise InternalError(f"nothing can be written any more: {self._closed}")

    def _admit(self, name: str, size: int, limit: int, *, last: bool) -> None:
        """Refuse what no reader would read; only what ends a bundle may use the room that is kept for it."""
        total = self._stored + self._log_size + size
        most, files = (layout.MAX_TOTAL, layout.MAX_FILES) if last else (_MAX_TOTAL, _MAX_FILES)
        if size > limit or total > most or len(self._files) > files:
            raise UsageError(
                f"the bundle becomes too large to be read again: {name} with {size} bytes",
                details=[f"limits: {limit} bytes for it, {most} for all, {files} files"],
                hint="run fewer requirements at once",
            )

    def _write_line(self, line: bytes, *, last: bool) -> None:
        room = layout.MAX_LOG - self._log_size - (0 if last else _LOG_RESERVE)
        self._admit("a line of the log", len(line), min(layout.MAX_LINE, max(room, 0)), last=last)
        try:
            with self._errors():
                done = os.write(self._log, line)
                if done != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except UsageError:
            with suppress(OSError):  # a log that ends in half a line would hide where it really ended
                os.ftruncate(self._log, self._log_size)
            raise
        self._log_digest.update(line)
        self._log_size += len(line)

    def _store(self, name: str, data: bytes, digest: str) -> None:
        self._admit(name, len(data), layout.size_limit(name), last=name == layout.VERDICTS)
        with self._errors():
            self._store_atomically(name, data)
        self._stored += len(data)
        self._files[name] = ManifestFile(path=name, size=len(data), sha256=digest)

    def _store_atomically(self, name: str, data: bytes, *, sync: bool = False) -> None:
        target = self.directory / name
        unfinished = target.with_name(f".{target.name}.unfinished")
        try:
            with unfinished.open("xb") as out:
                out.write(data)
                if sync:
                    out.flush()
                    os.fsync(out.fileno())
            unfinished.replace(target)
        except BaseException:
            with suppress(OSError):
                unfinished.unlink()
            raise

    @contextmanager
    def _errors(self, what: str = "") -> Iterator[None]:
        try:
            yield
        except OSError as problem:
            why = problem.strerror or str(problem)
            hints = {errno.ENOSPC: "free some space, or name a directory on another disk with --output"}
            raise UsageError(
                f"{what or 'cannot write the bundle'}: {why}",
                details=[f"in {self.directory}"],
                hint=hints.get(problem.errno or 0, "name a directory that you may write to with --output"),
            ) from problem


def timestamp(moment: datetime) -> str:
    """UTC, RFC 3339, with milliseconds and Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
