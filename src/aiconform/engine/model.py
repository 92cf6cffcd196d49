"""What a check is made of: probes of three kinds, observations, and the state a condition reports.

A check module declares one :class:`Check` and decorates its probes::

    CHECK = Check("dra_support", needs=(needs.api("resource.k8s.io/v1"),))

    @CHECK.positive("the four kinds are served", fails_if="a kind or a verb is missing")
    async def kinds_served(ctx: Context) -> None:
        ctx.expect("four kinds", observed, ok=...)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from aiconform.errors import InternalError

if TYPE_CHECKING:
    from aiconform.engine.context import Context
    from aiconform.engine.facts import Facts
    from aiconform.engine.rights import Choice
    from aiconform.evidence.documents import ProbeKind
    from aiconform.evidence.records import Outcome, RestsOn


@dataclass(frozen=True)
class Series:
    """Values over time, for a plot.

    Attributes:
        name: what it is, for the legend.
        unit: as on an axis; empty for a plain number.
        points: pairs of seconds since the run began (:attr:`Context.now <aiconform.engine.context.Context.now>`) and
            value, in order.
    """

    name: str
    unit: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Observation:
    """One comparison: what was expected, what was observed, and the exchanges it rests on.

    Made by :meth:`Context.expect <aiconform.engine.context.Context.expect>` and by waits, never by hand, so that
    ``rests_on`` is complete.
    """

    expected: str
    observed: str
    outcome: Outcome
    cause: str = ""
    rests_on: tuple[RestsOn, ...] = ()
    figures: tuple[tuple[str, str], ...] = ()
    series: tuple[Series, ...] = ()
    window_s: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether the observed is what was expected."""
        return self.outcome == "passed"


@dataclass(frozen=True)
class State:
    """What a condition says about the objects it was shown.

    ``met``: the condition holds. ``waiting``: not yet. ``wrong``: it can no longer hold, and the cluster is at fault.
    ``blocked``: not yet, for a reason that says nothing about the requirement (an image cannot be pulled); a wait that
    ends so is undecided, not failed. ``nothing``: there is nothing to look at. ``series`` is what was seen until then,
    drawn on the page where a poll or hold ends with this state, whatever its outcome.
    """

    outcome: Literal["met", "waiting", "wrong", "blocked", "nothing"]
    observed: str
    figures: tuple[tuple[str, str], ...] = ()
    series: tuple[Series, ...] = ()


@dataclass(frozen=True)
class Unmet:
    """Why a check is not run on this cluster: ``n/a`` where its own condition is false, else ``not run``."""

    outcome: Literal["not run", "n/a", "undecided"]
    reason: str


Need = Callable[["Facts"], "Unmet | None"]


ProbeFunction = Callable[["Context"], Awaitable[None]]


@dataclass(frozen=True)
class Probe:
    """One question within a check."""

    id: str
    kind: ProbeKind
    title: str
    fails_if: str
    function: ProbeFunction
    timeout_s: float
    control: str = ""
    after: str = ""
    needs: tuple[Need, ...] = ()


def _nothing_held(_facts: Facts) -> frozenset[str]:
    return frozenset()


@dataclass
class Check:
    """Our module for one requirement.

    Attributes:
        requirement: id in the checklist.
        needs: conditions on the cluster, looked at in order; the first unmet one says why the check is not run.
        holds: names of accelerators that no other check may use meanwhile, such as ``gpu-0/nvidia.com/gpu``.
        limits: what the check does not show, for the page.
        headline: the line beside its verdict, with names of figures in braces: ``asked {asked}, measured {measured}``.
        pod_security: Pod Security Standard of the namespace its pods run in.
        rights: what it must be allowed, beside what every run needs; written as :mod:`aiconform.engine.rights` says.
        usual_s: seconds it takes on a local cluster, as the recorded runs show; 0 if none was recorded.
        imports: what file a user may give for it, in a few words; empty: none.
        by_hand: whether no run can pass it yet: it looks, is undecided at best, and says what to show by hand.
    """

    requirement: str
    needs: tuple[Need, ...] = ()
    holds: Callable[[Facts], frozenset[str]] = _nothing_held
    limits: tuple[str, ...] = ()
    headline: str = ""
    pod_security: Literal["restricted", "baseline"] = "restricted"
    rights: tuple[str | Choice, ...] = ()
    usual_s: int = 0
    imports: str = ""
    by_hand: bool = False
    probes: list[Probe] = field(default_factory=list)

    def positive(
        self,
        title: str,
        *,
        fails_if: str,
        after: Probe | None = None,
        needs: tuple[Need, ...] = (),
        timeout_s: float = 180,
    ) -> Callable[[ProbeFunction], Probe]:
        """Declare a positive probe: something works.

        ``after`` names a probe whose state it starts from; ``needs`` are its own, beside those of the check.
        """
        before = after.id if after else ""
        return self._declare(title, kind="positive", fails_if=fails_if, timeout_s=timeout_s, after=before, needs=needs)

    def negative(
        self, title: str, *, fails_if: str, control: Probe, timeout_s: float = 180
    ) -> Callable[[ProbeFunction], Probe]:
        """Declare a negative probe: something is refused; it counts only if its positive ``control`` passed."""
        return self._declare(title, kind="negative", fails_if=fails_if, timeout_s=timeout_s, control=control.id)

    def recovery(
        self, title: str, *, fails_if: str, after: Probe, timeout_s: float = 180
    ) -> Callable[[ProbeFunction], Probe]:
        """Declare a recovery probe: from the state that ``after`` left, things become good again."""
        return self._declare(title, kind="recovery", fails_if=fails_if, timeout_s=timeout_s, after=after.id)

    def _declare(
        self,
        title: str,
        *,
        kind: ProbeKind,
        fails_if: str,
        timeout_s: float,
        control: str = "",
        after: str = "",
        needs: tuple[Need, ...] = (),
    ) -> Callable[[ProbeFunction], Probe]:
        def register(function: ProbeFunction) -> Probe:
            name = getattr(function, "__name__", "")
            if any(probe.id == name for probe in self.probes):
                raise InternalError(f"{self.requirement} declares probe {name} twice")
            probe = Probe(name, kind, title, fails_if, function, timeout_s, control, after, needs)
            self.probes.append(probe)
            return probe

        return register
