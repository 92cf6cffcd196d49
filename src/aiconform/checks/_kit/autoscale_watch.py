"""Looking at an autoscaler again and again: what it wants, what there is of it, and the metric it follows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiconform.checks._kit.autoscale import LOOK_S, MAXIMUM, Scaled
from aiconform.engine import Context, Series, State

Obj = dict[str, Any]


@dataclass(frozen=True)
class Look:
    """What the autoscaler and its workload say at one moment; ``metric`` is None where there is none."""

    desired: int
    ready: int
    metric: float | None
    conditions: dict[str, tuple[str, str]]
    said: str = ""

    @property
    def active(self) -> str:
        """Whether the autoscaler can work with its metric, with its own reason."""
        return " ".join(self.conditions.get("ScalingActive", ("not told", ""))).strip()

    @property
    def text(self) -> str:
        """In words."""
        metric = f"metric {self.metric:g}" if self.metric is not None else f"no metric{self.said and f' ({self.said})'}"
        return f"{metric}, {self.desired} desired, {self.ready} ready, ScalingActive {self.active}"


Judge = Callable[[Look], State]
Sample = Callable[[], Awaitable[State]]
Metric = Callable[[Obj], Awaitable[tuple[float | None, str]]]
"""Asks for the metric itself, given the autoscaler: its value, or None with the reason."""


@dataclass(frozen=True)
class Timed:
    """A figure that says how long something took, since a moment of the run's clock, in seconds."""

    figure: str
    since: float


@dataclass
class Watcher:
    """Looks at the autoscaler again and again, and keeps what it saw for a plot.

    Attributes:
        ctx: the probe's context.
        scaled: what is looked at.
        metric: asks for the metric itself.
        name: of the metric, for the plot.
        unit: of the metric.
        target: what the autoscaler aims at.
    """

    ctx: Context
    scaled: Scaled
    metric: Metric
    name: str
    unit: str
    target: float
    _seen: list[tuple[float, Look]] = field(default_factory=list)

    async def until(self, judge: Judge, *, expected: str, within_s: float, timed: Timed | None = None) -> None:
        """Look again and again until what is seen is judged met; how long that took is the figure that is ``timed``."""
        await self.ctx.poll(self._sample(judge, timed), expected=expected, within_s=within_s, every_s=LOOK_S)

    async def hold(self, judge: Judge, *, expected: str, during_s: float) -> None:
        """Look for a whole window in which all that is seen must be judged met."""
        await self.ctx.hold(self._sample(judge), expected=expected, during_s=during_s, every_s=LOOK_S)

    def _sample(self, judge: Judge, timed: Timed | None = None) -> Sample:
        async def look() -> State:
            found = await self.look()
            state = judge(found)
            took = ((timed.figure, f"{self.ctx.now - timed.since:.0f} s"),) if timed else ()
            return State(state.outcome, state.observed, (*state.figures, *took), self.series())

        return look

    async def look(self) -> Look:
        """What is there now."""
        hpa = await self.ctx.read(self.scaled.autoscaler)
        deployment = await self.ctx.read(self.scaled.workload.deployment)
        value, said = await self.metric(hpa)
        status = hpa.get("status") or {}
        found = Look(
            desired=int(status.get("desiredReplicas") or 0),
            ready=int((deployment.get("status") or {}).get("readyReplicas") or 0),
            metric=value,
            conditions={c["type"]: (c["status"], c.get("reason", "")) for c in status.get("conditions") or ()},
            said=said,
        )
        self._seen.append((self.ctx.now, found))
        return found

    def series(self) -> tuple[Series, ...]:
        """What was seen so far."""
        at = [moment for moment, _ in self._seen]
        metric = tuple((moment, look.metric) for moment, look in self._seen if look.metric is not None)
        return (
            Series(self.name, self.unit, metric),
            Series(f"target for {self.name}", self.unit, ((at[0], self.target), (at[-1], self.target))),
            Series("ready", "replicas", tuple((moment, look.ready) for moment, look in self._seen)),
            Series("desired", "replicas", tuple((moment, look.desired) for moment, look in self._seen if look.desired)),
            Series("maximum", "replicas", ((at[0], MAXIMUM), (at[-1], MAXIMUM))),
        )


def wants(replicas: int) -> Judge:
    """The autoscaler works with its metric and wants so many replicas, and they are ready."""

    def judge(look: Look) -> State:
        good = look.active.startswith("True") and look.desired == look.ready == replicas
        return State("met" if good else "waiting", look.text)

    return judge


def asks_for(replicas: int) -> Judge:
    """The autoscaler works with its metric and wants so many replicas, whether they are there or not."""

    def judge(look: Look) -> State:
        good = look.active.startswith("True") and look.desired == replicas
        return State("met" if good else "waiting", look.text)

    return judge
