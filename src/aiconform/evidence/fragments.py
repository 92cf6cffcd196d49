"""Finds parts of known secrets, however they were cut or folded.

Of each spelling of a secret every stretch of twelve characters is known. A text is probed at every eighth place of its
long unbroken runs, so any part of 19 characters or more is met, and then followed to both its ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

STRETCH: Final = 12
_STEP: Final = 8
SHORTEST_PART: Final = STRETCH + _STEP - 1
"""Characters of a secret that are found wherever they stand; fewer may be missed."""

_RUN = re.compile(rf"[A-Za-z0-9+/=_.%~-]{{{SHORTEST_PART},}}")


class Fragments:
    """The known stretches of some spellings.

    Args:
        spellings: those of all secrets whose parts are secret too.
    """

    def __init__(self, spellings: Iterable[str]) -> None:
        stretches = {
            run[at : at + STRETCH]
            for spelling in spellings
            for run in _RUN.findall(spelling)
            for at in range(len(run) - STRETCH + 1)
        }
        self._known = frozenset(stretch for stretch in stretches if not _says_nothing(stretch))

    def replace(self, text: str, mark: str) -> str:
        """The text with the mark in place of every part of a secret."""
        if not self._known:
            return text
        return _RUN.sub(lambda found: self._cleaned(found.group(), mark), text)

    def _cleaned(self, run: str, mark: str) -> str:
        known = self._known
        parts: list[str] = []
        done = at = 0
        last = len(run) - STRETCH
        while at <= last:
            if run[at : at + STRETCH] not in known:
                at += _STEP
                continue
            start, end = at, at
            while start > done and run[start - 1 : start - 1 + STRETCH] in known:
                start -= 1
            while end < last and run[end + 1 : end + 1 + STRETCH] in known:
                end += 1
            parts += (run[done:start], mark)
            done = end + STRETCH
            at = done
        return "".join([*parts, run[done:]]) if parts else run


def _says_nothing(stretch: str) -> bool:
    """Stretches that stand in anything: dashes of a PEM, padding, and the fixed heads of PEM and JWT."""
    return len(set(stretch)) < 4 or stretch in _HEADS


_HEADS = frozenset(
    head[at : at + STRETCH]
    for head in (
        "-----BEGIN",
        "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tC",
        "LS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo",
        "LS0tLS1CRUdJTi",
        "LS0tLS1FTkQg",
        "eyJhbGciOiJSUzI1NiIsImtpZCI6I",
        "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9",
    )
    for at in range(len(head) - STRETCH + 1)
)
