"""The finished lines of the screen, as functions from events to text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from aiconform.cli.text import MARKS, STYLES, duration, took, visible

if TYPE_CHECKING:
    from aiconform.engine import events
    from aiconform.evidence.documents import CheckVerdict, Plan, PlannedCheck, ProbeVerdict


def header(plan: Plan, bundle: Path) -> list[Text]:
    """What will be asked."""
    counts = [f"{number} {level}" for level in ("MUST", "SHOULD") if (number := _level(plan, level))]
    title = Text(f"aiconform {plan.tool}", style="bold")
    title.append(f"   Kubernetes AI Conformance {plan.release}: {', '.join(counts)}", style="")
    return [title, Text(f"run        {plan.run}, bundle {bundle}")]


def cluster(event: events.ClusterFound) -> list[Text]:
    """What was found, and what will be written."""
    facts = event.facts
    lines = [Text(f"cluster    {visible(facts.product)}, {len(facts.nodes)} nodes; {visible(facts.accelerators)}")]
    if event.simulated:
        lines.append(Text("           SIMULATED accelerators: this run cannot back a submission", style="bold yellow"))
    lines += [Text(f"writes     namespace {event.namespace}, removed at the end"), Text("")]
    return lines


def check(verdict: CheckVerdict, plan: Plan) -> list[Text]:
    """A requirement's line, and below it every probe that did not pass."""
    planned = next(found for found in plan.checks if found.requirement == verdict.requirement)
    passed = sum(probe.outcome == "passed" for probe in verdict.probes)
    spent = (verdict.ended_us or 0) - (verdict.started_us or 0)
    line = Text(f"{MARKS[verdict.outcome]} ", style=STYLES[verdict.outcome])
    line.append(f"{verdict.level:<6}  ", style="")
    line.append(f"{verdict.requirement:<26}", style="bold" if verdict.outcome in ("failed", "undecided") else "")
    line.append(f"{verdict.outcome:<10}", style=STYLES[verdict.outcome])
    if verdict.started_us is None:
        line.append(f"{'':<17}{visible(verdict.reason)}", style="dim")
        return [line]
    line.append(f"{passed} of {len(verdict.probes)} probes  {duration(spent / 1e6)}", style="")
    lines = [line]
    if verdict.outcome != "passed":
        for probe in verdict.probes:
            lines += _probe(probe, planned, verdict.requirement)
        if verdict.left_behind:
            lines.append(Text(f"    clean-up left {visible(', '.join(verdict.left_behind))}", style="yellow"))
    return lines


def _probe(probe: ProbeVerdict, planned: PlannedCheck, requirement: str) -> list[Text]:
    plan = next(found for found in planned.probes if found.id == probe.id)
    line = Text(f"    {MARKS[probe.outcome]} ", style=STYLES[probe.outcome])
    line.append(f"{plan.kind:<9} {plan.title}", style="")
    if probe.outcome in ("not run", "n/a"):
        line.append(f": not run: {visible(probe.reason)}", style="dim")
    lines = [line]
    if probe.outcome not in ("failed", "undecided"):
        return lines
    worst = next((seen for seen in probe.observations if seen.outcome == probe.outcome), None)
    rows = [("cause", probe.reason)]
    if worst is not None:
        where = ", ".join(f"{ref.lane} #{ref.n}" for ref in worst.rests_on[-1:])
        rows = [("expected", worst.expected), ("observed", worst.observed), ("cause", worst.cause), ("evidence", where)]
    rows.append(("again", f"aiconform run {requirement} --keep"))
    lines += [Text(f"      {name:<9} {visible(value)}") for name, value in rows if value]
    return lines


def summary(event: events.RunFinished) -> list[Text]:
    """How it ended."""
    verdicts = event.verdicts
    style = {0: "bold green", 1: "bold red"}.get(verdicts.exit_code, "bold yellow")
    left = f", {len(verdicts.left_behind)} left" if verdicts.left_behind else ", 0 left"
    lines = [
        Text(""),
        Text(f"{verdicts.conclusion} ({took(event.elapsed_s)})", style=style),
        Text(f"cleanup    {verdicts.removed} objects removed{left}"),
        *(Text(f"           left: {visible(what)}", style="yellow") for what in verdicts.left_behind),
        Text(f"bundle     {event.bundle} (sealed sha256:{event.root_sha256[:12]}…)"),
    ]
    if verdicts.simulated:
        lines += [Text(""), Text("hint: accelerators are SIMULATED, so this run cannot back a submission")]
    return lines


def _level(plan: Plan, level: str) -> int:
    return sum(found.level == level for found in plan.checks)
