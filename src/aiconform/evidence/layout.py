"""Where things are in a bundle, and how much of each is accepted."""

from __future__ import annotations

import hashlib
import re
from typing import Final

LOG: Final = "log.jsonl"
PLAN: Final = "plan.json"
VERDICTS: Final = "verdicts.json"
MANIFEST: Final = "manifest.json"
ATTESTATIONS: Final = "attestations.intoto.jsonl"
BLOBS: Final = "blobs/sha256"

REQUIRED: Final = (MANIFEST, LOG, PLAN, VERDICTS)
"""The manifest first: a bundle without it was never sealed, whatever else it lacks."""
UNLISTED: Final = frozenset({MANIFEST, ATTESTATIONS})
"""Files that the manifest does not list: itself, and what is said about it afterwards."""

FOLDERS: Final = ("blobs", "blobs/sha256")

MAX_FILES: Final = 20_000
MAX_DOCUMENT: Final = 4 * 2**20
MAX_LINE: Final = 2**20
MAX_LOG: Final = 12 * 2**20
MAX_BLOB: Final = 48 * 2**20
MAX_TOTAL: Final = 160 * 2**20
"""Bytes of all files together. A bundle of twelve requirements stays below 20 MB.

The limits keep a reader of hostile bundles below 5 seconds and 256 MB. The writer holds to them too.
"""

_BLOB = re.compile(r"blobs/sha256/([0-9a-f]{64})", re.ASCII)
_FIXED = frozenset({*REQUIRED, ATTESTATIONS})


def blob_name(digest: str) -> str:
    """The file of a blob, from its SHA-256 in hex."""
    return f"{BLOBS}/{digest}"


def blob_digest(name: str) -> str:
    """The SHA-256 that a file of a bundle is named by; empty where it is no blob."""
    found = _BLOB.fullmatch(name)
    return found.group(1) if found else ""


def is_known(name: str) -> bool:
    """Whether a bundle may have a file of this name (relative, forward slashes)."""
    return name in _FIXED or bool(blob_digest(name))


def size_limit(name: str) -> int:
    """How many bytes a file of a bundle may have."""
    if name == LOG:
        return MAX_LOG
    return MAX_BLOB if blob_digest(name) else MAX_DOCUMENT


def sha256(data: bytes) -> str:
    """SHA-256 in lower-case hex."""
    return hashlib.sha256(data).hexdigest()


def audit_id(run: str, lane: str, n: int) -> str:
    """The Audit-ID header of request ``n`` of a lane: the same in the API server's audit log and in our log."""
    return f"{run}.{lane}.{n}"


def check_lane(requirement: str) -> str:
    """The lane that holds the verdict on a requirement."""
    return f"verdict/{requirement}"


def probe_lane(requirement: str, probe: str) -> str:
    """The lane of a probe."""
    return f"{requirement}/{probe}"
