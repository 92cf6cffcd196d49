"""``aiconform verify``: does a bundle hold? Offline; opens no socket."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiconform.cli import exit as exits

if TYPE_CHECKING:
    from aiconform.evidence.reader import Bundle

NOT_SHOWN = (
    "who made it: the bundle is not signed, so somebody who owns it could have made it anew from end to end",
    "that the cluster was honest: a cluster that lies consistently is not found out",
    "that this was the only run: of several, one may have been chosen",
)


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path, exists=True))
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
def verify(ctx: click.Context, bundle: Path, form: str) -> None:
    """Check BUNDLE, a directory or its archive: intact, complete, every verdict derived again by replay."""
    from aiconform.evidence.reader import open_bundle

    opened = open_bundle(bundle)
    result = examine(opened, bundle)
    click.echo(json.dumps(result, indent=2) if form == "json" else _text(result))
    if not result["holds"]:
        ctx.exit(exits.FAILED if result["judged_by_other_code"] == [] else exits.UNDECIDED)


def examine(bundle: Bundle, path: Path) -> dict[str, Any]:
    """All that can be said of a bundle, as a document."""
    from aiconform.checks import all_checks
    from aiconform.engine.rejudge import rejudge
    from aiconform.evidence.integrity import findings

    broken = [f"{found.file}: {found.what}" for found in findings(bundle)]
    again = rejudge(bundle, all_checks()) if not broken else None
    differs = list(again.problems) if again else []
    page = _page(bundle, path)
    return {
        "bundle": str(path),
        "run": bundle.plan.run,
        "root_sha256": bundle.root_sha256,
        "holds": not broken and not differs and page != "differs",
        "intact": not broken,
        "broken": broken,
        "verdicts_derived_again": again is not None and again.outcome == "same",
        "differences": differs,
        "judged_by_other_code": list(again.other_code) if again and again.outcome == "other code" else [],
        "tool_then": bundle.plan.tool,
        "page": page,
        "records": len(bundle.records),
        "simulated": bundle.verdicts.simulated,
        "conclusion": bundle.verdicts.conclusion,
        "not_shown": list(NOT_SHOWN),
    }


def _page(bundle: Bundle, path: Path) -> str:
    """Whether the page beside the bundle is the one that the bundle gives."""
    from aiconform.cli.report import render

    beside = path.parent / "report.html"
    if not beside.is_file():
        return "absent"
    return "same" if beside.read_bytes() == render(bundle, "html").encode() else "differs"


def _text(result: dict[str, Any]) -> str:
    lines = [
        f"bundle    {result['bundle']}",
        f"digest    sha256:{result['root_sha256']}",
        _line("intact", ok=result["intact"], good=f"{result['records']} records, every file and digest as sealed"),
        *(f"            {problem}" for problem in result["broken"]),
    ]
    if result["intact"]:
        good = "every verdict derived again from the log"
        lines += [_line("verdicts", ok=result["verdicts_derived_again"], good=good)]
        lines += [f"            {problem}" for problem in result["differences"]]
    if result["judged_by_other_code"]:
        lines.append(f"          judged by other code ({', '.join(result['judged_by_other_code'])})")
        lines.append(f"          run instead: uvx aiconform=={result['tool_then']} verify {result['bundle']}")
    page = {"same": "✓ report.html is what the bundle gives", "absent": "- no report.html beside the bundle"}
    lines.append(f"page      {page.get(result['page'], '✗ report.html is not what the bundle gives')}")
    lines.append("signed    - not signed")
    if result["simulated"]:
        lines.append("note      SIMULATED accelerators: this run cannot back a submission")
    lines += ["", "what this does not show:", *(f"  - {text}" for text in result["not_shown"]), ""]
    verdict = result["conclusion"] if result["holds"] else "nothing: the bundle does not hold"
    lines.append(f"{'holds' if result['holds'] else 'DOES NOT HOLD'}; it says: {verdict}")
    return "\n".join(lines)


def _line(what: str, *, ok: bool, good: str) -> str:
    return f"{what:<9} {'✓ ' + good if ok else '✗ no'}"
