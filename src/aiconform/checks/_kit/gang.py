"""Gang scheduling systems: what each must be able to tell, and what their groups' pods show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Literal, Protocol

from aiconform.checks._kit import pods
from aiconform.checks._kit.gang_room import FILLER, PLAIN, Room, filler, group_of, has_place, leave
from aiconform.engine import Condition, Context, Handle, State, Target, kinds

Obj = dict[str, Any]

HOLD_S = 10
"""How long a member runs: long enough for all to be there, whatever the node needs to start them."""

ADMIT_S = 90
"""How long a system may take to let a group start for which there is room."""

ALIVE_S = 30
"""How long a controller may take to look at an object for the first time."""

TAKEN = "somebody else takes or leaves room on the node"


@dataclass(frozen=True)
class Group:
    """A group that was handed to a system.

    Attributes:
        handle: the job.
        name: label value of its pods.
        members: how many; all or none of them are to run.
        parts: what has to be removed beside the job: pods that do not belong to it.
    """

    handle: Handle
    name: str
    members: int
    parts: tuple[Handle, ...] = ()


@dataclass(frozen=True)
class Aside:
    """A system that is found and not tried: it does not run, or starts no group, neither whole nor in part.

    Attributes:
        words: name and version.
        reason: how that was known.
        outcome: what it comes to if no other system is left: ``undecided`` where we could not look.
    """

    words: str
    reason: str
    outcome: Literal["failed", "undecided"] = "failed"

    def __str__(self) -> str:
        """In words."""
        return f"{self.words}: {self.reason}"


class GangSystem(Protocol):
    """A system that starts groups of pods as one. Found by the API groups it serves; made anew for each run."""

    rights: ClassVar[tuple[str, ...]]
    """What a check that tries it must be allowed, beside pods (:mod:`aiconform.engine.rights`)."""

    @property
    def words(self) -> str:
        """Name and version, for the page."""

    async def ready(self, ctx: Context, room: Room) -> GangSystem | Aside:
        """Find out whether its controllers run; returns it ready for groups in this room, or why it is not tried."""

    async def group(self, ctx: Context, room: Room, members: int) -> Group:
        """Hand it a group."""

    async def admitted(self, ctx: Context, group: Group) -> Aside | None:
        """Watch it let the group as a whole start; why it is not tried if it leaves the group waiting."""

    async def refusal(self, ctx: Context, group: Group) -> State:
        """Met if it says of this group as a whole, by its own object, that it does not start for want of room."""

    async def completed(self, ctx: Context, group: Group) -> None:
        """Watch the job end well."""


@dataclass(frozen=True)
class Deployed:
    """What a system's Deployments show.

    Attributes:
        words: its name, with its version as their images give it.
        told: each with its ready pods, in words; empty if there is none with its labels.
        absent: those without a ready pod.
    """

    words: str
    told: str = ""
    absent: tuple[str, ...] = ()

    @property
    def aside(self) -> Aside | None:
        """Why the system is not tried; None if it runs, or was installed in another way and must show it itself."""
        return Aside(self.words, f"not ready: {', '.join(self.absent)}") if self.absent else None

    def silent(self, reason: str) -> Aside:
        """Why it is not tried, which gave no sign of itself; undecided where nothing shows that it is meant to run."""
        if self.told:
            return Aside(self.words, f"{reason}, though it is there ({self.told})")
        # kinds outlive what served them, and stand beside a system that we do not know
        return Aside(self.words, f"nothing but its kinds was found: {reason}", "undecided")


async def deployed(ctx: Context, title: str, selector: str) -> Deployed:
    """The Deployments of a system, by the labels of its charts and manifests."""
    found = await ctx.list(kinds.DEPLOYMENT, selector=selector)
    ready = {_key(item): int(item.get("status", {}).get("readyReplicas") or 0) for item in found}
    tags = {_tag(item) for item in found}
    version = tags.pop() if len(tags) == 1 else ""
    told = ", ".join(f"{name}: {number} ready" for name, number in ready.items())
    absent = tuple(name for name, number in ready.items() if not number)
    return Deployed(f"{title} {version}".strip(), told, absent)


async def takes_pods(
    ctx: Context, room: Room, system: Deployed, scheduler: str, labels: Mapping[str, str] | None = None
) -> Aside | None:
    """Whether a system's scheduler speaks on a pod that names it: how one shows itself that has no Deployment known."""
    manifest = filler(ctx, room)
    manifest["spec"]["schedulerName"] = scheduler
    manifest["metadata"]["labels"].update(labels or {})
    pod = await ctx.create(manifest)

    def spoken(objects: list[Obj]) -> State:
        said = [one for one in objects[0].get("status", {}).get("conditions") or [] if one["type"] == "PodScheduled"]
        there = bool(said) or bool(objects[0]["spec"].get("nodeName"))
        return State("met" if there else "waiting", "it has spoken" if there else "no word of it")

    expected = f"a scheduler named {scheduler} speaks on a pod"
    state, _ = await ctx.seen(pod, spoken, expected=expected, within_s=ALIVE_S)
    await leave(ctx, room, [pod])
    if state.outcome == "met":
        return None
    return not_known(system.words, state) or system.silent(f"no scheduler {scheduler} took a pod up in {ALIVE_S} s")


def not_known(words: str, state: State) -> Aside | None:
    """A system of which a wait did not tell whether it runs; None where it told."""
    return Aside(words, state.observed, "undecided") if state.outcome in ("blocked", "nothing") else None


async def admits(
    ctx: Context, words: str, group: Group, where: Target, condition: Condition
) -> tuple[Aside | None, list[Obj]]:
    """Watch an object that tells of a group until the system has let the group start.

    Returns:
        Why the system is set aside, if it did not say in time that it lets the group start; the objects as seen last.

    Raises:
        StopProbe: it said something that is wrong, or nothing usable was seen.
    """
    expected, begun = f"{words} admits the group of {group.members} as one", ctx.now
    state, objects = await ctx.seen(where, condition, expected=expected, within_s=ADMIT_S)
    if state.outcome == "waiting":
        return Aside(words, f"left a group that fits waiting for {ADMIT_S} s: {state.observed}"), objects
    ctx.conclude(state, expected=expected, took_s=ctx.now - begun, within_s=ADMIT_S)
    return None, objects


async def job_completed(ctx: Context, words: str, group: Group) -> None:
    """Watch the Job of a group become Complete."""

    def done(objects: list[Obj]) -> State:
        if condition_of(objects[0], "Failed").get("status") == "True":
            return State("wrong", f"Job failed: {condition_of(objects[0], 'Failed').get('message')}")
        complete = condition_of(objects[0], "Complete").get("status") == "True"
        number = objects[0].get("status", {}).get("succeeded") or 0
        return State("met" if complete else "waiting", f"{number} of {group.members} members succeeded")

    await ctx.until(group.handle, done, expected=f"{words}: the job completes", within_s=90)


def _key(item: Obj) -> str:
    return f"{item['metadata'].get('namespace')}/{item['metadata']['name']}"


def _tag(item: Obj) -> str:
    image = str(item["spec"]["template"]["spec"]["containers"][0].get("image", "")).partition("@")[0]
    return image.rpartition("/")[2].partition(":")[2]


def together(group: Group) -> Condition:
    """A condition on all pods in the room: those of the group run at the same time, or did."""

    def condition(seen: list[Obj]) -> State:
        objects = _of(seen, group.name)
        if len(objects) != group.members:
            text = f"{len(objects)} of {group.members} pods were made"
            return State("wrong", text) if len(objects) > group.members else State("waiting", text)
        state = pods.running(objects)
        if any(map(pods.taken, objects)):
            return state
        if state.outcome == "blocked" and any(found["spec"].get("nodeName") for found in objects):
            return State("waiting", f"started in part: {state.observed}")
        return _at_once(objects, state.observed) if state.outcome == "met" else state

    return condition


def _at_once(objects: list[Obj], observed: str) -> State:
    starts, ends = [], []
    for found in objects:
        for container in found["status"].get("containerStatuses") or []:
            now = container.get("state") or {}
            spell = now.get("terminated") or now.get("running") or {}
            starts.append(str(spell.get("startedAt", "")))
            ends += [str(spell["finishedAt"])] if "finishedAt" in spell else []
    if not all(starts) or len(starts) != len(objects):
        return State("waiting", "a pod does not say since when it runs")
    if ends and max(starts) >= min(ends):
        return State("wrong", f"not at the same time: one ended at {min(ends)}, another began at {max(starts)}")
    by = ", ".join(sorted({str(found["spec"].get("schedulerName")) for found in objects}))
    figures = (("scheduler of the pods", by), ("started within", f"{_spread(starts):g} s"))
    return State("met", observed, figures)


def _spread(moments: Sequence[str]) -> float:
    at = [datetime.fromisoformat(moment) for moment in moments]
    return (max(at) - min(at)).total_seconds()


class Starts:
    """Whether groups that must wait start, for :meth:`Context.never`; remembers what it was shown.

    A group that starts as a whole found room that somebody else left, which says nothing about the system.

    Args:
        groups: label values of the groups' pods, each with its system's name for the page.
        members: how many each has.
        fillers: how many pods keep the room scarce; without them all there is nothing to see.
    """

    def __init__(self, groups: Mapping[str, str], members: int, fillers: int) -> None:
        self._groups = groups
        self._members = members
        self._fillers = fillers
        self._started: dict[str, set[str]] = {name: set() for name in groups}
        self._placed = dict.fromkeys(groups, 0)
        self._whole: set[str] = set()

    def __call__(self, objects: list[Obj]) -> State:
        """The condition on all pods in the room."""
        for name, started in self._started.items():
            mine = _of(objects, name)
            started |= {str(found["metadata"]["uid"]) for found in mine if pods.started([found]).outcome == "met"}
            running = sum(found.get("status", {}).get("phase") == "Running" for found in mine)
            if running == self._members:
                self._whole.add(name)
            self._placed[name] = sum(map(has_place, mine))
        held = sum(found.get("status", {}).get("phase") == "Running" for found in _of(objects, FILLER))
        text = "; ".join(self._said(name, objects) for name in self._groups)
        if held != self._fillers:
            return State("blocked", f"{held} of {self._fillers} pods that keep the room scarce run; {text}")
        return State("blocked" if any(self._started.values()) else "waiting", text)

    def in_part(self) -> dict[str, str]:
        """The systems that started their group in part, and how much of it."""
        return {
            self._groups[name]: f"{len(started)} pods were given a node, never all {self._members} members at a time"
            for name, started in self._started.items()
            if started and not self._is_whole(name)
        }

    def _is_whole(self, name: str) -> bool:
        """Whether all members ran at the same time, or are about to."""
        return name in self._whole or self._placed[name] == self._members

    def _said(self, name: str, objects: list[Obj]) -> str:
        words, number = self._groups[name], len(_of(objects, name))
        if self._is_whole(name):
            return f"{words}: started as a whole, in room that somebody else left"
        if self._started[name]:
            return f"{words}: {len(self._started[name])} pods were given a node"
        return f"{words}: {number} pods pending, none bound" if number else f"{words}: no pod made"


def in_part(members: int) -> Condition:
    """A condition on all pods in the room: of so many plain ones one is refused a place, and the others run."""

    def condition(seen: list[Obj]) -> State:
        objects = _of(seen, PLAIN)
        bound = [found for found in objects if found["spec"].get("nodeName")]
        refused = [message for found in objects if (message := pods.unschedulable_message(found))]
        text = f"{len(bound)} of {len(objects)} plain pods were given a node"
        if len(objects) != members or len(bound) + len(refused) < members:
            return State("waiting", text)
        if len(bound) != members - 1:
            return State("blocked", f"{text}: {TAKEN}")
        state = pods.running(bound)
        return State("met", f"{text}; one was refused: {refused[0]}") if state.outcome == "met" else state

    return condition


def still_fit(number: int) -> Condition:
    """A condition on all pods in the room: so many plain ones find a place and run."""
    fit = filled(number, PLAIN)

    def condition(seen: list[Obj]) -> State:
        state = fit(seen)
        return State("blocked", f"{TAKEN}: {state.observed}") if state.outcome == "blocked" else state

    return condition


def filled(number: int, role: str = FILLER) -> Condition:
    """A condition on all pods in the room: so many plain ones run, of those that fill it unless others are meant."""

    def condition(seen: list[Obj]) -> State:
        objects = _of(seen, role)
        if len(objects) != number:
            return State("waiting", f"{len(objects)} of {number} plain pods are there")
        return pods.running(objects)

    return condition


def _of(objects: list[Obj], group: str) -> list[Obj]:
    return [found for found in objects if group_of(found) == group]


def condition_of(found: Obj, kind: str) -> Obj:
    """A condition in an object's status; empty if it has none of that type."""
    conditions = found.get("status", {}).get("conditions") or []
    return next((one for one in conditions if one.get("type") == kind), {})


def owned(objects: list[Obj], owner: Handle) -> Obj | None:
    """The object that belongs to a job of ours."""
    for found in objects:
        if any(one.get("uid") == owner.uid for one in found["metadata"].get("ownerReferences") or []):
            return found
    return None
