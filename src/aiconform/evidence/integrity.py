"""Whether a bundle is intact and complete, by itself: nothing is replayed, no key is asked, nothing is fetched.

An edited byte breaks a digest, a chain or a canonical form. Whoever edits and then computes everything anew is found
by the replay, where the verdicts no longer follow from the log, or by a signature over the root digest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from aiconform.errors import BundleError
from aiconform.evidence import layout
from aiconform.evidence.completeness import verdict_findings
from aiconform.evidence.reader import Bundle, payload
from aiconform.evidence.records import GENESIS, PlanData, SealData
from aiconform.evidence.sequence import lane_findings

_WALL = re.compile(r"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]\.[0-9]{3}Z")


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with a bundle.

    Attributes:
        file: the file of the bundle, for the log with the line: ``log.jsonl line 7``.
        what: what is wrong with it.
    """

    file: str
    what: str


def findings(bundle: Bundle) -> list[Finding]:
    """All that is wrong with a bundle; empty if it is intact and complete. Raises nothing."""
    parts = (_identity, _files, _blobs, _chain, _ends, lane_findings, verdict_findings)
    return [Finding(file, _visible(what)) for part in parts for file, what in part(bundle)]


def _visible(text: str) -> str:
    """The text with whatever could act on a terminal escaped; names of lanes and checks come from the bundle."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def line(number: int) -> str:
    """How a line of the log is named; ``number`` is the record's position from 0."""
    return f"{layout.LOG} line {number + 1}"


def _identity(bundle: Bundle) -> Iterator[tuple[str, str]]:
    run = bundle.plan.run
    if bundle.manifest.run != run:
        yield layout.MANIFEST, f"is of run {bundle.manifest.run}, the plan of run {run}"
    if bundle.verdicts.run != run:
        yield layout.VERDICTS, f"is of run {bundle.verdicts.run}, the plan of run {run}"
    if bundle.verdicts.release != bundle.plan.release:
        yield layout.VERDICTS, f"is on release {bundle.verdicts.release}, the plan on {bundle.plan.release}"


def _files(bundle: Bundle) -> Iterator[tuple[str, str]]:
    """Each file is read once: held against the manifest and, where it is a blob, against its name."""
    paths = [file.path for file in bundle.manifest.files]
    if paths != sorted(set(paths)):
        yield layout.MANIFEST, "does not list its files sorted and once each"
    listed = {file.path: file for file in bundle.manifest.files}
    for name in sorted(set(listed) | set(bundle.store.sizes) - layout.UNLISTED):
        file = listed.get(name)
        if name in layout.UNLISTED or not layout.is_known(name):
            yield layout.MANIFEST, f"lists {ascii(name)[:100]}, which is no file that it may list"
            continue
        try:
            data = bundle.store.read(name)
        except BundleError as problem:
            yield name, f"{problem.message.partition(': ')[2]}, but the manifest lists it"
            continue
        digest = layout.sha256(data)
        if layout.blob_digest(name) not in ("", digest):
            yield name, "holds other bytes than those it is named by"
        if file is None:
            yield name, "is not in the manifest"
        elif len(data) != file.size:
            yield name, f"has {len(data)} bytes, the manifest says {file.size}"
        elif digest != file.sha256:
            yield name, "was changed: its digest is not the manifest's"
    if layout.ATTESTATIONS in bundle.store.sizes:
        yield layout.ATTESTATIONS, "is there, and this version of aiconform cannot check signatures"


def _blobs(bundle: Bundle) -> Iterator[tuple[str, str]]:
    used: set[str] = set()
    for record in bundle.records:
        body = record.data.get("body")
        if record.type in ("request", "response", "chunk") and body is not None:
            name = layout.blob_name(body)
            size = bundle.store.sizes.get(name)
            if size is None and name not in used:
                yield line(record.seq), f"names {name[:90]}, which is missing"
            if size is not None and record.data.get("body_size", size) != size:
                yield line(record.seq), f"says that {name} has {record.data['body_size']} bytes, not {size}"
            used.add(name)
    for name in sorted(bundle.store.sizes):
        if layout.blob_digest(name) and name not in used:
            yield name, "is named by no record"


def _chain(bundle: Bundle) -> Iterator[tuple[str, str]]:
    """The log as a chain: every line names the one before it, and nothing is missing or moved."""
    prev, mono = GENESIS, 0
    lanes: dict[str, int] = {}
    lines = bundle.store.read(layout.LOG).split(b"\n")
    for number, record in enumerate(bundle.records):
        if record.seq != number:
            yield line(number), f"is record {record.seq} of the log, in place {number}"
        if record.prev != prev:
            yield line(number), "does not name the line before it: a line was changed, removed, added or moved"
        if record.n != lanes.get(record.lane, 0):
            yield line(number), f"is record {record.n} of lane {record.lane}, in place {lanes.get(record.lane, 0)}"
        if record.mono < mono:
            yield line(number), "is earlier than the line before it"
        if not _WALL.fullmatch(record.wall):
            yield line(number), "has no valid time"
        prev, mono = layout.sha256(lines[number]), record.mono
        lanes[record.lane] = lanes.get(record.lane, 0) + 1
    if bundle.manifest.log_head != prev:
        yield layout.MANIFEST, "names another last line of the log"


def _ends(bundle: Bundle) -> Iterator[tuple[str, str]]:
    """The first record commits the plan, the last one seals; there is no second of either."""
    first, last = bundle.records[0], bundle.records[-1]
    data = payload(first)
    if not isinstance(data, PlanData) or first.lane != "run":
        yield line(0), "does not commit the plan"
    elif data.sha256 != layout.sha256(bundle.store.read(layout.PLAN)):
        yield layout.PLAN, "is not the plan that the log's first line commits"
    for record in bundle.records[1:-1]:
        if record.type in ("plan", "seal"):
            yield line(record.seq), f"is a second {record.type} record, in the middle of the log"
    seal = payload(last)
    if not isinstance(seal, SealData) or last.lane != "run":
        yield line(last.seq), "is the last line and does not seal the log: it was cut, or something was added"
    else:
        yield from _seal(bundle, seal)


def _seal(bundle: Bundle, seal: SealData) -> Iterator[tuple[str, str]]:
    if seal.plan_sha256 != layout.sha256(bundle.store.read(layout.PLAN)):
        yield layout.PLAN, "is not the plan that the seal names"
    if seal.verdicts_sha256 != layout.sha256(bundle.store.read(layout.VERDICTS)):
        yield layout.VERDICTS, "is not the document that the seal names"
    if seal.records != len(bundle.records):
        yield layout.LOG, f"has {len(bundle.records)} records, its seal says {seal.records}"
    if seal.partial != bundle.verdicts.partial:
        yield layout.VERDICTS, "does not agree with the seal on whether the run was interrupted"
