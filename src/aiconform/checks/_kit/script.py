"""Scripts that run in probe pods, and the reports they print.

A report is lines ``key=value`` between other output, closed by a last line that names the pod's own nonce. Without
that line a report is not whole, and nothing may be concluded from what is missing in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aiconform.engine import Context, Handle

HOLD_S = 840


@dataclass(frozen=True)
class Script:
    """A shell script and the last line of its report."""

    text: str
    end: str


@dataclass(frozen=True)
class Report:
    """What a script printed: values by key, in the order printed."""

    values: Mapping[str, tuple[str, ...]]
    text: str

    def one(self, key: str) -> str:
        """The single value of a key; empty if there is none or several."""
        found = self.values.get(key, ())
        return found[0] if len(found) == 1 else ""

    def all(self, key: str) -> tuple[str, ...]:
        """All values of a key."""
        return self.values.get(key, ())

    def says(self, key: str) -> bool:
        """Whether the script printed this key at all: without it there is nothing to conclude."""
        return key in self.values


def script(ctx: Context, *commands: str) -> Script:
    """A script that runs the commands, ends its report, and then holds on to what its pod was given."""
    end = ctx.name("report-ends")
    lines = [*commands, f"echo {end}", f"exec sleep {HOLD_S}"]
    return Script("\n".join(lines), end)


async def report(ctx: Context, pod: Handle, container: str, script: Script) -> Report:
    """The whole report of a container."""
    text = await ctx.log(pod, container, end=script.end)
    return parse(text.splitlines())


def parse(lines: Iterable[str]) -> Report:
    """A report from its lines."""
    values: dict[str, list[str]] = {}
    kept = list(lines)
    for line in kept:
        key, sign, value = line.partition("=")
        if sign and key.replace("_", "").isalnum() and key == key.lower():
            values.setdefault(key, []).append(value.strip())
    return Report({key: tuple(found) for key, found in values.items()}, "\n".join(kept))
