"""Whole screens as plain files. ``UPDATE_SNAPSHOTS=1`` writes them anew: look at what changed before you commit."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

DIRECTORY = Path(__file__).parents[1] / "cli" / "snapshots"


def same(name: str, text: str) -> None:
    """Compare a text with the snapshot of that name."""
    path = DIRECTORY / f"{name}.txt"
    text = "\n".join(line.rstrip() for line in text.splitlines()) + "\n"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.is_file(), f"no snapshot {name}: run once with UPDATE_SNAPSHOTS=1"
    kept = path.read_text(encoding="utf-8")
    assert text == kept, "\n".join(difflib.unified_diff(kept.splitlines(), text.splitlines(), "kept", "now", n=1))
