"""Means of an attacker: changes a sealed bundle, and, where asked, computes everything anew afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiconform.evidence import layout
from aiconform.evidence.archive import write_archive
from aiconform.evidence.records import GENESIS
from aiconform.evidence.strictjson import canonical

Line = dict[str, Any]


def lines(bundle: Path) -> list[Line]:
    """The log, parsed."""
    return [json.loads(line) for line in (bundle / layout.LOG).read_bytes().splitlines()]


def write_lines(bundle: Path, log: list[Line]) -> None:
    """Write the log, nothing else."""
    (bundle / layout.LOG).write_bytes(b"".join(canonical(line) + b"\n" for line in log))


def edit_document(bundle: Path, name: str, change: Callable[[Any], None]) -> None:
    """Change a document and write it in canonical form."""
    path = bundle / name
    value = json.loads(path.read_bytes())
    change(value)
    path.write_bytes(canonical(value))


def edit_log(bundle: Path, change: Callable[[list[Line]], None]) -> None:
    """Change the log, nothing else."""
    log = lines(bundle)
    change(log)
    write_lines(bundle, log)


def rechain(bundle: Path, *, number: bool = True) -> None:
    """Make the chain right again: what a careful forger does. Numbers are given anew unless told otherwise."""
    log, prev, counts = lines(bundle), GENESIS, dict[str, int]()
    for seq, line in enumerate(log):
        if number:
            line["seq"], line["n"] = seq, counts.get(line["lane"], 0)
            counts[line["lane"]] = line["n"] + 1
        line["prev"] = prev
        prev = layout.sha256(canonical(line))
    write_lines(bundle, log)


def remanifest(bundle: Path) -> None:
    """Make the manifest right again."""
    names = [path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()]

    def change(manifest: Any) -> None:
        manifest["files"] = [
            {"path": name, "sha256": layout.sha256(data), "size": len(data)}
            for name in sorted(names)
            if name not in layout.UNLISTED
            for data in [(bundle / name).read_bytes()]
        ]
        manifest["log_head"] = layout.sha256((bundle / layout.LOG).read_bytes().splitlines()[-1])

    edit_document(bundle, layout.MANIFEST, change)


def reseal(bundle: Path) -> None:
    """Make everything right again that follows from the rest by computing: digests, chain, seal, manifest."""
    log = lines(bundle)
    if log and log[0]["type"] == "plan":
        log[0]["data"]["sha256"] = layout.sha256((bundle / layout.PLAN).read_bytes())
    if log and log[-1]["type"] == "seal":
        log[-1]["data"].update(
            plan_sha256=layout.sha256((bundle / layout.PLAN).read_bytes()),
            verdicts_sha256=layout.sha256((bundle / layout.VERDICTS).read_bytes()),
            records=len(log),
        )
    write_lines(bundle, log)
    rechain(bundle)
    remanifest(bundle)


def repack(bundle: Path) -> Path:
    """A right archive of a directory as it is now."""
    target = bundle.with_name(f"{bundle.name}-again.tar.gz")
    files = sorted(path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file())
    write_archive(target, ((name, bundle / name, (bundle / name).stat().st_size) for name in files))
    return target
