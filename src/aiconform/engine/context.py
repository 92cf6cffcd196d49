"""The context: all that a probe learns about the world comes through it.

A probe creates objects, waits for what should happen or must not, reads, and states what it expected and observed.
Labels, recording, clean-up and time limits are not its business.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from aiconform.engine import waits
from aiconform.engine.api import Handle, Obj
from aiconform.engine.asking import Asking, Ours, Place
from aiconform.engine.kinds import POD, Kind
from aiconform.engine.lane import Lane, TimeUp
from aiconform.engine.model import Observation, Series, State
from aiconform.engine.ownership import CHECK_LABEL, RUN_LABEL
from aiconform.engine.undecidable import RefusedError, UndecidableError
from aiconform.evidence.records import ObservationData, Outcome, RestsOn, SeriesData

TellWaiting = Callable[[str, str, float, float], None]
"""Called with what is waited for, what is seen, seconds elapsed, and the limit in seconds."""
Handles = list[Handle]
Objects = list[Obj]
Sample = Callable[[], Awaitable[State]]
"""Asks once and says what it saw: for what cannot be watched, such as the value of a metric."""
Explain = Callable[[State], Awaitable[State]]
"""Looks further when a wait ended without its condition; what it returns is noted, never as met."""


class StopProbe(Exception):  # noqa: N818 - an end, not an error
    """An observation did not pass, so the rest of the probe has nothing to stand on."""


class Context(Asking):
    """What a probe is given.

    Attributes:
        facts: what discovery found.
        memo: values that a probe leaves for a later probe of the same check.
        namespace: where the objects of this check go.
        observations: what was compared so far.
    """

    def __init__(self, lane: Lane, ours: Ours, place: Place) -> None:
        super().__init__(lane, ours, place)
        self._rested = 0
        self.facts = ours.facts
        self.memo = ours.memo
        self.namespace = place.namespace
        self.observations: list[Observation] = []
        self.tell: TellWaiting = lambda *_: None

    async def refused(self, manifest: Obj) -> RefusedError:
        """Create an object that must be refused; returns the refusal, which is not yet judged.

        Raises:
            StopProbe: it was accepted (failed); it is removed like any other.
            UndecidableError: no answer came.
        """
        try:
            handle = await self.create(manifest)
        except RefusedError as refusal:
            return refusal
        self._note(f"{manifest['kind']} {manifest['metadata']['name']} is refused", f"{handle} was accepted", "failed")
        raise StopProbe

    async def show(self, handles: Iterable[Handle]) -> None:
        """Ask for the server-printed table of these objects, for the transcript alone."""
        kinds: dict[Kind, Handle] = {handle.kind: handle for handle in handles}
        for kind, handle in kinds.items():
            await self._api.table(kind, handle.namespace, labels=self._mine)

    async def log(self, pod: Handle, container: str, *, end: str, within_s: float = 90) -> str:
        """The log of a container up to the line ``end``, which proves that it is whole.

        Raises:
            StopProbe: the line did not arrive; the probe is undecided.
        """
        limit = self._lane.now + within_s
        path = POD.path(pod.namespace, pod.name, "log")
        expected = f"the log of {pod.name}/{container} ends with its last line"
        try:
            while True:
                text = await waits.follow_log(self._api, path, (("container", container),), end=end, limit=limit)
                if text is not None:
                    return text
                await self._lane.pause(0.5, limit=limit, waiting_for="the log's last line")
        except TimeUp:
            self._note(expected, "the last line never arrived", "undecided", f"no whole log within {within_s:g} s")
            raise StopProbe from None

    # -- waiting ------------------------------------------------------------------------------------------------

    async def until(
        self,
        target: waits.Target | Handle | Handles,
        condition: waits.Condition,
        *,
        expected: str,
        within_s: float,
        explain: Explain | None = None,
    ) -> Objects:
        """Watch until the condition is met; returns the objects it was met with.

        ``explain`` is asked what a wait came to that ended otherwise: it may look further, and says what was seen.

        Raises:
            StopProbe: it was not: failed if the cluster was seen in another state, undecided if nothing usable was
                seen. The observation is made either way.
        """
        start = self._lane.now
        end = await self._confirmed(target, condition, expected, within_s)
        state = end.state
        if state.outcome != "met" and end.sure and explain is not None:
            state = await explain(state)
        self.conclude(state, expected=expected, took_s=self._lane.now - start, within_s=within_s)
        return end.objects

    async def seen(
        self,
        target: waits.Target | Handle | Handles,
        condition: waits.Condition,
        *,
        expected: str,
        within_s: float,
    ) -> tuple[State, Objects]:
        """Watch until the condition is met or wrong, or time is up; states nothing, which is left to the caller.

        For what may be so or not so on a good cluster; what should be so is for :meth:`until`. At the limit all is read
        once more; if that shows the condition met, the state is blocked: whether it was in time is not known.
        """
        end = await self._confirmed(target, condition, expected, within_s)
        return end.state, end.objects

    def conclude(self, state: State, *, expected: str, took_s: float, within_s: float) -> None:
        """State how a wait of so many seconds ended.

        Raises:
            StopProbe: not met: failed if the cluster was seen in another state, undecided if nothing usable was seen.
        """
        if state.outcome == "met":
            self._note(expected, f"{state.observed} ({took_s:.1f} s)", "passed", figures=state.figures)
            return
        if state.outcome in ("blocked", "nothing"):
            self._note(expected, state.observed, "undecided", f"{state.observed} within {within_s:g} s")
        else:
            reached = state.outcome == "waiting"
            late = f"{state.observed}, and nothing better within {within_s:g} s" if reached else ""
            self._note(expected, state.observed, "failed", late)
        raise StopProbe

    async def never(
        self,
        target: waits.Target | Handle | Handles,
        condition: waits.Condition,
        *,
        expected: str,
        during_s: float,
    ) -> Objects:
        """Watch for a whole window in which the condition must not be met; returns the objects at its end.

        There must be something to look at, at the start and at the end: an empty selection proves nothing. At the end
        everything is read once more: a watch that tells nothing may have broken off unnoticed.

        Raises:
            StopProbe: the condition was met (failed), or there was nothing to look at (undecided).
        """
        start = self._lane.now
        seen = await self._watch(target, condition, expected, during_s)
        state, took = seen.state, self._lane.now - start
        if state.outcome in ("met", "wrong"):
            self._note(expected, f"{state.observed} after {took:.1f} s", "failed", figures=state.figures)
            raise StopProbe
        objects = seen.objects
        if state.outcome == "waiting" and objects:
            wanted, checked = self._selected(target, condition)
            objects, _ = await self._api.list(wanted.kind, wanted.namespace, labels=wanted.labels, fields=wanted.fields)
            state = checked(objects)
            if state.outcome in ("met", "wrong"):
                self._note(expected, f"{state.observed}, at the end of {took:.1f} s", "failed", figures=state.figures)
                raise StopProbe
        if state.outcome != "waiting" or not objects or took < during_s - 0.01:
            self._note(expected, state.observed, "undecided", "nothing to look at for the whole window")
            raise StopProbe
        self._note(expected, f"{state.observed}, for {took:.0f} s", "passed", figures=state.figures, window_s=during_s)
        return objects

    async def poll(self, sample: Sample, *, expected: str, within_s: float, every_s: float = 1.0) -> State:
        """Ask again and again until a sample is met; for what cannot be watched.

        Raises:
            StopProbe: it was not: failed if something else was seen, undecided if nothing usable was.
        """
        start = self._lane.now
        limit = start + within_s
        state = State("nothing", "nothing was seen")
        try:
            while state.outcome not in ("met", "wrong"):
                state = await sample()
                self.tell(expected, state.observed, self._lane.now - start, within_s)
                if state.outcome not in ("met", "wrong"):
                    await self._lane.pause(every_s, limit=limit, waiting_for=expected)
        except TimeUp:
            late = f"{state.observed}, and nothing better within {within_s:g} s"
            state = State(state.outcome, late, state.figures, state.series)
        took = self._lane.now - start
        if state.outcome == "met":
            observed = f"{state.observed} ({took:.1f} s)"
            self._note(expected, observed, "passed", figures=state.figures, series=state.series)
            return state
        outcome: Outcome = "undecided" if state.outcome in ("blocked", "nothing") else "failed"
        self._note(expected, state.observed, outcome, state.observed, series=state.series)
        raise StopProbe

    async def hold(self, sample: Sample, *, expected: str, during_s: float, every_s: float = 1.0) -> State:
        """Ask again and again for a whole window in which every sample must be met; returns the last.

        Raises:
            StopProbe: a sample was not: undecided where nothing usable was seen, else failed.
        """
        start = self._lane.now
        samples = 0
        while True:
            state = await sample()
            samples += 1
            took = self._lane.now - start
            self.tell(expected, state.observed, took, during_s)
            if state.outcome != "met":
                outcome: Outcome = "undecided" if state.outcome in ("blocked", "nothing") else "failed"
                observed = f"{state.observed} after {took:.1f} s"
                self._note(expected, observed, outcome, figures=state.figures, series=state.series)
                raise StopProbe
            try:
                # the window ends between samples: a sample that is cut short is no sample
                await self._lane.pause(every_s, limit=start + during_s, waiting_for=expected)
            except TimeUp:
                break
        observed = f"{state.observed}, in each of {samples} samples over {self._lane.now - start:.0f} s"
        self._note(expected, observed, "passed", figures=state.figures, series=state.series, window_s=during_s)
        return state

    async def until_gone(self, handle: Handle, *, within_s: float) -> None:
        """Watch until this object, by its uid, is gone.

        Raises:
            StopProbe: it is still there (failed), or it is not known whether it went in time (undecided).
        """
        start = self._lane.now
        target = waits.Target(handle.kind, handle.namespace, {}, f"metadata.name={handle.name}")

        def absent(objects: Objects) -> State:
            if any(obj["metadata"]["uid"] == handle.uid for obj in objects):
                return State("waiting", f"{handle} is still there")
            return State("met", f"{handle} is gone")

        expected = f"{handle} goes away within {within_s:g} s"
        seen = await self._confirmed(target, absent, expected, within_s)
        if seen.state.outcome != "met":
            self.conclude(seen.state, expected=expected, took_s=self._lane.now - start, within_s=within_s)
        try:
            await self._api.read(handle.kind, handle.name, handle.namespace, uid=handle.uid)
        except RefusedError as refused:
            # an empty list alone proves nothing: the API must also say that it knows no such object
            if refused.status == 404 and refused.reason == "NotFound" and handle.name in refused.message:
                self._note(expected, f"{handle} is gone ({self._lane.now - start:.1f} s)", "passed")
                return
            raise
        raise UndecidableError(f"{handle} is absent from the list, but can still be read")

    async def _confirmed(
        self, target: waits.Target | Handle | Handles, condition: waits.Condition, expected: str, limit_s: float
    ) -> waits.WaitEnd:
        limit = self._lane.now + limit_s
        wanted, checked = self._selected(target, condition)
        end = await self._watch(wanted, checked, expected, limit_s)
        return await waits.confirmed(self._api, wanted, checked, end, limit=limit)

    async def _watch(
        self, target: waits.Target | Handle | Handles, condition: waits.Condition, expected: str, limit_s: float
    ) -> waits.WaitEnd:
        wanted, checked = self._selected(target, condition)
        start = self._lane.now

        def tell(observed: str) -> None:
            self.tell(expected, observed, self._lane.now - start, limit_s)

        return await waits.watch(self._api, wanted, checked, limit=start + limit_s, waiting_for=expected, tell=tell)

    def _selected(
        self, target: waits.Target | Handle | Handles, condition: waits.Condition
    ) -> tuple[waits.Target, waits.Condition]:
        """What to ask for, and the condition on exactly the objects that are meant."""
        wanted = [target] if isinstance(target, Handle) else target
        if isinstance(wanted, list):
            return self._target(wanted), _only(wanted, condition)
        return wanted, condition

    def _target(self, handles: Handles) -> waits.Target:
        first = handles[0]
        if len(handles) == 1:
            return waits.Target(first.kind, first.namespace, {RUN_LABEL: self._lane.run}, f"metadata.name={first.name}")
        return waits.Target(first.kind, first.namespace, self._mine)

    @property
    def _mine(self) -> dict[str, str]:
        return {RUN_LABEL: self._lane.run, CHECK_LABEL: self._place.requirement}

    # -- stating ------------------------------------------------------------------------------------------------

    def expect(
        self,
        expected: str,
        observed: str,
        *,
        ok: bool,
        cause: str = "",
        figures: Mapping[str, str] | None = None,
        series: Sequence[Series] = (),
    ) -> None:
        """State a comparison of what the last exchanges showed; ``series`` are drawn on the page.

        Raises:
            StopProbe: ``ok`` is False; the probe has failed.
        """
        outcome: Outcome = "passed" if ok else "failed"
        self._note(expected, observed, outcome, cause, tuple((figures or {}).items()), series=tuple(series))
        if not ok:
            raise StopProbe

    def undecided(self, expected: str, observed: str, cause: str) -> StopProbe:
        """State that something could not be decided; the caller raises what this returns."""
        self._note(expected, observed, "undecided", cause)
        return StopProbe()

    def _note(
        self,
        expected: str,
        observed: str,
        outcome: Outcome,
        cause: str = "",
        figures: tuple[tuple[str, str], ...] = (),
        *,
        series: tuple[Series, ...] = (),
        window_s: float = 0.0,
    ) -> None:
        asked = self._api.asked
        # an observation rests on what was asked since the one before it, or on the same where nothing was
        rests = asked[self._rested :] or asked[-1:]
        self._rested = len(asked)
        references = tuple(RestsOn(lane=self._lane.name, n=n) for n in rests)
        seen = Observation(expected, observed, outcome, cause, references, figures, series, window_s)
        self.observations.append(seen)
        self._lane.write(observation_data(seen))


def _only(handles: Handles, condition: waits.Condition) -> waits.Condition:
    """The condition on exactly these objects; where one of them is missing there is nothing to judge."""
    uids = {handle.uid for handle in handles}

    def checked(objects: Objects) -> State:
        mine = [obj for obj in objects if obj["metadata"]["uid"] in uids]
        if len(mine) != len(uids):
            return State("nothing", f"{len(mine)} of {len(uids)} objects are there")
        return condition(mine)

    return checked


def observation_data(seen: Observation) -> ObservationData:
    """The stored form of an observation."""
    return ObservationData(
        expected=seen.expected,
        observed=seen.observed,
        outcome=seen.outcome,
        cause=seen.cause,
        rests_on=list(seen.rests_on),
        figures=dict(seen.figures),
        series=[SeriesData(name=one.name, unit=one.unit, points=list(one.points)) for one in seen.series],
        window_s=seen.window_s,
    )
