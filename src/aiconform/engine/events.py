"""What a run tells whoever watches it: a stream of small frozen events, in the order they happen.

The console, the JUnit writer and tests are handlers of events that never meet each other. Events carry only what a
screen needs; the evidence is in the bundle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from aiconform.evidence.documents import CheckVerdict, ClusterFacts, Plan, ProbeVerdict, Verdicts


@dataclass(frozen=True)
class RunStarted:
    """The plan is committed; nothing was asked of the cluster yet."""

    plan: Plan
    bundle: Path


@dataclass(frozen=True)
class PluginAsks:
    """A credential plugin takes the terminal to ask a person; nothing else may be drawn until :class:`PluginDone`."""

    plugin: str


@dataclass(frozen=True)
class PluginDone:
    """The terminal is free again."""


@dataclass(frozen=True)
class Told:
    """Words for a person that are no part of the evidence: what a credential plugin says."""

    text: str


@dataclass(frozen=True)
class ClusterFound:
    """Discovery ended; ``namespace`` is the one that is about to be made, and ``keep`` whether it stays there."""

    facts: ClusterFacts
    simulated: bool
    namespace: str
    keep: bool = False


@dataclass(frozen=True)
class CheckAwaits:
    """A check has not begun: parts of the cluster that it needs are still coming up."""

    requirement: str
    state: str


@dataclass(frozen=True)
class CheckStarted:
    """The first probe of a requirement is about to run."""

    requirement: str
    probes: int


@dataclass(frozen=True)
class ProbeStarted:
    """A probe begins."""

    requirement: str
    probe: str
    title: str
    number: int
    total: int
    timeout_s: float


@dataclass(frozen=True)
class Waiting:
    """A probe waits: for what, what the cluster says meanwhile, and when it will give up."""

    requirement: str
    probe: str
    waiting_for: str
    observed: str
    elapsed_s: float
    limit_s: float


@dataclass(frozen=True)
class ProbeFinished:
    """A probe has its verdict."""

    requirement: str
    verdict: ProbeVerdict


@dataclass(frozen=True)
class CheckFinished:
    """A requirement has its verdict (its own objects are cleaned up by then)."""

    verdict: CheckVerdict


@dataclass(frozen=True)
class CleaningUp:
    """Objects are being removed; ``held_by`` says why the first that remains takes so long."""

    removed: int
    remaining: list[str]
    held_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunFinished:
    """The bundle is sealed."""

    verdicts: Verdicts
    bundle: Path
    root_sha256: str
    elapsed_s: float


Event = (
    RunStarted
    | PluginAsks
    | PluginDone
    | Told
    | ClusterFound
    | CheckAwaits
    | CheckStarted
    | ProbeStarted
    | Waiting
    | ProbeFinished
    | CheckFinished
    | CleaningUp
    | RunFinished
)
Emit = Callable[[Event], None]
