"""What a mutant is: a good local cluster, broken in one place, and the probes that this must kill.

A module ``tests/mutants/<requirement>.py`` has a tuple ``MUTANTS``. ``make mutants`` runs them all and prints, for each
probe of each check, the mutant that kills it. A probe is killed if it ends failed or undecided in its own right, in the
words that the mutant expects; one that is merely not run because its control did not pass is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal

from aiconform.evidence.documents import CheckVerdict, ProbeVerdict
from aiconform.local import Cluster

Break = Callable[[Cluster], AbstractContextManager[object]]


@dataclass(frozen=True)
class Kill:
    """How a probe must end on a mutant.

    Attributes:
        outcome: its verdict.
        words: in its reason or in what it observed, so that it fails for the right reason; several where it depends on
            the machine's speed which right reason is seen first.
    """

    outcome: Literal["failed", "undecided"]
    words: str | tuple[str, ...]

    def by(self, probe: ProbeVerdict) -> bool:
        """Whether a probe ended so."""
        seen = [f"{o.expected} {o.observed} {o.cause}" for o in probe.observations if o.outcome != "passed"]
        words = (self.words,) if isinstance(self.words, str) else self.words
        return probe.outcome == self.outcome and any(word in text for text in [probe.reason, *seen] for word in words)


UNTRIED: Mapping[str, str] = {
    "advanced_inference_ingress/suite": "needs an implementation that takes pools, which the local cluster has not",
    "high_performance_networking/traits": "needs a network driver, which the local cluster has not",
    "high_performance_networking/used": "is undecided on every cluster",
    "disaggregated_inference/apart": "is never failed",
    "disaggregated_inference/both": "is undecided on every cluster",
}
"""Probes that pass on no local cluster, so that no mutant of one could show anything; unit tests try them."""


@dataclass(frozen=True)
class Mutant:
    """A way to break a cluster.

    Attributes:
        requirement: whose check is run on it.
        what: how it is broken, for the table: ``the scheduler of Volcano is stopped``.
        broken: breaks the cluster on entry and repairs it on exit, so that the next mutant starts from a good one.
        kills: probe id to how it must end. Other probes may end as they will, but not pass where they are listed.
        told: words that the check, which must pass all the same, must have stated; no probe is killed by that.
        withheld: words in the reason for which the whole check must not be run at all; no probe is killed by that.
        options: what the run is told of the cluster, by name; see :mod:`aiconform.catalog.options`.
        addons: what the cluster has beside what its requirement's check is tried on.
        profile: of the local cluster that is broken.
        fresh: whether it needs a cluster of its own because it cannot be repaired.
    """

    requirement: str
    what: str
    broken: Break
    kills: Mapping[str, Kill] = field(default_factory=dict)
    told: str = ""
    withheld: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    addons: tuple[str, ...] = ()
    profile: str = "default"
    fresh: bool = False

    def survivors(self, check: CheckVerdict) -> list[str]:
        """What did not end as it must, in words."""
        ended = {probe.id: probe for probe in check.probes}
        wrong: list[str] = []
        if self.withheld and (check.outcome != "not run" or self.withheld not in check.reason):
            wrong.append(f"{check.outcome}: {check.reason} (expected not run: {self.withheld})")
        stated = [seen.observed for probe in check.probes for seen in probe.observations]
        if self.told and (check.outcome != "passed" or not any(self.told in text for text in stated)):
            wrong.append(f"{check.outcome}: {check.reason} (expected passed, and told: {self.told})")
        for name, kill in self.kills.items():
            probe = ended.get(name)
            if probe is None:
                wrong.append(f"{name}: there is no such probe")
            elif not kill.by(probe):
                wrong.append(f"{name}: {probe.outcome}: {probe.reason} (expected {kill.outcome}: {kill.words})")
        return wrong
