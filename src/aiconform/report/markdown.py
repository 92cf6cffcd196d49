"""The short report in Markdown: what the page says, for a pull request or an issue.

Text from a cluster never acts as markup. Harmless text is backslash-escaped; text in which a forge would see a link, a
mention or an issue number stands in a code span, because no escape stops those. Source: CommonMark 0.31 sections 2.4
and 6.1, GitHub Flavored Markdown sections 4.10 (tables) and 6.9 (autolinks).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from aiconform.report.bodies import Shown
from aiconform.report.build import build_report
from aiconform.report.series import table
from aiconform.report.text import clock, duration, one_line, plural, size, visible

if TYPE_CHECKING:
    from aiconform.report.model import CheckView, ExchangeView, LaneView, ObservationView, ProbeView, Report
    from aiconform.report.source import Source

_MARKUP = re.compile(r"[\\`*_\[\]<>&|~#]")
_AT_START = re.compile(r"^(?:[-+=]|\d+(?=[.)](?:\s|$)))")
_ACTS = re.compile(r"@|://|www\.|#\d|GH-\d|[0-9a-f]{7,}|mailto:|xmpp:|:\w+:|\$", re.IGNORECASE)
MAX_TABLE_TEXT = 200
MAX_KEY_EXCHANGES = 6
MAX_MOMENTS = 12


def render_markdown(bundle: Source, *, evidence_prefix: str = "bundle/") -> str:
    """Render the short report.

    Args:
        bundle: an opened bundle.
        evidence_prefix: path from the report to the bundle's directory, empty or ending in a slash.
    """
    report = build_report(bundle, evidence_prefix=evidence_prefix)
    lines = [*_header(report), *_summary(report), *_cluster(report)]
    for check in report.checks:
        lines += _requirement(check, report, evidence_prefix)
    lines += _closing(report)
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """One line of text that shows as it is, whatever it holds."""
    line = one_line(visible(text))
    if _ACTS.search(line):
        return code(line)
    escaped = _MARKUP.sub(lambda match: "\\" + match.group(), line)
    return _AT_START.sub(
        lambda match: match.group() + "\\" if match.group().isdigit() else "\\" + match.group(), escaped
    )


def code(text: str) -> str:
    """A code span, with a fence longer than any run of backticks inside."""
    line = one_line(visible(text))
    if not line:
        return ""
    fence = "`" * (_longest_run(line) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def block(text: str) -> list[str]:
    """A fenced block, its fence longer than any run of backticks inside."""
    shown = visible(text).rstrip("\n")
    fence = "`" * max(3, _longest_run(shown) + 1)
    return [f"{fence}text", *shown.split("\n"), fence]


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall(r"`+", text)), default=0)


def _cell(text: str) -> str:
    """Text for a table cell, where a bar ends the cell even inside a code span unless a backslash stands before it."""
    line = one_line(visible(text), MAX_TABLE_TEXT)
    if _ACTS.search(line):
        return _code_cell(line)
    return escape(line)


def _code_cell(text: str) -> str:
    return code(text.replace("\\|", "\\x5c|")).replace("|", "\\|")


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(header)} |",
        f"|{'|'.join(' --- ' for _ in header)}|",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
    ]


def _header(report: Report) -> Iterator[str]:
    yield f"# {escape(report.product)}: AI Conformance {escape(report.release)}"
    yield ""
    if report.simulated:
        yield "**SIMULATED.** Accelerators in this run are not real; it backs no submission."
        yield ""
        yield from (f"* {escape(because)}" for because in report.simulated_because)
        yield ""
    if report.partial:
        yield "**INTERRUPTED.** The run ended early; the rest was not run."
        yield ""
    yield f"**{escape(report.conclusion)}** Exit code {report.exit_code}: {report.exit_meaning}."
    yield ""
    yield from _table(
        ("Run", ""),
        [
            ("Time (UTC)", f"{_code_cell(report.started)} to {_code_cell(report.ended)}, {duration(report.took_us)}"),
            ("Run id", _code_cell(report.run)),
            ("Tool", _cell(f"aiconform {report.tool}")),
            ("Bundle", _code_cell(f"sha256:{report.digests.root}")),
            ("Plan", _code_cell(f"sha256:{report.digests.plan}")),
            ("Checklist", _code_cell(f"sha256:{report.digests.catalog}")),
            ("Clean-up", f"{plural(report.removed, 'object')} removed, {len(report.left_behind)} left"),
        ],
    )
    yield from (f"Left behind: {escape(left)}\n" for left in report.left_behind)


def _summary(report: Report) -> Iterator[str]:
    yield "## Summary"
    yield ""
    rows = [
        (
            f"[{_cell(check.id)}](#{check.anchor})",
            f"**{check.outcome}**",
            check.level,
            _cell(check.summary),
            f"{check.passed} of {len(check.probes)}" if check.was_run else "",
            duration(check.took_us) if check.took_us is not None else "",
        )
        for check in report.checks
    ]
    yield from _table(("Requirement", "Verdict", "Level", "Finding", "Probes", "Time"), rows)


def _cluster(report: Report) -> Iterator[str]:
    cluster = report.cluster
    yield "## Cluster"
    yield ""
    yield f"* Kubernetes: {escape(cluster.version or 'unknown')} {escape(cluster.platform)}".rstrip()
    yield f"* Accelerators: {escape(cluster.accelerators or 'none found')}"
    if cluster.asked_for:
        yield f"* Asked for: {escape(cluster.asked_for)}"
    if cluster.left_alone:
        yield f"* Left alone: {escape('; '.join(cluster.left_alone))}"
    yield f"* UID of kube-system: {code(cluster.kube_system_uid or 'unknown')}"
    yield from (f"* Note: {escape(what)}" for what in report.unusual)
    yield ""
    nodes = [
        tuple(map(_cell, (n.name, "yes" if n.ready else "no", n.kubelet, n.runtime, n.os, n.kernel, n.accelerators)))
        for n in cluster.nodes
    ]
    if nodes:
        yield from _table(("Node", "Ready", "Kubelet", "Runtime", "OS", "Kernel", "Accelerators"), nodes)
    if cluster.components:
        parts = [tuple(map(_cell, (part.name, part.version, part.source))) for part in cluster.components]
        yield from _table(("Component", "Version", "Known from"), parts)
    if cluster.capabilities:
        rows = [tuple(map(_cell, (one.kind, one.name, one.detail, "; ".join(one.how)))) for one in cluster.capabilities]
        yield from _table(("For", "Name", "What", "Known by"), rows)


def _requirement(check: CheckView, report: Report, prefix: str) -> Iterator[str]:
    # The heading is the id alone, so that a forge makes it the anchor that the summary links to.
    yield f"## {escape(check.id)}"
    yield ""
    simulated = " (simulated)" if report.simulated and check.was_run else ""
    kar = f", {escape(check.kar)}" if check.kar else ""
    yield f"{escape(check.title)} ({check.level}{kar}): **{check.outcome}**{simulated}"
    yield ""
    if check.reason:
        yield f"* Reason: {escape(check.reason)}"
    yield f"* Asked: {escape(check.asks)}"
    yield from (f"* Not shown: {escape(limit)}" for limit in check.limits)
    if check.cleanup.removed or check.cleanup.left:
        left = f", left: {escape(', '.join(check.cleanup.left))}" if check.cleanup.left else ", 0 left"
        yield f"* Clean-up: {plural(len(check.cleanup.removed), 'object')} removed{left}"
    yield ""
    for group in check.groups:
        for probe in (group.control, *group.negatives):
            yield from _probe(probe)
    yield from _transcript(check.transcripts, prefix)


def _probe(probe: ProbeView) -> Iterator[str]:
    yield f"### {probe.kind}: {escape(probe.title)}"
    yield ""
    control = f" Control: {code(probe.control)}." if probe.control else ""
    took = f" Took {duration(probe.took_us)}." if probe.took_us is not None else ""
    yield f"**{probe.outcome}** ({code(probe.id)}).{took}{control}"
    yield ""
    if probe.fails_if:
        yield f"* Fails if: {escape(probe.fails_if)}"
    if probe.reason and not probe.observations:
        yield f"* Reason: {escape(probe.reason)}"
    for seen in probe.observations:
        yield from _observation(seen)
    yield ""
    for seen in probe.observations:
        if seen.series:
            yield from _series(seen)


def _observation(seen: ObservationView) -> Iterator[str]:
    yield f"* Expected: {escape(seen.expected)}"
    yield f"* Observed ({seen.outcome}): {escape(seen.observed)}"
    if seen.cause:
        yield f"* Cause: {escape(seen.cause)}"
    if seen.figures:
        yield "* Measured: " + ", ".join(f"{escape(name)} {code(value)}" for name, value in seen.figures)


def _series(seen: ObservationView) -> Iterator[str]:
    values = table(seen.series, MAX_MOMENTS)
    yield from _table([_cell(name) for name in values.columns], [tuple(map(_cell, row)) for row in values.rows])
    if values.left_out:
        yield f"({escape(values.left_out)})"
        yield ""


def _transcript(lanes: Sequence[LaneView], prefix: str) -> Iterator[str]:
    keys = [entry for lane in lanes for entry in lane.exchanges if entry.is_key]
    if not keys:
        return
    yield "### Requests that the observations rest on"
    yield ""
    for entry in keys[:MAX_KEY_EXCHANGES]:
        yield from _exchange(entry, prefix)
    if len(keys) > MAX_KEY_EXCHANGES:
        yield f"{plural(len(keys) - MAX_KEY_EXCHANGES, 'further request')} in the page and in the bundle."
        yield ""


def _exchange(entry: ExchangeView, prefix: str) -> Iterator[str]:
    request = f"{entry.method} {entry.target}"
    body = entry.response_body
    link = f", [{size(body.size)}]({prefix}blobs/sha256/{body.digest})" if body else ""
    yield f"{code(request)} at {clock(entry.at_us)}: {escape(entry.answer)}{link}, Audit-ID {code(entry.audit_id)}"
    yield ""
    for part in entry.shown:
        yield from _shown(part)


def _shown(part: Shown) -> Iterator[str]:
    if part.columns:
        yield from block(_columns([tuple(name.upper() for name in part.columns), *part.rows]))
    elif part.text:
        yield from block(part.text)
    if part.left_out:
        yield ""
        yield f"({part.label}: {escape(part.left_out)})"
    yield ""


def _columns(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows in columns of equal width, as kubectl prints them."""
    shown = [tuple(visible(cell) for cell in row) for row in rows]
    widths = [max(len(row[index]) for row in shown if index < len(row)) for index in range(len(shown[0]))]
    return "\n".join(
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip() for row in shown
    )


def _closing(report: Report) -> Iterator[str]:
    yield "## How to check this report"
    yield ""
    yield f"The bundle holds {plural(report.records, 'record')} and {plural(report.blobs, 'body', 'bodies')}."
    yield "This report is made from it and can be made again, offline:"
    yield ""
    yield from block("aiconform verify bundle")
    yield ""
    yield "It is no evidence by itself, and without a signature it does not show who made it."
