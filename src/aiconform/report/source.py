"""What a report needs of a bundle, and nothing more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiconform.evidence.documents import Manifest, Plan, Verdicts
    from aiconform.evidence.records import Record


class Source(Protocol):
    """An opened bundle, as every report reads it.

    A report is a pure function of a source: no clock, no locale, no environment, no other file.
    """

    @property
    def plan(self) -> Plan:
        """What was planned before the first request."""

    @property
    def verdicts(self) -> Verdicts:
        """What came of it."""

    @property
    def manifest(self) -> Manifest:
        """Every file of the bundle with its size and digest."""

    @property
    def records(self) -> Sequence[Record]:
        """The log, in order."""

    @property
    def lanes(self) -> Mapping[str, Sequence[Record]]:
        """The log by lane, each in order."""

    @property
    def root_sha256(self) -> str:
        """Digest of the manifest: it stands for the whole bundle."""

    def blob(self, digest: str) -> bytes:
        """The exact bytes with this SHA-256 (hex).

        Raises:
            BundleError: there is no such blob, or its bytes do not match.
        """
