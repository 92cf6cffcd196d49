"""What the doctor found, as a screen: functions from a diagnosis to what rich draws."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from rich.table import Table
from rich.text import Text

from aiconform.cli.text import cut, duration, visible
from aiconform.engine import api_services

if TYPE_CHECKING:
    from rich.console import Console

    from aiconform.engine.diagnosis import Devices, Diagnosis, Finding, Readiness
    from aiconform.evidence.documents import CapabilityFacts

_MARKS: Final = {"good": ("✓", "green"), "note": ("!", "yellow"), "bad": ("✗", "bold red"), "unknown": ("?", "yellow")}
_STATES: Final = {
    "can run": ("✓", "green"),
    "in part": ("!", "yellow"),
    "cannot run": ("✗", "bold red"),
    "undecided": ("!", "yellow"),
    "n/a": ("-", "dim"),
}
_KEY: Final = 14
_SHOWN: Final = 12
_LONG: Final = 300


def draw(console: Console, found: Diagnosis) -> None:
    """The whole screen."""
    console.print(_title(found))
    console.print(_grid(_cluster(found)))
    console.print()
    if found.capabilities:
        console.print(Text("what there is, and how that was known; found is not proved", style="bold"))
        console.print(_grid(_capabilities(found)))
        console.print()
    console.print(Text("what can be examined, and in how many minutes", style="bold"))
    console.print(_grid(_requirements(found)))
    console.print()
    console.print(_conclusion(found))
    for line in _hints(found):
        console.print()
        console.print(Text(f"hint: {line}"))


def _grid(rows: Iterator[tuple[Text, Text]]) -> Table:
    """Two columns, of which the second wraps under itself."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _title(found: Diagnosis) -> Text:
    levels = [one.level for one in found.requirements]
    counts = ", ".join(f"{levels.count(level)} {level}" for level in ("MUST", "SHOULD") if level in levels)
    title = Text(f"aiconform {found.tool}   ", style="bold")
    return title.append(f"Kubernetes AI Conformance {found.release}: {counts}", style="not bold")


def _cluster(found: Diagnosis) -> Iterator[tuple[Text, Text]]:
    if found.unread:
        yield Text("cluster"), _marked("bad", f"cannot be read: {found.unread}")
    else:
        nodes = f"{found.ready_nodes} of {found.nodes} nodes ready"
        yield (
            Text("cluster"),
            Text(visible(f"{found.product}, {nodes}; {found.server} answers in {found.answer_ms} ms")),
        )
    if found.simulated:
        yield Text(""), Text("SIMULATED accelerators: a run here cannot back a submission", style="bold yellow")
    for gap in found.gaps:
        yield Text(""), _marked("unknown", f"cannot read {gap}")
    for finding in found.findings:
        yield from _finding(finding)
    yield from _rights(found)


def _finding(finding: Finding) -> Iterator[tuple[Text, Text]]:
    yield Text(finding.name), _marked(finding.state, finding.said)
    yield from _lines(finding.details)


def _rights(found: Diagnosis) -> Iterator[tuple[Text, Text]]:
    rights = found.rights
    if rights.unknown:
        yield Text("rights"), _marked("unknown", rights.unknown)
        return
    given = rights.asked - len(rights.missing)
    yield Text("rights"), _marked("bad" if rights.missing else "good", f"{given} of {rights.asked} needed are given")
    if rights.missing and not given:
        yield Text(""), Text("  not one of them", style="dim")
        return
    # all of them: what is not shown here would be found one at a time
    lines: dict[tuple[str, str], list[str]] = {}
    for missing in rights.missing:
        verb, _, what = missing.right.partition(" ")
        lines.setdefault((what, ", ".join(missing.costs)), []).append(verb)
    for (what, costs), verbs in lines.items():
        yield Text(""), Text(visible(f"  {', '.join(verbs)} {what}: costs {costs}"))


def _lines(details: list[str]) -> Iterator[tuple[Text, Text]]:
    for line in details[:_SHOWN]:
        yield Text(""), Text(f"  {cut(line, _LONG)}", style="dim")
    if len(details) > _SHOWN:
        yield Text(""), Text(f"  and {len(details) - _SHOWN} more", style="dim")


def _marked(state: str, said: str) -> Text:
    mark, style = _MARKS[state]
    return Text.assemble((f"{mark} ", style), visible(said))


def _capabilities(found: Diagnosis) -> Iterator[tuple[Text, Text]]:
    free = {one.name: one for one in found.devices}
    before = ""
    for one in found.capabilities:
        kind = one.kind if one.kind != before else ""
        before = one.kind
        yield Text(f"{kind:<{_KEY}}"), _capability(one, free.get(one.name))


def _capability(one: CapabilityFacts, devices: Devices | None) -> Text:
    text = Text.assemble((cut(one.name, 40), "bold"), "  ", (visible(one.detail), "" if one.known else "yellow"))
    if devices is not None:
        count = f"; {devices.free} of {devices.total} free" if devices.free is not None else ""
        text.append(count or f"; not known how many are free: {visible(devices.why_not)}")
    return text.append(visible(f"  ({'; '.join(one.how)})"), style="dim")


def _requirements(found: Diagnosis) -> Iterator[tuple[Text, Text]]:
    for one in found.requirements:
        mark, style = _STATES[one.state]
        lead = Text.assemble((f"{mark} ", style), f"{one.level:<7} {one.requirement:<28}", (one.state, style))
        yield lead, Text(visible(_about(one)))
        for line in one.in_part:
            yield Text(""), Text(visible(f"not its probe {line}"), style="yellow")


def _about(one: Readiness) -> str:
    if one.state not in ("can run", "in part"):
        return one.reason
    usual = f"usually {duration(one.usual_s)}" if one.usual_s else "never timed"
    holds = f"; holds {', '.join(one.holds[:3])}" if one.holds else ""
    more = f" and {len(one.holds) - 3} more" if len(one.holds) > 3 else ""
    return f"{usual}, {duration(one.at_most_s)} at most{holds}{more}"


def _conclusion(found: Diagnosis) -> Text:
    counts = []
    for level in ("MUST", "SHOULD"):
        mine = [one for one in found.requirements if one.level == level]
        if mine:
            counts.append(f"{sum(one.state == 'can run' for one in mine)} of {len(mine)} {level} can run")
    usual = f"; together usually {duration(found.usual_s)}" if found.usual_s else ""
    style = "bold green" if found.exit_code == 0 else "bold yellow"
    return Text(f"{', '.join(counts)}{usual} ({found.requests} requests, {found.took_s:.1f} s)", style=style)


def _hints(found: Diagnosis) -> Iterator[str]:
    if found.exit_code == 0 and not found.rights.missing:
        yield "aiconform run, with the same names and options, examines them"
    if found.rights.missing:
        yield "aiconform doctor --rbac prints the least role, for somebody who may create it"
    for finding in found.findings:
        if finding.name == "API services" and finding.state == "bad":
            yield api_services.HINT
