"""Reads a bundle: from a directory or an archive, without extracting, running or fetching anything.

What can be read at all is read here, strictly; whether it is intact and complete is the business of
:mod:`aiconform.evidence.integrity`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from aiconform.errors import BundleError
from aiconform.evidence import layout
from aiconform.evidence.census import NAME_ONE, refuse
from aiconform.evidence.documents import FORMAT, Manifest, Plan, Verdicts
from aiconform.evidence.records import PAYLOADS, Record
from aiconform.evidence.store import Store, open_store
from aiconform.evidence.strictjson import StrictJSONError, canonical, loads

_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True)
class Bundle:
    """A bundle that was read. Nothing is said about its being intact: see ``integrity.findings``.

    Attributes:
        path: where it was read from.
        plan: what was to be done.
        verdicts: what came of it.
        manifest: what is in the bundle.
        records: the log.
        lanes: the records of each lane, in order.
        root_sha256: digest of the manifest's bytes: stands for every byte of the bundle.
        store: the files themselves.
    """

    path: Path
    plan: Plan
    verdicts: Verdicts
    manifest: Manifest
    records: list[Record]
    lanes: dict[str, list[Record]]
    root_sha256: str
    store: Store

    def blob(self, digest: str) -> bytes:
        """The bytes with this SHA-256 (hex).

        Raises:
            BundleError: they are not in the bundle, or the file holds other bytes.
        """
        name = layout.blob_name(digest)
        if not layout.blob_digest(name):
            raise refuse(name, "is no digest")
        data = self.store.read(name)
        if layout.sha256(data) != digest:
            raise refuse(name, "holds other bytes than those it is named by")
        return data


def open_bundle(path: Path) -> Bundle:
    """Read a bundle's documents and log.

    Args:
        path: its directory, or its archive (``.tar.gz`` or ``.tar``).

    Raises:
        BundleError: there is no sealed bundle, or something in it is not of the known form; names the file and why.
    """
    store = open_store(path)
    for name in layout.REQUIRED:
        if name not in store.sizes:
            raise _missing(path, name, store)
    raw_manifest = store.read(layout.MANIFEST)
    manifest = _document(layout.MANIFEST, raw_manifest, Manifest)
    records = _records(store.read(layout.LOG))
    lanes: dict[str, list[Record]] = {}
    for record in records:
        lanes.setdefault(record.lane, []).append(record)
    return Bundle(
        path=path,
        plan=_document(layout.PLAN, store.read(layout.PLAN), Plan),
        verdicts=_document(layout.VERDICTS, store.read(layout.VERDICTS), Verdicts),
        manifest=manifest,
        records=records,
        lanes=lanes,
        root_sha256=layout.sha256(raw_manifest),
        store=store,
    )


def payload(record: Record) -> BaseModel:
    """What a record holds, as the model that belongs to its type.

    Raises:
        BundleError: the data is not of that model.
    """
    try:
        return PAYLOADS[record.type].model_validate(record.data)
    except ValidationError as problem:
        raise refuse(layout.LOG, f"record {record.seq}: {_first(problem)}") from None


def _missing(path: Path, name: str, store: Store) -> BundleError:
    if name == layout.MANIFEST and (layout.LOG in store.sizes or layout.PLAN in store.sizes):
        return BundleError(
            f"{path} was never sealed: {layout.MANIFEST} is missing",
            details=["the run that wrote it was killed, or the file was taken away"],
            hint="nothing in it can be relied on; run again",
        )
    if not store.sizes:
        return BundleError(f"{path} is no bundle: it is empty", hint=NAME_ONE)
    return refuse(name, "is missing")


def _document(name: str, data: bytes, model: type[_Model]) -> _Model:
    value = _strict(name, data)
    if isinstance(value, dict) and value.get("format") != FORMAT:
        raise refuse(
            name,
            f"is of format {ascii(value.get('format'))[:60]}; this version reads {FORMAT}",
            hint="use the version of aiconform that wrote the bundle",
        )
    found = _validated(name, value, model)
    # a field that came later is absent from an earlier version's bundle, which stays readable: it has its default
    _must_be_canonical(name, found.model_dump(mode="json", exclude_unset=True), data)
    return found


def _records(log: bytes) -> list[Record]:
    if not log:
        raise refuse(layout.LOG, "is empty")
    *lines, rest = log.split(b"\n")
    if rest:
        raise refuse(layout.LOG, f"is cut: line {len(lines) + 1} does not end")
    return [_record(number, line) for number, line in enumerate(lines, 1)]


def _record(number: int, line: bytes) -> Record:
    where = f"{layout.LOG} line {number}"
    if len(line) > layout.MAX_LINE:
        raise refuse(where, f"has {len(line)} bytes; at most {layout.MAX_LINE} are read")
    value = _strict(where, line)
    record = _validated(where, value, Record)
    data = _validated(where, record.data, PAYLOADS[record.type])
    # one comparison covers canonical form and values of another type
    written = record.model_dump(mode="json", exclude_unset=True)
    _must_be_canonical(where, written | {"data": data.model_dump(mode="json", exclude_unset=True)}, line)
    return record


def _must_be_canonical(name: str, value: Any, data: bytes) -> None:
    try:
        same = canonical(value) == data
    except StrictJSONError as problem:
        raise refuse(name, f"has no canonical form (RFC 8785): {ascii(str(problem))[1:-1][:200]}") from None
    if not same:
        raise refuse(name, "is not in the canonical form (RFC 8785) in which aiconform writes it")


def _strict(name: str, data: bytes) -> Any:
    try:
        return loads(data, max_depth=40)
    except StrictJSONError as problem:
        raise refuse(name, f"is not strict JSON: {ascii(str(problem))[1:-1][:200]}") from None


def _validated(name: str, value: Any, model: type[_Model]) -> _Model:
    try:
        return model.model_validate(value)
    except ValidationError as problem:
        raise refuse(name, _first(problem)) from None


def _first(problem: ValidationError) -> str:
    error = problem.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in error["loc"])
    return ascii(f"{where or 'it'}: {error['msg']}"[:200])[1:-1]
