"""Who had a place in a room, and when: counted while the room is watched, for a plot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiconform.checks._kit.gang_room import FILLER, PLAIN, group_of, has_place
from aiconform.engine import Condition, Context, Series, State

Obj = dict[str, Any]

_WORDS = {FILLER: "pods that keep the room scarce", PLAIN: "plain pods"}


@dataclass
class Tally:
    """Numbers of pods with a place, by whose they are."""

    points: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def of(self, ctx: Context, condition: Condition, names: Mapping[str, str]) -> Condition:
        """The condition, counting what it is shown; ``names`` are label values of groups, with their systems."""
        words = {**_WORDS, **names}
        for name in words.values():
            self.points.setdefault(name, [])

        def counted(objects: list[Obj]) -> State:
            placed = [words.get(group_of(found), "") for found in objects if has_place(found)]
            for name, line in self.points.items():
                _extend(line, ctx.now, placed.count(name))
            return condition(objects)

        return counted

    def series(self) -> tuple[Series, ...]:
        """The lines of the plot."""
        return tuple(Series(name, "pods", tuple(line)) for name, line in self.points.items() if line)


def _extend(line: list[tuple[float, float]], now: float, number: int) -> None:
    """Go on with a line: one step where the number changes, one stretch while it does not."""
    if len(line) > 1 and line[-2][1] == line[-1][1]:
        line.pop()
    if line:
        line.append((now, line[-1][1]))
    if not line or line[-1][1] != number:
        line.append((now, float(number)))
