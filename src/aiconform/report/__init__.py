"""Documents made from a bundle: pure functions that never see a cluster."""

from __future__ import annotations

from aiconform.report.page import render_html

__all__ = ["render_html"]
