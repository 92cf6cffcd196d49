"""Text from a cluster, made safe for a terminal, and the words and marks of the screen."""

from __future__ import annotations

import unicodedata
from typing import Final

MARKS: Final = {"passed": "✓", "failed": "✗", "undecided": "!", "not run": "-", "n/a": "-"}
STYLES: Final = {"passed": "green", "failed": "bold red", "undecided": "yellow", "not run": "dim", "n/a": "dim"}


def visible(text: str) -> str:
    """The text with every control and direction-changing character shown instead of obeyed (CVE-2021-25743)."""
    return "".join(_shown(char) for char in text)


def visible_lines(text: str) -> str:
    """As :func:`visible`, keeping line ends."""
    return "\n".join(visible(line) for line in text.split("\n"))


def _shown(char: str) -> str:
    if char in "\n\t":
        return " "
    if unicodedata.category(char) in ("Cc", "Cf", "Co", "Cs"):
        code = ord(char)
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    return char


def duration(seconds: float) -> str:
    """Minutes and seconds: ``2:05``."""
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02d}"


def took(seconds: float) -> str:
    """For a sentence: ``6m41s``."""
    whole = round(seconds)
    return f"{whole // 60}m{whole % 60:02d}s" if whole >= 60 else f"{whole}s"


def cut(text: str, width: int) -> str:
    """The text in one line of at most ``width`` characters."""
    line = visible(text)
    return line if len(line) <= width else line[: max(1, width - 1)] + "…"
