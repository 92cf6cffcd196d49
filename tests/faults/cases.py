"""Which fault at which request of which run: names that can be typed, and all that follows from them and a seed."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.faults import strikes
from tests.faults.kinds import KINDS

SUBJECTS = ("good", "bad")
MIX = "mix"
OUTAGES = ("apiserver-killed", "etcd-paused")
"""What is done to the control plane itself; all runs would feel it, so these cases run alone."""
_NAME = re.compile(r"(?:(good|bad):)?([a-z0-9-]+)@(\d+)")


@dataclass(frozen=True)
class Case:
    """One run with one fault; ``mix`` numbers a run with several.

    ``subject`` is what runs (:mod:`tests.faults.rehearsal`), ``number`` the request that is struck, from 0.
    """

    kind: str
    number: int
    subject: str = "good"

    def __str__(self) -> str:
        return f"{'' if self.subject == 'good' else self.subject + ':'}{self.kind}@{self.number}"

    @property
    def strike(self) -> tuple[str, str] | None:
        """What befalls the run on its own machine and when, where this is such a case."""
        name, _, when = self.kind.rpartition("-")
        return (name, when) if when in strikes.WHEN and name in strikes.NAMES else None

    def rng(self, seed: int) -> random.Random:
        """Chance, the same every time."""
        return random.Random(f"{seed}/{self}")

    def run(self, seed: int) -> str:
        """The id of the run."""
        return hashlib.sha256(f"{seed}/{self}".encode()).hexdigest()[:16]

    def strikes(self, seed: int, requests: int) -> dict[int, str]:
        """Kinds of fault by the number of the request; a mix strikes a stretch of requests, or several alone."""
        if self.kind != MIX:
            return {self.number: self.kind}
        rng = self.rng(seed)
        kinds = sorted(KINDS)
        if rng.random() < 0.5:
            first, length, kind = rng.randrange(requests), rng.randint(2, 5), rng.choice(kinds)
            return dict.fromkeys(range(first, first + length), kind)
        return {rng.randrange(requests): rng.choice(kinds) for _ in range(rng.randint(2, 5))}


def parse(text: str) -> Case:
    """The case of that name.

    Raises:
        ValueError: there is none.
    """
    found = _NAME.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no case: KIND@REQUEST, such as 500@12, bad:html@3, kill-after@20 or mix@7")
    case = Case(found[2], int(found[3]), found[1] or "good")
    if case.kind not in KINDS and case.kind not in (MIX, *OUTAGES) and case.strike is None:
        known = ", ".join([*KINDS, MIX, *OUTAGES, *strike_kinds()])
        raise ValueError(f"{case.kind!r} is no kind of fault; there are {known}")
    return case


def strike_kinds() -> list[str]:
    """Everything that befalls a run on its own machine at every moment, as kinds."""
    return [f"{name}-{when}" for name in strikes.NAMES for when in strikes.WHEN]


def faults(requests: int, subject: str = "good") -> Iterator[Case]:
    """Every kind at every request of a run."""
    for kind in KINDS:
        for number in range(requests):
            yield Case(kind, number, subject)


def outages(requests: int, every: int) -> Iterator[Case]:
    """Outages of the control plane, at some requests of a run."""
    for kind in OUTAGES:
        for number in range(every // 2, requests, every):
            yield Case(kind, number)


def struck(writes: Sequence[int], creations: Sequence[int]) -> Iterator[Case]:
    """Every signal, a full disk and a screen that is gone, at every write of a run, at every moment."""
    for name in strikes.NAMES:
        for when in strikes.WHEN:
            for number in creations if when == strikes.JOURNAL else writes:
                yield Case(f"{name}-{when}", number)
