"""``aiconform verify``: does a bundle hold? Offline; opens no socket."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from aiconform.cli import exit as exits
from aiconform.cli.text import visible
from aiconform.errors import BundleError

if TYPE_CHECKING:
    from aiconform.engine.rejudge import Rejudged
    from aiconform.evidence.reader import Bundle

NOT_SHOWN = (
    "who made it: the bundle is not signed, so somebody could have made it up from end to end",
    "that the cluster was honest: a cluster that lies consistently is not found out",
    "that this was the only run: of several, one may have been chosen",
)
Page = Literal["same", "differs", "absent", "of another version", "of another bundle"]
_SAID = {"holds": "HOLDS", "does not hold": "DOES NOT HOLD", "judged by other code": "NOT DECIDED"}
_CODES = {"holds": exits.OK, "does not hold": exits.FAILED, "judged by other code": exits.UNDECIDED}


@dataclass(frozen=True)
class Verification:
    """All that can be said of a bundle.

    Attributes:
        result: ``judged by other code``: intact, but this version's checks are not those of the run, and do not reach
            the sealed verdicts; only the version of then can tell.
        broken: what is not as sealed, each with its file.
        differences: where the replay comes to something else than the sealed verdicts.
        other_code: whose code is another than in the run.
        plan_differences: what the plan cannot have said, as its release and this version's own code have it otherwise.
        plan_untold: what this version words otherwise, and only the version of then can tell.
        page: whether ``report.html`` beside the bundle is what the bundle gives. Of a page that does not name this
            bundle, or that other code than this was to make, nothing is said, and the result is without it.
    """

    bundle: str
    run: str
    root_sha256: str
    result: Literal["holds", "does not hold", "judged by other code"]
    records: int
    intact: bool
    broken: tuple[str, ...]
    verdicts_derived_again: bool
    differences: tuple[str, ...]
    other_code: tuple[str, ...]
    plan_differences: tuple[str, ...]
    plan_untold: tuple[str, ...]
    tool: str
    page: Page
    simulated: bool
    partial: bool
    conclusion: str
    not_shown: tuple[str, ...] = NOT_SHOWN


@dataclass(frozen=True)
class Unreadable:
    """What can be said of a bundle that cannot be read: cut, never sealed, or of another form.

    Attributes:
        reason: why not, with the file.
        hint: the next step.
    """

    bundle: str
    reason: str
    details: tuple[str, ...]
    hint: str
    result: Literal["cannot be read"] = "cannot be read"


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Of the result."
)
@click.pass_context
def verify(ctx: click.Context, bundle: Path, form: str) -> None:
    """Check BUNDLE, a directory or its archive: intact, complete, every verdict derived again by replay.

    Exit codes: 0 it holds; 1 it does not, or cannot be read; 3 it is intact, but was judged by other code, which
    reaches other verdicts.
    """
    from aiconform.evidence.reader import open_bundle

    try:
        opened = open_bundle(bundle)
    except BundleError as problem:
        if form == "json":
            told = Unreadable(str(bundle), problem.message, problem.details, problem.hint)
            click.echo(json.dumps(asdict(told), indent=2))
        raise
    found = examine(opened, bundle)
    click.echo(json.dumps(asdict(found), indent=2) if form == "json" else "\n".join(map(visible, _lines(found))))
    ctx.exit(_CODES[found.result])


def examine(bundle: Bundle, path: Path) -> Verification:
    """Check an opened bundle, and the page beside it."""
    from aiconform.evidence.integrity import findings

    broken = tuple(f"{found.file}: {found.what}" for found in findings(bundle))
    # the verdicts of what is not intact are worth nothing, whatever a replay gives
    again = _replayed(bundle) if not broken else None
    outcome = again.outcome if again else ""
    page = _page(bundle, path)
    result: Literal["holds", "does not hold", "judged by other code"] = "does not hold"
    if outcome == "other code" and page != "differs":
        result = "judged by other code"
    elif outcome == "same" and page != "differs":
        result = "holds"
    return Verification(
        bundle=str(path),
        run=bundle.plan.run,
        root_sha256=bundle.root_sha256,
        result=result,
        records=len(bundle.records),
        intact=not broken,
        broken=broken,
        verdicts_derived_again=again is not None and not again.problems,
        differences=again.problems if again else (),
        other_code=again.other_code if again else (),
        plan_differences=again.plan.refuted if again else (),
        plan_untold=again.plan.untold if again else (),
        tool=bundle.plan.tool,
        page=page,
        simulated=bundle.verdicts.simulated,
        partial=bundle.verdicts.partial,
        conclusion=bundle.verdicts.conclusion,
    )


def _replayed(bundle: Bundle) -> Rejudged:
    from aiconform.checks import all_checks
    from aiconform.engine.rejudge import Rejudged, rejudge
    from aiconform.engine.replanned import Replanned

    try:
        return rejudge(bundle, all_checks())
    except Exception as problem:  # noqa: BLE001 - a log that makes the replay stumble is no log of a run
        stumbled = f"the replay stumbles: {type(problem).__name__}: {problem}"
        return Rejudged("differs", (stumbled,), None, (), Replanned())


def _page(bundle: Bundle, path: Path) -> Page:
    """Whether the page beside the bundle is the one that the bundle gives."""
    from aiconform.cli.report import render
    from aiconform.report import page_digest

    beside = path.absolute().parent / "report.html"
    if not beside.is_file():
        return "absent"
    try:
        page = beside.read_bytes()
    except OSError:
        return "differs"
    with contextlib.suppress(Exception):  # this version can make no page of such a bundle
        if page == render(bundle, "html").encode():
            return "same"
    if f"sha256:{bundle.root_sha256}".encode() not in page:
        return "of another bundle"
    return "differs" if bundle.plan.report_sha256 == page_digest() else "of another version"


def _lines(found: Verification) -> Iterator[str]:
    yield f"bundle    {found.bundle}"
    yield f"digest    sha256:{found.root_sha256}"
    good = f"{found.records} records, every file and digest as sealed, nothing planned is missing"
    yield f"intact    {_mark(ok=found.intact)} {good if found.intact else 'no'}"
    yield from (f"            {problem}" for problem in found.broken)
    yield from _plan_lines(found)
    yield from _verdict_lines(found)
    page = {
        "same": "✓ report.html is what the bundle gives",
        "absent": "- no report.html beside the bundle",
        "differs": "✗ report.html is not what the bundle gives",
        "of another version": f"! report.html is not compared: the aiconform {found.tool} of then renders otherwise",
        "of another bundle": "! report.html is not of this bundle, whose digest it does not name: it is not compared",
    }
    yield f"page      {page[found.page]}"
    yield "signed    - no"
    if found.partial:
        yield "note      the run was interrupted"
    if found.simulated:
        yield "note      SIMULATED accelerators: this run cannot back a submission"
    yield ""
    yield "what this does not show:"
    yield from (f"  - {text}" for text in found.not_shown)
    yield ""
    without = ", without report.html beside it, which was not compared" if found.page.startswith("of another") else ""
    yield _SAID[found.result] + (f"{without}. It says: {found.conclusion}" if found.result == "holds" else "")


def _plan_lines(found: Verification) -> Iterator[str]:
    if found.plan_differences:
        yield "plan      ✗ it is not what its release asks"
    elif found.plan_untold:
        yield f"plan      ! asks what its release asks, in words that only the aiconform {found.tool} of then can tell:"
    yield from (f"            {problem}" for problem in (*found.plan_differences, *found.plan_untold))


def _verdict_lines(found: Verification) -> Iterator[str]:
    if not found.intact:
        yield "verdicts  - not looked at: what is not intact proves nothing"
    elif found.verdicts_derived_again:
        yield "verdicts  ✓ every verdict derived again from the log"
    elif found.result == "judged by other code":
        yield f"verdicts  ! judged by other code: {', '.join(found.other_code)}"
        yield f"            verify it with the aiconform {found.tool} that made it"
    else:
        yield "verdicts  ✗ they do not follow from the log"
    yield from (f"            {problem}" for problem in found.differences)


def _mark(*, ok: bool) -> str:
    return "✓" if ok else "✗"
