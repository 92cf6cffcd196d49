"""Looks for credentials where they must not be: in files, in output, in what a process wrote or was called with."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

_PEM = re.compile(rb"-----BEGIN ([A-Z ]+)-----(.*?)-----END", re.DOTALL)
_WRITE = re.compile(rb"^(?:\d+ +)?(?:write|pwrite64|writev)\(\d+<([^>]*)>, (.*)$")
_ELSEWHERE = (b"socket:", b"pipe:", b"/memfd:", b"anon_inode:", b"TCP", b"UNIX")
"""What is no file: connections, and memory."""


def forms(secret: bytes) -> Iterator[bytes]:
    """A secret as it may stand in a file: of a key every line and the data in it, of anything else all of it."""
    bodies = [body for kind, body in _PEM.findall(secret) if b"PRIVATE" in kind]
    if not bodies:
        yield from _spelled(secret)
        return
    for body in bodies:
        yield from (line for line in body.split() if len(line) > 20)
        yield from _spelled(base64.b64decode(b"".join(body.split())))


def _spelled(data: bytes) -> Iterator[bytes]:
    yield data
    yield data.hex().encode()
    for lead in range(3):  # as it looks with other bytes before it
        whole = base64.b64encode(b"x" * lead + data)
        sure = whole[(0, 2, 3)[lead] : (lead + len(data)) * 8 // 6]
        yield sure
        yield sure.replace(b"+", b"-").replace(b"/", b"_")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return
    yield quote(text, safe="").encode()
    yield json.dumps(text)[1:-1].encode()
    yield json.dumps(json.dumps(text))[3:-3].encode()


def echoes(secrets: Iterable[bytes]) -> str:
    """All of that in one text, for a server that repeats what it must not."""
    found = [form.decode("latin-1") for secret in secrets for form in forms(secret)]
    return " ; ".join(text for text in found if text.isprintable())


def found_in(data: bytes, secrets: Iterable[bytes]) -> list[bytes]:
    """The forms that stand in some bytes."""
    return [form for secret in secrets for form in forms(secret) if form in data]


def found_below(directory: Path, secrets: Iterable[bytes], *, but: Iterable[Path] = ()) -> list[str]:
    """Files below a directory that hold a form of a secret, by contents or by name; ``but`` are those of the test."""
    own = {path.resolve() for path in but}
    leaks = []
    for path in sorted(directory.rglob("*")):
        data = path.read_bytes() if path.is_file() and path.resolve() not in own else b""
        leaks += [f"{path}: {form[:30]!r}" for form in found_in(data + str(path).encode(), secrets)]
    return leaks


def found_in_trace(trace: Path, secrets: Iterable[bytes]) -> tuple[list[str], int]:
    """Leaks in what strace saw being written to files and called as programs; and how many writes to files it saw."""
    leaks, writes = [], 0
    for line in trace.read_bytes().splitlines():
        written = _WRITE.match(line)
        if written and written.group(1).startswith(_ELSEWHERE):
            continue
        writes += written is not None
        if written or b"execve(" in line:
            leaks += [f"{line[:80]!r}: {form[:30]!r}" for form in found_in(line, secrets)]
    return leaks, writes
