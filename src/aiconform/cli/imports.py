"""``run --import``: files that a user gives for a requirement, such as the report of another suite."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from aiconform.errors import UsageError

LIMIT = 1 << 20
"""Bytes that a file may have."""


def read(given: Iterable[str]) -> dict[str, bytes]:
    """The files of ``REQUIREMENT=FILE`` by requirement, as they are.

    Raises:
        UsageError: the requirement takes no file, the file cannot be read, is empty or too large, or has what looks
            like a credential: nothing is taken out of it, so it would be in the bundle.
    """
    found: dict[str, bytes] = {}
    for text in given:
        name, sign, file = text.partition("=")
        if not sign or not file:
            raise UsageError(
                f"--import {text}: not REQUIREMENT=FILE",
                hint="for example --import advanced_inference_ingress=report.yaml",
            )
        if name in found:
            raise UsageError(f"--import {name} is given twice", hint="one file for each requirement")
        _must_take_one(name)
        found[name] = _content(Path(file))
    return found


def _must_take_one(name: str) -> None:
    from aiconform.checks import all_checks

    takers = {check.requirement: check.imports for check in all_checks().values() if check.imports}
    if name not in takers:
        listed = "; ".join(f"{taker}: {what}" for taker, what in takers.items())
        raise UsageError(f"--import {name}: no file is taken for it", hint=f"files are taken for {listed}")


def _content(path: Path) -> bytes:
    from aiconform.evidence.credentials import Credentials

    try:
        with path.open("rb") as file:
            data = file.read(LIMIT + 1)
    except OSError as problem:
        raise UsageError(f"cannot read {path}: {problem.strerror}", hint="name a file that you may read") from problem
    if not 0 < len(data) <= LIMIT:
        raise UsageError(f"{path} has {'no' if not data else f'more than {LIMIT}'} bytes", hint="is it the right file?")
    try:
        text = data.decode()
    except UnicodeDecodeError as problem:
        raise UsageError(f"{path} is no text in UTF-8", hint="is it the right file?") from problem
    if Credentials([]).remove(text) != text:
        raise UsageError(
            f"{path} has what looks like a credential", hint="take it out: the file goes into the bundle as it is"
        )
    return data
