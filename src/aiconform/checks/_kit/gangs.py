"""What a check on gang scheduling does, with all systems found at the same time, in one room."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Any

from aiconform.checks._kit import gang, gang_coscheduling, gang_kai, gang_kueue, gang_room, gang_volcano, pods
from aiconform.checks._kit.gang import Aside, GangSystem, Group
from aiconform.checks._kit.gang_room import Room
from aiconform.checks._kit.gang_tally import Tally
from aiconform.engine import Choice, Condition, Context, Facts, Handle, RefusedError, StopProbe, Unmet

Obj = dict[str, Any]

WINDOW_S = 30
_BY_WEBHOOK = ("admission webhook", "failed calling webhook")
_MOST_MEMBERS = 4


@dataclass(frozen=True)
class Arena:
    """The systems and the room they share.

    Attributes:
        free: how many of the room's slots are free.
        members: how big groups are: those of all systems together fit into the room.
        tally: who had a place in the room, and when.
    """

    systems: tuple[GangSystem, ...]
    room: Room
    free: int
    members: int
    tally: Tally = field(default_factory=Tally)


KNOWN: Mapping[str, tuple[Callable[[Facts], bool], Callable[[], GangSystem]]] = {
    "volcano": (gang_volcano.served, gang_volcano.Volcano),
    "kueue": (gang_kueue.served, gang_kueue.Kueue),
    "kai": (gang_kai.served, gang_kai.Kai),
    "coscheduling": (gang_coscheduling.served, gang_coscheduling.Coscheduling),
}
"""Systems by the names that options give them: whether their kinds are served, and what makes one."""


def found(facts: Facts) -> tuple[GangSystem, ...]:
    """The systems whose kinds are served; the one that was asked for, where one was."""
    asked = facts.option("gang-scheduler")
    return tuple(make() for name, (served, make) in KNOWN.items() if asked in ("", name) and served(facts))


RIGHTS = Choice(
    tuple(line for _, make in KNOWN.values() for line in make().rights),
    lambda facts: [line for system in found(facts) for line in system.rights],
)
"""What a check must be allowed to try those that are found."""


def need(facts: Facts) -> Unmet | None:
    """Some system is found."""
    if found(facts):
        return None
    asked = facts.option("gang-scheduler")
    wanted = [make() for name, (_, make) in KNOWN.items() if asked in ("", name)]
    return Unmet("not run", f"no gang scheduling system that is asked for ({_listed(wanted)}) serves its kinds")


def holds(facts: Facts) -> frozenset[str]:
    """The accelerators that the groups compete for."""
    node = gang_room.accelerators(facts, len(found(facts)))
    return frozenset({node.lock} if node else ())


async def opened(ctx: Context) -> Arena:
    """Find the systems ready, and how much room there is."""
    systems = found(ctx.facts)
    room = await gang_room.choose(ctx, len(systems))
    ready = await _running(ctx, room, systems)
    handles = await gang_room.fill(ctx, room, room.slots)
    expected = f"the scheduler has spoken on {len(handles)} plain pods, which show how much room there is"
    placed, _ = await gang_room.settled(ctx, handles, expected=expected)
    if placed:  # so that the image is on the node: members that wait for it would not run at the same time
        await ctx.until(placed, pods.running, expected="those with a place run", within_s=180)
    await gang_room.leave(ctx, room, handles)
    words = _listed(ready)
    expected = f"room for a group of two of each system: {words}"
    observed = f"{len(placed)} of {room.slots} slots are free: {room.words}"
    if len(placed) < 2 * len(ready):
        raise ctx.undecided(expected, observed, "too little room on the node")
    ctx.expect(expected, observed, ok=True, figures={"on": room.words})
    return Arena(ready, room, len(placed), min(_MOST_MEMBERS, len(placed) // len(ready)))


async def _running(ctx: Context, room: Room, systems: Sequence[GangSystem]) -> tuple[GangSystem, ...]:
    """Those of the systems that run, ready for groups; the others are told, and do not count.

    Raises:
        StopProbe: none runs.
    """
    looked = [await system.ready(ctx, room) for system in systems]
    aside = [one for one in looked if isinstance(one, Aside)]
    ready = tuple(one for one in looked if not isinstance(one, Aside))
    _enough(ctx, f"a gang scheduling system runs, of those whose kinds are served: {_listed(systems)}", ready, aside)
    return ready


def _enough(
    ctx: Context,
    expected: str,
    left: Sequence[GangSystem],
    aside: Sequence[Aside],
    figures: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """State which systems are left to be tried, and which are set aside and why.

    Raises:
        StopProbe: none is left: undecided if none could be looked at, else failed.
    """
    observed = "; ".join(filter(None, [_listed(left), *(f"set aside: {one}" for one in aside)]))
    if not left and all(one.outcome == "undecided" for one in aside):
        raise ctx.undecided(expected, observed, f"none could be looked at: {'; '.join(map(str, aside))}")
    cause = "" if left else f"no system can start groups: {'; '.join(map(str, aside))}"
    ctx.expect(expected, observed, ok=bool(left), cause=cause, figures=dict(figures))


def _listed(systems: Sequence[GangSystem]) -> str:
    return ", ".join(system.words for system in systems)


async def first_groups(ctx: Context, arena: Arena) -> tuple[Arena, list[Group]]:
    """Hand each system a group that fits; returns those that admitted theirs, and the groups.

    A system that takes no group, or leaves it waiting, is set aside with the reason as long as another admits its own.
    One that starts a group in part is not: it does harm that a system beside it does not undo.
    """
    handed, aside = await _handed(ctx, arena)
    pairs: list[tuple[GangSystem, Group]] = []
    for system, group in handed:
        left = await system.admitted(ctx, group)
        if left is None:
            pairs.append((system, group))
            continue
        if left.outcome == "failed":
            await _none_placed(ctx, arena, group, left)
        aside.append(left)
        await removed(ctx, [group])
    left_over = tuple(system for system, _ in pairs)
    expected = f"a group that fits is admitted by a system that runs: {_listed(arena.systems)}"
    _enough(ctx, expected, left_over, aside, figures={"tried": _listed(left_over)})
    return replace(arena, systems=left_over), [group for _, group in pairs]


async def _none_placed(ctx: Context, arena: Arena, group: Group, left: Aside) -> None:
    """A group that its system did not admit has no member with a place."""
    where = gang_room.pods_in(ctx, arena.room)
    found = await ctx.list(where.kind, where.namespace, labels=where.labels)
    placed = sum(gang_room.has_place(pod) for pod in found if gang_room.group_of(pod) == group.name)
    if placed:
        observed = f"{placed} of {group.members} were given a node; {left.reason}"
        ctx.expect(f"{left.words} admits a group as one or starts none of it", observed, ok=False)


async def _handed(ctx: Context, arena: Arena) -> tuple[list[tuple[GangSystem, Group]], list[Aside]]:
    """Each system with its group, and those whose group a webhook did not let in.

    Raises:
        RefusedError: no group was let in, or one was refused for another reason.
    """
    handed: list[tuple[GangSystem, Group]] = []
    aside: list[Aside] = []
    for system in arena.systems:
        try:
            handed.append((system, await system.group(ctx, arena.room, arena.members)))
        except RefusedError as refusal:
            last = len(aside) == len(arena.systems) - 1
            if last or not any(words in refusal.message for words in _BY_WEBHOOK):
                raise
            aside.append(Aside(system.words, f"its group was not let in: {refusal.cause}"))
    return handed, aside


async def hand_over(ctx: Context, arena: Arena) -> list[Group]:
    """Hand each system a group."""
    return [await system.group(ctx, arena.room, arena.members) for system in arena.systems]


async def admitted(ctx: Context, arena: Arena, groups: Sequence[Group]) -> None:
    """Watch each system admit its group."""
    for system, group in zip(arena.systems, groups, strict=True):
        aside = await system.admitted(ctx, group)
        if aside:
            ctx.expect(f"{system.words} admits the group of {group.members} as one", aside.reason, ok=False)


async def run_together(ctx: Context, arena: Arena, groups: Sequence[Group]) -> None:
    """Watch all members of each group that was admitted run at the same time, and the job complete."""
    pairs = list(zip(arena.systems, groups, strict=True))
    for system, group in pairs:
        expected = f"{system.words}: all {group.members} members run at the same time"
        await _until(ctx, arena, gang.together(group), _named(arena, groups), expected=expected, within_s=90)
    for system, group in pairs:
        await system.completed(ctx, group)


async def made_scarce(ctx: Context, arena: Arena) -> tuple[Arena, list[Handle]]:
    """Fill the room but for one slot less than a group needs; returns the arena as it is by now, and the fillers."""
    room, left = arena.room, arena.members - 1
    whole = await gang_room.fill(ctx, room, room.slots if room.grain else arena.free - left)
    expected = f"{arena.free if room.grain else len(whole)} of {arena.free} free slots are taken: {room.words}"
    placed, refused = await gang_room.settled(ctx, whole, expected=expected)
    if len(placed) < (arena.members * len(arena.systems) if room.grain else len(whole)):
        raise ctx.undecided(expected, f"{len(placed)} pods found a place", "somebody else takes room on the node")
    if not room.grain:
        return arena, placed
    parts, unplaced = await gang_room.settled(
        ctx, await gang_room.take_rest(ctx, room), expected="what is left beside whole slots is taken too"
    )
    await gang_room.leave(ctx, room, [*refused, *unplaced, *placed[:left]])
    return replace(arena, free=len(placed)), placed[left:] + parts


async def plain_in_part(ctx: Context, arena: Arena) -> None:
    """As many plain pods as a group has members: all but one run. Then they go."""
    handles = await gang_room.fill(ctx, arena.room, arena.members, gang_room.PLAIN)
    expected = f"{arena.members - 1} of {arena.members} plain pods run, one does not fit"
    await _until(ctx, arena, gang.in_part(arena.members), {}, expected=expected, within_s=60)
    await ctx.show(handles)
    await gang_room.leave(ctx, arena.room, handles)


async def refused(ctx: Context, arena: Arena, groups: Sequence[Group], *, expected: str) -> None:
    """Each system says of its group that it does not start."""
    for system, group in zip(arena.systems, groups, strict=True):
        sample = partial(system.refusal, ctx, group)
        await ctx.poll(sample, expected=f"{system.words} {expected}", within_s=30)


async def none_starts(ctx: Context, arena: Arena, groups: Sequence[Group], fillers: Sequence[Handle]) -> None:
    """For the whole window no member of any group is given a node, while the room stays as it is."""
    names = _named(arena, groups)
    starts = gang.Starts(names, arena.members, len(fillers))
    expected = f"no member is given a node for {WINDOW_S} s, though {arena.members - 1} of {arena.members} would fit"
    counted = arena.tally.of(ctx, starts, names)
    try:
        await ctx.never(gang_room.pods_in(ctx, arena.room), counted, expected=expected, during_s=WINDOW_S)
    except StopProbe:
        for words, observed in starts.in_part().items():
            ctx.expect(f"{words} starts the group as one or not at all", observed, ok=False)
        raise


async def still_fit(ctx: Context, arena: Arena) -> None:
    """While the groups wait, as many plain pods as would fit find a place and run: the room was there all the time.

    A pod of somebody else in it would keep any scheduler from starting a group in part.
    """
    number = arena.members - 1
    handles = await gang_room.fill(ctx, arena.room, number, gang_room.PLAIN)
    expected = f"{number} of {arena.members} would have fitted: so many plain pods run beside the groups that wait"
    await _until(ctx, arena, gang.still_fit(number), {}, expected=expected, within_s=60)
    await gang_room.leave(ctx, arena.room, handles)


async def removed(ctx: Context, groups: Sequence[Group]) -> None:
    """Delete the jobs, and wait until they are gone."""
    handles = [handle for group in groups for handle in (*group.parts, group.handle)]
    for handle in handles:
        await ctx.delete(handle)
    for handle in handles:
        await ctx.until_gone(handle, within_s=60)


async def full_again(ctx: Context, arena: Arena) -> None:
    """As many plain pods run as found a place at first."""
    handles = await gang_room.fill(ctx, arena.room, arena.free)
    expected = f"{len(handles)} plain pods run, as many as at first"
    await _until(ctx, arena, gang.filled(len(handles)), {}, expected=expected, within_s=60)
    ctx.expect(
        "who had a place in the room, and when",
        "pods that were given a node and had not ended, as far as they were watched",
        ok=True,
        series=arena.tally.series(),
    )


async def _until(
    ctx: Context, arena: Arena, condition: Condition, names: Mapping[str, str], *, expected: str, within_s: float
) -> None:
    counted = arena.tally.of(ctx, condition, names)
    await ctx.until(gang_room.pods_in(ctx, arena.room), counted, expected=expected, within_s=within_s)


def _named(arena: Arena, groups: Sequence[Group]) -> dict[str, str]:
    return {group.name: system.words for system, group in zip(arena.systems, groups, strict=True)}
