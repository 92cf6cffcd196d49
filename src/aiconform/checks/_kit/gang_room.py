"""The room that groups compete for: one node, in slots of one accelerator each, or of CPU where there are too few.

Nobody else's pods are read: how many slots are free is found by filling the node with plain pods of ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiconform.checks._kit import pods
from aiconform.checks._kit.pods import Container
from aiconform.checks._kit.script import HOLD_S, Script
from aiconform.engine import AcceleratorNode, Context, Facts, Handle, State, Target, kinds

Obj = dict[str, Any]

GROUP_LABEL = "aiconform.dev/gang"
ROOM_LABEL = "aiconform.dev/gang-room"
FILLER = "filler"
PLAIN = "plain"

_MOST_SLOTS = 16
_CPU_SLOTS = 8
_GRAINS = 3
"""Quarter slots that take up what is left of the CPU, so that a small pod elsewhere that ends makes no slot."""


@dataclass(frozen=True)
class Room:
    """Where the groups go.

    Attributes:
        name: label value of every pod in it.
        node: value of the node's hostname label.
        resource: what is scarce: an accelerator's resource, or ``cpu``.
        slots: how many slots the node may have.
        slot_milli: CPU of a slot, in thousandths; 0 where a slot is an accelerator.
        words: for the page.
    """

    name: str
    node: str
    resource: str
    slots: int
    slot_milli: int
    words: str

    @property
    def slot(self) -> str:
        """How much of the resource a pod asks for."""
        return f"{self.slot_milli}m" if self.slot_milli else "1"

    @property
    def grain(self) -> str:
        """A part of a slot; empty where a slot has no parts."""
        return f"{self.slot_milli // 4}m" if self.slot_milli else ""


def accelerators(facts: Facts, systems: int) -> AcceleratorNode | None:
    """The node whose accelerators are enough for a group of two for each system: exclusive ones, and few, first."""
    enough = [found for found in facts.accelerators if 2 * systems <= found.allocatable <= _MOST_SLOTS]
    return min(enough, key=lambda found: (found.shared, found.allocatable, found.node), default=None)


async def choose(ctx: Context, systems: int) -> Room:
    """The room for groups of this many systems at the same time."""
    found, name = accelerators(ctx.facts, systems), ctx.name("room")
    if found is not None:
        shares = " shares" if found.shared else ""
        words = f"{found.allocatable} {found.resource}{shares} on {found.node}"
        return Room(name, found.label["kubernetes.io/hostname"], found.resource, found.allocatable, 0, words)
    nodes = sorted((_milli(node), _name(node)) for node in await ctx.list(kinds.NODE) if _usable(node))
    if not nodes:
        raise ctx.undecided("a node to place groups on", "none", "no node is ready and free of taints")
    milli, node = nodes[-1]
    few = f"no node has {2 * systems} accelerators" if ctx.facts.accelerators else "no node has accelerators"
    words = f"CPU on {node} in slots of {milli // _CPU_SLOTS}m, because {few}"
    return Room(name, node, "cpu", _CPU_SLOTS, milli // _CPU_SLOTS, words)


def template(ctx: Context, room: Room, group: str, seconds: int) -> Obj:
    """The pod template of a group's members: each takes a slot for so many seconds."""
    made = _pod(ctx, room, group, room.slot, Script(f"exec sleep {seconds}", ""))
    return {"metadata": {"labels": made["metadata"]["labels"]}, "spec": made["spec"]}


def member(ctx: Context, room: Room, group: str, seconds: int) -> Obj:
    """The manifest of a group's member that is a pod by itself."""
    return _pod(ctx, room, group, room.slot, Script(f"exec sleep {seconds}", ""))


async def fill(ctx: Context, room: Room, number: int, role: str = FILLER) -> list[Handle]:
    """Create plain pods of the default scheduler that take a slot each and keep it."""
    hold = Script(f"exec sleep {HOLD_S}", "")
    return [await ctx.create(_pod(ctx, room, role, room.slot, hold)) for _ in range(number)]


def filler(ctx: Context, room: Room) -> Obj:
    """The manifest of one of these pods."""
    return _pod(ctx, room, FILLER, room.slot, Script(f"exec sleep {HOLD_S}", ""))


async def take_rest(ctx: Context, room: Room) -> list[Handle]:
    """Take what is left beside whole slots; nothing where there are no parts of slots."""
    hold = Script(f"exec sleep {HOLD_S}", "")
    number = _GRAINS if room.grain else 0
    return [await ctx.create(_pod(ctx, room, FILLER, room.grain, hold)) for _ in range(number)]


def pods_in(ctx: Context, room: Room) -> Target:
    """All pods of ours in the room, of all groups, with those that keep it scarce."""
    return Target(kinds.POD, ctx.namespace, {ROOM_LABEL: room.name})


async def settled(ctx: Context, handles: list[Handle], *, expected: str) -> tuple[list[Handle], list[Handle]]:
    """Wait until each pod has a place or was refused one; returns those that have, and those that have not."""
    seen = await ctx.until(handles, _decided, expected=expected, within_s=60)
    bound = {found["metadata"]["uid"] for found in seen if found["spec"].get("nodeName")}
    return [one for one in handles if one.uid in bound], [one for one in handles if one.uid not in bound]


async def leave(ctx: Context, room: Room, handles: list[Handle]) -> None:
    """Delete pods and wait until they are gone, and with them what they held."""
    uids = {handle.uid for handle in handles}

    def gone(objects: list[Obj]) -> State:
        still = sum(found["metadata"]["uid"] in uids for found in objects)
        return State("waiting" if still else "met", f"{len(uids) - still} of {len(uids)} are gone")

    for handle in handles:
        await ctx.delete(handle)
    await ctx.until(pods_in(ctx, room), gone, expected=f"{len(handles)} plain pods leave the room", within_s=60)


def _pod(ctx: Context, room: Room, group: str, amount: str, script: Script) -> Obj:
    made = pods.pod(ctx, group, Container("member", script, limits={room.resource: amount}), node=room.node)
    made["metadata"]["labels"] = {ROOM_LABEL: room.name, GROUP_LABEL: group}
    return made


def has_place(found: Obj) -> bool:
    """Whether a pod was given a node and has not ended."""
    ended = found.get("status", {}).get("phase") in ("Succeeded", "Failed")
    return bool(found["spec"].get("nodeName")) and not ended


def group_of(found: Obj) -> str:
    """Whose a pod in the room is."""
    return str((found["metadata"].get("labels") or {}).get(GROUP_LABEL, ""))


def _decided(objects: list[Obj]) -> State:
    bound = [found for found in objects if found["spec"].get("nodeName")]
    refused = {pods.unschedulable_message(found) for found in objects if not found["spec"].get("nodeName")}
    text = f"{len(bound)} of {len(objects)} have a place"
    if "" in refused:
        return State("waiting", f"{text}, the scheduler has not spoken on all")
    return State("met", text + "".join(f"; refused: {message}" for message in sorted(refused)))


def _usable(node: Obj) -> bool:
    spec, status = node.get("spec", {}), node.get("status", {})
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions") or [])
    barred = any(taint.get("effect") != "PreferNoSchedule" for taint in spec.get("taints") or [])
    return ready and not spec.get("unschedulable") and not barred and bool(_name(node))


def _name(node: Obj) -> str:
    return str((node["metadata"].get("labels") or {}).get("kubernetes.io/hostname", ""))


def _milli(node: Obj) -> int:
    amount = str((node["status"].get("allocatable") or {}).get("cpu", "0"))
    return int(amount[:-1]) if amount.endswith("m") else int(amount) * 1000
