"""The finished lines of the screen, as functions from events to rows.

A row is a lead that never wraps and a text beside it that wraps under itself.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.text import Text

from aiconform.catalog.options import OPTIONS
from aiconform.cli.text import MARKS, STYLES, duration, took, visible
from aiconform.evidence.headline import headline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiconform.engine import events
    from aiconform.evidence.documents import CheckVerdict, Plan, PlannedCheck, ProbeVerdict

_KEY: Final = 11
"""Width of the words before the values: ``cluster    ``."""
_MAX_MEASURED: Final = 45
_KEPT: Final = (
    *("--context", "--kubeconfig", "--release", "--name", "--profile", "--distribution", "--k0s"),
    *("--cluster-autoscaler", "--image", "--image-prefix", "--import"),
    *(f"--{name}" for name in OPTIONS),
)
"""Options that say what a run was against, and what it was told."""


@dataclass(frozen=True)
class Row:
    """A line of the screen; ``rest`` wraps under itself."""

    lead: Text
    rest: Text

    @property
    def plain(self) -> str:
        """The row as one line of text."""
        return (self.lead.plain + self.rest.plain).rstrip()

    def joined(self) -> Text:
        """The row as one line with its styles, for where nothing wraps."""
        line = Text.assemble(self.lead, self.rest)
        line.rstrip()
        return line


_LEFT_ALONE = 3
"""How many accelerators that were left alone a screen names."""


def row(key: str, value: str, style: str = "", *, indent: int = 0, width: int = _KEY) -> Row:
    """A word and its value."""
    return Row(Text(f"{' ' * indent}{key:<{width}}"), Text(visible(value), style=style))


def blank() -> Row:
    """An empty line."""
    return Row(Text(""), Text(""))


def header(plan: Plan, bundle: Path) -> list[Row]:
    """What will be asked."""
    counts = [f"{number} {level}" for level in ("MUST", "SHOULD") if (number := _level(plan, level))]
    title = Text(f"aiconform {plan.tool}   ", style="bold")
    return [
        Row(title, Text(f"Kubernetes AI Conformance {plan.release}: {', '.join(counts)}")),
        row("run", f"{plan.run}; bundle {bundle}"),
        *(row("note", what, "bold yellow") for what in plan.unusual),
        *_images(plan),
    ]


def _images(plan: Plan) -> list[Row]:
    """Images of which nobody can say what will run; those of a local cluster are built on the spot."""
    loose = [role for role, reference in plan.images.items() if "@sha256:" not in reference]
    if not loose or "--local" in plan.command:
        return []
    return [row("images", f"not pinned by a digest: {', '.join(loose)}; aiconform images says more", "dim")]


def cluster(event: events.ClusterFound, run: str) -> list[Row]:
    """What was found, and what the run with this id will write."""
    facts = event.facts
    nodes = f"{len(facts.nodes)} node{'s' if len(facts.nodes) != 1 else ''}"
    rows = [row("cluster", "; ".join(part for part in (f"{facts.product}, {nodes}", facts.accelerators) if part))]
    if facts.asked_for:
        rows.append(row("asks for", facts.asked_for))
    if facts.left_alone:
        more = len(facts.left_alone) - _LEFT_ALONE
        told = [*facts.left_alone[:_LEFT_ALONE], *([f"and {more} more, on the page"] if more > 0 else [])]
        rows.append(row("", f"left alone: {'; '.join(told)}"))
    rows += [row("note", what, "bold yellow") for what in facts.remarks]
    if event.simulated:
        rows.append(row("", "SIMULATED accelerators: this run cannot back a submission", "bold yellow"))
    if event.namespace:
        ends = f"kept: aiconform cleanup --run {run} removes it" if event.keep else "removed at the end"
        rows.append(row("writes", f"namespace {event.namespace}, {ends}"))
    return [*rows, blank()]


def check(verdict: CheckVerdict, plan: Plan) -> list[Row]:
    """A requirement's line, and below it every probe if it did not pass."""
    planned = next(found for found in plan.checks if found.requirement == verdict.requirement)
    lead = Text.assemble((f"{MARKS[verdict.outcome]} ", STYLES[verdict.outcome]))
    lead.append(f"{verdict.level:<7} ", style="")
    lead.append(f"{verdict.requirement:<28}", style="bold" if verdict.outcome in ("failed", "undecided") else "")
    lead.append(f"{verdict.outcome:<10} ", style=STYLES[verdict.outcome])
    if verdict.started_us is None:
        return [Row(lead, Text(visible(verdict.reason), style="dim"))]
    passed = sum(probe.outcome == "passed" for probe in verdict.probes)
    spent = (verdict.ended_us or 0) - verdict.started_us
    lead.append(f"{passed} of {len(verdict.probes)} probes  {duration(spent / 1e6):>5}  ", style="")
    if verdict.outcome == "passed":
        return [Row(lead, Text(visible(measured(verdict, planned.headline)), style="dim"))]
    rows = [Row(lead, Text(""))]
    for probe in verdict.probes:
        rows += _probe(probe, planned, again(plan, verdict.requirement))
    rows += [row("", f"clean-up left {what}", "yellow", indent=4, width=0) for what in verdict.left_behind]
    return rows


def measured(verdict: CheckVerdict, pattern: str) -> str:
    """The check's own line on what it measured, else the first values that fit beside the verdict."""
    seen = [observation.figures for probe in verdict.probes for observation in probe.observations]
    if line := headline(pattern, seen):
        return line
    lines = (", ".join(f"{name} {value}" for name, value in figures.items()) for figures in seen if figures)
    return next((line for line in lines if len(line) <= _MAX_MEASURED), "")


def again(plan: Plan, requirement: str) -> str:
    """The command that runs one requirement of a run again, on the same cluster, leaving its objects to look at."""
    kept = []
    words = iter(plan.command)
    for word in words:
        if word == "--local" or word.startswith(tuple(f"{option}=" for option in _KEPT)):
            kept.append(word)
        elif word in _KEPT:
            kept += [word, next(words, "")]
    return shlex.join(["aiconform", "run", requirement, *kept, "--keep"])


def _probe(probe: ProbeVerdict, planned: PlannedCheck, repeat: str) -> list[Row]:
    plan = next(found for found in planned.probes if found.id == probe.id)
    lead = Text.assemble((f"    {MARKS[probe.outcome]} ", STYLES[probe.outcome]))
    lead.append(f"{plan.kind:<9} ", style="")
    if probe.outcome in ("not run", "n/a"):
        return [Row(lead, Text(visible(f"{plan.title}; {probe.outcome}: {probe.reason}"), style="dim"))]
    rest = Text(visible(plan.title))
    if probe.outcome != "passed":
        rest.append(f"; {probe.outcome}", style=STYLES[probe.outcome])
    rows = [Row(lead, rest)]
    if probe.outcome in ("failed", "undecided"):
        rows += [row(key, value, indent=6, width=10) for key, value in _why(probe, repeat) if value]
    return rows


def _why(probe: ProbeVerdict, repeat: str) -> Iterator[tuple[str, str]]:
    """Expected, observed, cause, where the evidence is, and how to see it again."""
    worst = next((seen for seen in probe.observations if seen.outcome == probe.outcome), None)
    if worst is not None:
        yield "expected", worst.expected
        yield "observed", worst.observed
        cause = worst.cause or ("" if probe.reason.startswith("expected ") else probe.reason)
        yield "cause", "" if cause == worst.observed else cause
        yield "evidence", ", ".join(f"{ref.lane} #{ref.n}" for ref in worst.rests_on[-2:])
    else:
        yield "observed", "nothing that decides it"
        yield "cause", probe.reason
        yield "evidence", probe.lane
    yield "again", repeat


def summary(event: events.RunFinished, report: Path | None) -> list[Row]:
    """How it ended."""
    verdicts = event.verdicts
    style = {0: "bold green", 1: "bold red"}.get(verdicts.exit_code, "bold yellow")
    rows = [
        blank(),
        Row(Text(""), Text(f"{verdicts.conclusion} ({took(event.elapsed_s)})", style=style)),
        row("cleanup", f"{_objects(verdicts.removed)} removed, {len(verdicts.left_behind)} left"),
        *(row("", f"left: {what}", "yellow") for what in verdicts.left_behind),
        *([row("", f"aiconform cleanup --run {verdicts.run} removes what is left")] if verdicts.left_behind else []),
        row("bundle", f"{event.bundle} (sealed sha256:{event.root_sha256[:12]}…)"),
    ]
    if report is not None:
        rows.append(row("report", str(report)))
    rows.append(row("check it", f"aiconform verify {event.bundle}"))
    if verdicts.simulated:
        rows += [blank(), Row(Text("hint: "), Text("accelerators are SIMULATED, so this run cannot back a submission"))]
    return rows


def _objects(number: int) -> str:
    return f"{number} object{'s' if number != 1 else ''}"


def _level(plan: Plan, level: str) -> int:
    return sum(found.level == level for found in plan.checks)
