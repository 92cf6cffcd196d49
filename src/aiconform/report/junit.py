"""JUnit XML for continuous integration: a suite per requirement, a case per probe.

Failed is a failure, undecided an error, not run and n/a are skipped with their reason. A requirement whose verdict is
worse than that of its probes, for example because something was left behind, says so in a case of its own, so that a
reader of the cases alone never sees more success than the run had.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from aiconform.report.build import build_report
from aiconform.report.text import visible

if TYPE_CHECKING:
    from aiconform.evidence.records import Outcome
    from aiconform.report.model import CheckView, ProbeView, Report
    from aiconform.report.source import Source

_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAGS: dict[Outcome, str] = {"failed": "failure", "undecided": "error", "not run": "skipped", "n/a": "skipped"}
_RANK: dict[Outcome, int] = {"passed": 0, "n/a": 1, "not run": 2, "undecided": 3, "failed": 4}


def render_junit(bundle: Source) -> str:
    """Render JUnit XML. The names of its cases are the probes' own, never those of another test suite.

    Args:
        bundle: an opened bundle.
    """
    report = build_report(bundle)
    simulated = " (simulated accelerators)" if report.simulated else ""
    root = ET.Element("testsuites", {"name": _legal(f"aiconform {report.release}{simulated}")})
    suites = [_suite(check, report) for check in report.checks]
    root.extend(suites)
    for name in ("tests", "failures", "errors", "skipped"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in suites)))
    root.set("time", _seconds(report.took_us))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _legal(text: str) -> str:
    """Text that XML 1.0 can hold: what it cannot, and what a terminal would act on, is written out."""
    return _ILLEGAL.sub(lambda match: f"\\u{ord(match.group()):04x}", visible(text))


def _seconds(us: int | None) -> str:
    return f"{(us or 0) / 1_000_000:.3f}"


def _suite(check: CheckView, report: Report) -> ET.Element:
    suite = ET.Element("testsuite", {"name": _legal(check.id), "timestamp": _legal(report.started.removesuffix("Z"))})
    properties = ET.SubElement(suite, "properties")
    facts = {
        "requirement": check.id,
        "level": check.level,
        "kar": check.kar,
        "verdict": check.outcome,
        "release": report.release,
        "product": report.product,
        "run": report.run,
        "bundle": f"sha256:{report.digests.root}",
        "simulated": "true" if report.simulated else "false",
    }
    for name, value in (*facts.items(), *(("note", note) for note in report.unusual)):
        if value:
            ET.SubElement(properties, "property", {"name": name, "value": _legal(value)})
    classname = f"aiconform.{report.release}.{check.id}"
    cases = [_probe_case(probe, classname) for probe in check.probes]
    worst = max((_RANK[probe.outcome] for probe in check.probes), default=-1)
    if _RANK[check.outcome] > worst or not check.probes:
        cases.append(_whole(check, classname))
    suite.extend(cases)
    suite.set("tests", str(len(cases)))
    suite.set("failures", str(sum(case.find("failure") is not None for case in cases)))
    suite.set("errors", str(sum(case.find("error") is not None for case in cases)))
    suite.set("skipped", str(sum(case.find("skipped") is not None for case in cases)))
    suite.set("time", _seconds(check.took_us))
    return suite


def _probe_case(probe: ProbeView, classname: str) -> ET.Element:
    lines = []
    for seen in probe.observations:
        lines += [f"expected: {seen.expected}", f"observed: {seen.observed} ({seen.outcome})"]
        if seen.cause:
            lines.append(f"cause: {seen.cause}")
    name = f"{probe.id}: {probe.title}"
    text = "\n".join(lines)
    return _case(name, classname, took_us=probe.took_us, outcome=probe.outcome, reason=probe.reason, text=text)


def _whole(check: CheckView, classname: str) -> ET.Element:
    name = "the requirement as a whole"
    return _case(name, classname, took_us=check.took_us, outcome=check.outcome, reason=check.reason)


def _case(
    name: str, classname: str, *, took_us: int | None, outcome: Outcome, reason: str, text: str = ""
) -> ET.Element:
    case = ET.Element("testcase", {"name": _legal(name), "classname": _legal(classname), "time": _seconds(took_us)})
    if outcome in _TAGS:
        told = ET.SubElement(case, _TAGS[outcome], {"message": _legal(f"{outcome}: {reason}" if reason else outcome)})
        if _TAGS[outcome] != "skipped":
            told.set("type", outcome)
            told.text = _legal(text) or None
    elif text:
        ET.SubElement(case, "system-out").text = _legal(text)
    return case
