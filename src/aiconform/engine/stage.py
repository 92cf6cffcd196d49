"""Where a run takes place: on a cluster, or in the log of an earlier run.

The same code conducts both. A stage hands out lanes and says how the outside ends things early.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

import anyio

from aiconform.engine import arrivals
from aiconform.engine.lane import INTERRUPTED, PROBE_LIMIT, Lane, ProbeCut
from aiconform.engine.live import LiveLane, Wire
from aiconform.engine.replay import ReplayLane, Substitution
from aiconform.evidence.records import DeadlineData, NoteData
from aiconform.evidence.writer import END_LANE

if TYPE_CHECKING:
    from aiconform.engine.arrivals import Arrivals
    from aiconform.evidence.reader import Bundle

_TELL_EVERY_S = 0.5
Work = Callable[[], Awaitable[None]]


class Stage(Protocol):
    """See the module's text."""

    run: str

    def lane(self, name: str) -> Lane:
        """The lane of this name; it exists once."""

    def has(self, name: str) -> bool:
        """Whether there is a lane of this name: in a replay of an older bundle some are not."""

    async def bounded(self, lane: Lane, work: Work, *, limit_s: float) -> str:
        """Do the work of a lane until it ends, its time is up, or the run is interrupted.

        Returns:
            Empty if it ended by itself, else what ended it (:data:`~aiconform.engine.lane.PROBE_LIMIT` or
            :data:`~aiconform.engine.lane.INTERRUPTED`), which is recorded.
        """

    def awaits(self, requirement: str) -> bool:
        """Whether parts of the cluster that a check needs come up while the run goes on."""

    async def arrival(self, requirement: str, tell: Callable[[str], None]) -> str:
        """Wait for these parts; ``tell`` is called with what is happening meanwhile.

        Returns:
            Empty when they are there (or the run was interrupted), else why they will not come.
        """

    @property
    def interrupted(self) -> bool:
        """Whether the run was told to end early."""

    def ended_before(self, lane: Lane) -> bool:
        """Whether the run was told to end before the work of this lane began."""

    def shielded(self) -> AbstractContextManager[object]:
        """A block for clean-up, which an interrupt does not end; only giving up altogether does."""


class LiveStage:
    """A run on a cluster."""

    def __init__(self, wire: Wire, arrivals: Arrivals | None = None) -> None:
        self.run = wire.run
        self._wire = wire
        self._arrivals = arrivals
        self._scopes: set[anyio.CancelScope] = set()
        self._shields: set[anyio.CancelScope] = set()
        self._abandoned = False
        self._interrupted = False

    @property
    def interrupted(self) -> bool:
        """See :class:`Stage`."""
        return self._interrupted

    def ended_before(self, lane: Lane) -> bool:  # noqa: ARG002 - live, an interrupt is one for all lanes
        """See :class:`Stage`."""
        return self._interrupted

    def awaits(self, requirement: str) -> bool:
        """See :class:`Stage`."""
        return self._arrivals is not None and self._arrivals.expects(requirement)

    async def arrival(self, requirement: str, tell: Callable[[str], None]) -> str:
        """See :class:`Stage`."""
        why_not = ""
        with self._interruptible():
            async with anyio.create_task_group() as group:
                group.start_soon(self._tell_meanwhile, requirement, tell)
                why_not = await self._arrivals.arrived(requirement) if self._arrivals else ""
                group.cancel_scope.cancel()
        return arrivals.record(self.lane(arrivals.lane_name(requirement)), why_not)

    async def _tell_meanwhile(self, requirement: str, tell: Callable[[str], None]) -> None:
        while self._arrivals is not None:
            tell(self._arrivals.state(requirement))
            await anyio.sleep(_TELL_EVERY_S)

    def has(self, name: str) -> bool:  # noqa: ARG002 - live, every lane can be made
        """See :class:`Stage`."""
        return True

    def lane(self, name: str) -> LiveLane:
        """See :class:`Stage`."""
        return self._wire.lane(name)

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """See :class:`Stage`."""
        with anyio.CancelScope(shield=not self._abandoned) as scope:
            self._shields.add(scope)
            try:
                yield
            finally:
                self._shields.discard(scope)

    def abandon(self) -> None:
        """End clean-up too, now."""
        self._abandoned = True
        for scope in list(self._shields):
            scope.shield = False
            scope.cancel()

    def interrupt(self) -> None:
        """End all bounded work now; clean-up, which is not bounded so, goes on."""
        self._interrupted = True
        for scope in list(self._scopes):
            scope.cancel()

    async def bounded(self, lane: Lane, work: Work, *, limit_s: float) -> str:
        """See :class:`Stage`."""
        with self._interruptible() as interrupt, anyio.move_on_after(limit_s) as limit:
            await work()
        if interrupt.cancelled_caught or (self._interrupted and limit.cancelled_caught):
            lane.write(NoteData(text=INTERRUPTED))
            return INTERRUPTED
        if limit.cancelled_caught:
            lane.write(DeadlineData(waiting_for=PROBE_LIMIT, limit_s=limit_s))
            return PROBE_LIMIT
        return ""

    @contextmanager
    def _interruptible(self) -> Iterator[anyio.CancelScope]:
        with anyio.CancelScope() as scope:
            self._scopes.add(scope)
            if self._interrupted:
                scope.cancel()
            try:
                yield scope
            finally:
                self._scopes.discard(scope)


class ReplayStage:
    """An earlier run, read back from its bundle."""

    def __init__(self, bundle: Bundle, substitution: Substitution | None = None) -> None:
        self.run = bundle.plan.run
        self._bundle = bundle
        self._substitution = substitution
        self.lanes: dict[str, ReplayLane] = {}

    def awaits(self, requirement: str) -> bool:
        """See :class:`Stage`."""
        return arrivals.lane_name(requirement) in self._bundle.lanes

    async def arrival(self, requirement: str, tell: Callable[[str], None]) -> str:  # noqa: ARG002 - nobody watches
        """See :class:`Stage`."""
        name = arrivals.lane_name(requirement)
        text = str(self._bundle.lanes[name][0].data.get("text", ""))
        return arrivals.record(self.lane(name), arrivals.cause(text))

    @property
    def interrupted(self) -> bool:
        """See :class:`Stage`."""
        return any(record.data.get("text") == INTERRUPTED for record in self._bundle.lanes.get(END_LANE, []))

    def shielded(self) -> AbstractContextManager[object]:
        """See :class:`Stage`: nobody interrupts a replay."""
        return anyio.CancelScope(shield=True)

    def ended_before(self, lane: Lane) -> bool:
        """See :class:`Stage`: then the lane holds a verdict and nothing else."""
        first = next(iter(self._bundle.lanes.get(lane.name, [])), None)
        return first is not None and first.type == "verdict"

    def has(self, name: str) -> bool:
        """See :class:`Stage`."""
        return name in self._bundle.lanes

    def lane(self, name: str) -> ReplayLane:
        """See :class:`Stage`."""
        records = self._bundle.lanes.get(name, [])
        self.lanes[name] = ReplayLane(name, self.run, records, self._bundle.blob, self._substitution)
        return self.lanes[name]

    async def bounded(self, lane: Lane, work: Work, *, limit_s: float) -> str:
        """See :class:`Stage`."""
        try:
            await work()
        except ProbeCut as cut:
            if cut.why == INTERRUPTED:
                lane.write(NoteData(text=INTERRUPTED))
            else:
                lane.write(DeadlineData(waiting_for=PROBE_LIMIT, limit_s=limit_s))
            return cut.why
        return ""
