"""Documents made from a bundle: pure functions that never see a cluster."""

from __future__ import annotations

from aiconform.report.document import render_json
from aiconform.report.junit import render_junit
from aiconform.report.markdown import render_markdown
from aiconform.report.page import page_digest, render_html

__all__ = ["DEFAULT_NAMES", "page_digest", "render_html", "render_json", "render_junit", "render_markdown"]

DEFAULT_NAMES = {
    "html": "report.html",
    "markdown": "report.md",
    "json": "report.json",
    "junit": "aiconform-junit.xml",
}
"""File names by format. None is ``junit.xml``, ``results.json`` or ``e2e.log``: a submission's validator takes files of
these names for the output of the upstream test suite."""
