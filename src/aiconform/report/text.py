"""Text for people: visible escapes, sizes, durations, names of anchors.

Everything here is the same on every machine: ranges are written out instead of asked of :mod:`unicodedata`, whose
tables change from one Python to the next.
"""

from __future__ import annotations

import re

_HIDDEN_RANGES = (
    (0x00, 0x08),  # C0 controls but tab and newline
    (0x0B, 0x1F),
    (0x7F, 0x9F),  # DEL and C1 controls
    (0xAD, 0xAD),  # soft hyphen
    (0x034F, 0x034F),  # combining grapheme joiner
    (0x061C, 0x061C),  # Arabic letter mark
    (0x115F, 0x1160),  # Hangul fillers
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),  # zero width, left-to-right and right-to-left marks
    (0x2028, 0x202E),  # line and paragraph separators, bidi embeddings and overrides
    (0x2060, 0x206F),  # word joiner, invisible operators, bidi isolates
    (0x3164, 0x3164),
    (0xD800, 0xDFFF),  # lone surrogates
    (0xFDD0, 0xFDEF),
    (0xFE00, 0xFE0F),  # variation selectors
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFFB),
    (0xFFFE, 0xFFFF),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),  # tags and further variation selectors
)
_HIDDEN = re.compile(
    "[" + "".join(f"{chr(low)}-{chr(high)}" for low, high in _HIDDEN_RANGES).replace("\\", r"\\") + "]"
)


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def visible(text: str) -> str:
    r"""Write out what a reader could not see or what could steer a terminal.

    Controls, bidirectional overrides, zero-width characters and lone surrogates become ``\x1b``, ``\u202e`` and so
    on; tab and newline stay.
    """
    return _HIDDEN.sub(_escape, text)


def one_line(text: str, limit: int = 0) -> str:
    """Collapse white space; with a limit, cut there and end with an ellipsis.

    Args:
        text: any text.
        limit: most characters of the result, 0 for no limit.
    """
    joined = " ".join(text.split())
    if limit and len(joined) > limit:
        return joined[: limit - 1].rstrip() + "…"
    return joined


def decode(data: bytes) -> str:
    r"""Bytes as text; what is not UTF-8 is written out as ``\xff``."""
    return data.decode("utf-8", errors="backslashreplace")


def size(count: int) -> str:
    """A number of bytes with a unit that fits, decimal: ``512 B``, ``4.1 kB``."""
    if count < 1000:
        return f"{count} B"
    if count < 1_000_000:
        return f"{count / 1000:.1f} kB"
    return f"{count / 1_000_000:.1f} MB"


def duration(us: int) -> str:
    """Microseconds as a duration that reads well: ``0.4 s``, ``14.2 s``, ``2 min 05 s``."""
    tenths = round(us / 100_000)
    if us and tenths == 0:
        return f"{max(1, round(us / 1000))} ms"
    if tenths < 600:
        return f"{tenths // 10}.{tenths % 10} s"
    minutes, seconds = divmod(round(us / 1_000_000), 60)
    return f"{minutes} min {seconds:02d} s"


def clock(us: int) -> str:
    """Microseconds since the run began, as a reading of a stopwatch: ``1:02.345``."""
    minutes, rest = divmod(us // 1000, 60_000)
    return f"{minutes}:{rest // 1000:02d}.{rest % 1000:03d}"


def anchor(*parts: str) -> str:
    """A fragment identifier: parts joined by ``-``, each kept as it is where it is a plain name.

    A requirement's own anchor is its id. Other characters become ``~`` and two to six hex digits and a final ``~``, so
    two different inputs never share an anchor.
    """
    return "-".join(re.sub(r"[^A-Za-z0-9_]", lambda m: f"~{ord(m.group()):x}~", part) for part in parts)


def plural(count: int, one: str, many: str = "") -> str:
    """A count with its noun: ``1 probe``, ``3 probes``."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def is_digest(text: str) -> bool:
    """Whether this is a SHA-256 in lower-case hex."""
    return re.fullmatch(r"[0-9a-f]{64}", text) is not None
