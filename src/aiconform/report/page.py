"""The page: one HTML file without scripts, without anything fetched from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from aiconform.evidence import headline
from aiconform.report import text
from aiconform.report.build import build_report
from aiconform.report.model import OUTCOMES
from aiconform.report.source import Source

MARKS = {"passed": "✓", "failed": "✗", "undecided": "!", "not run": "–", "n/a": "○"}  # noqa: RUF001 - a dash, to tell it from "!"
"""The sign beside each verdict's word."""

_MADE_BY = frozenset({".py", ".j2", ".css"})
_CSS_NAMES = {"passed": "passed", "failed": "failed", "undecided": "undecided", "not run": "notrun", "n/a": "na"}


def render_html(bundle: Source, *, evidence_prefix: str = "bundle/") -> str:
    """Render the reviewer's page.

    The result depends on the bundle and the prefix alone: same bytes on every machine.

    Args:
        bundle: an opened bundle.
        evidence_prefix: path from the page to the bundle's directory, empty or ending in a slash. Links to raw
            evidence start with it.
    """
    report = build_report(bundle, evidence_prefix=evidence_prefix)
    style = _style()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    template = _environment().get_template("page.html.j2")
    return template.render(
        report=report,
        outcomes=OUTCOMES,
        prefix=evidence_prefix,
        style=Markup(style),  # noqa: S704 - our own file, and its digest is what the page's policy allows
        style_digest=digest,
    )


@cache
def page_digest() -> str:
    """SHA-256 of the code and templates that make a page: where it differs, so may the page of the same bundle."""
    here = Path(__file__).parent
    made_by = [path for path in here.rglob("*") if path.suffix in _MADE_BY]
    made_by.append(Path(headline.__file__))
    names = sorted((path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in made_by)
    return hashlib.sha256(repr(names).encode()).hexdigest()


@cache
def _style() -> str:
    return resources.files("aiconform.report").joinpath("templates", "page.css").read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("aiconform.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        mark=lambda outcome: MARKS.get(outcome, "?"),
        css=lambda outcome: _CSS_NAMES.get(outcome, "notrun"),
        anchored=lambda parts: text.anchor(*parts),
        clock=text.clock,
        duration=text.duration,
        size=text.size,
        plural=text.plural,
        one_line=text.one_line,
        utc=_utc,
        lower_first=_lower_first,
    )
    return environment


def _finalize(value: Any) -> Any:
    """Make every text that a template prints visible, whatever it came from; markup was made by our own macros."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return text.visible(value)
    return value


def _utc(stamp: str) -> str:
    """``2026-11-24T01:02:03.456Z`` as ``2026-11-24 01:02:03 UTC``."""
    day, sep, rest = stamp.partition("T")
    return f"{day} {rest[:8]} UTC" if sep and rest.endswith("Z") else stamp


def _lower_first(words: str) -> str:
    """Lower the first letter for use inside a sentence, unless the word is an abbreviation."""
    return words[:1].lower() + words[1:] if words[1:2].islower() or words[1:2] == " " else words
