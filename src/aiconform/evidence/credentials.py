"""Finds credentials in text: our own exactly, in any common encoding, and others by their shape."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus

REDACTED: Final = "[redacted]"
SHORTEST: Final = 6
"""Our own secrets shorter than this are not searched for: they would hit ordinary words."""

_BASE64 = r"[A-Za-z0-9+/_-]"
_PRIVATE_KEY_HEADS = "|".join(
    # base64 of "-----BEGIN PRIVATE KEY", "... RSA PRIVATE", "... EC PRIVATE", "... ENCRYPTED PRI", "... OPENSSH PRI"
    base64.b64encode(f"-----BEGIN {kind}".encode()).decode().rstrip("=")[:-1]
    for kind in ("PRIVATE KEY", "RSA PRIVATE", "EC PRIVATE K", "ENCRYPTED PR", "OPENSSH PRIV", "DSA PRIVATE")
)
_SHAPES: Final = {
    "PRIVATE KEY": r"-----BEGIN [A-Z ]{0,24}PRIVATE KEY-----[^\"']{0,16384}?(?:-----END [A-Z ]{0,24}PRIVATE KEY-----|"
    r"(?=[\"'])|\Z)",
    "LS0tLS1CRUdJTi": rf"(?:{_PRIVATE_KEY_HEADS}){_BASE64}{{16,}}={{0,2}}",
    "eyJ": r"\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)?",
    "earer": r"(?<=[Bb]earer)(?:\s|%20|\+){1,4}[A-Za-z0-9._~+/-]{12,}=*",
    "asic": r"(?<=[Bb]asic)(?:\s|%20|\+){1,4}[A-Za-z0-9+/]{12,}=*",
    "://": r"(?<=://)[^\s/@:\"'<>\\]{1,64}:[^\s/@\"'<>\\]{1,128}(?=@)",
    "KIA": r"\b[A]KIA[A-Z0-9]{16}\b",
    "SIA": r"\b[A]SIA[A-Z0-9]{16}\b",
    "gh": r"\bgh[pousr]_[A-Za-z0-9]{30,}",
    "github_pat_": r"\bgithub_pat_[A-Za-z0-9_]{30,}",
    "glpat-": r"\bglpat-[A-Za-z0-9_-]{16,}",
    "xox": r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
    "AIza": r"\bAIza[A-Za-z0-9_-]{35}",
    "ya29.": r"\bya29\.[A-Za-z0-9_-]{20,}",
    "hf_": r"\bhf_[A-Za-z0-9]{30,}",
    "nvapi-": r"\bnvapi-[A-Za-z0-9_-]{20,}",
    "sk-": r"\bsk-[A-Za-z0-9_-]{20,}",
    "npm_": r"\bnpm_[A-Za-z0-9]{30,}",
    "dckr_pat_": r"\bdckr_pat_[A-Za-z0-9_-]{20,}",
    "AccountKey=": r"(?<=AccountKey=)[A-Za-z0-9+/]{20,}=*",
    ".": r"\b(?=[a-z0-9]*[0-9])[a-z0-9]{6}\.(?=[a-z]*[0-9][a-z]*[0-9])(?=[0-9]*[a-z])[a-z0-9]{16}\b(?![.-])",
}
_WORDS = r"passw(?:or)?d|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?"
_NAMED = re.compile(
    rf"(?i:(?P<key>(?:(?:{_WORDS})[\"']?\s{{0,2}}[=:]\s{{0,2}}|--[a-z-]{{0,24}}(?:{_WORDS})\s)[\"']?))"
    r"(?P<value>(?![/$(\[{<]|(?i:true|false|null|none|nil)\b)[^\s\"',;&\\\])}<>]{8,})"
)
_SECRET_NAME = re.compile(
    rf"(?i)(?:{_WORDS})"
    r"(?!.*(?:file|path|dir|name|url|ref|ttl|expir\w*|enabled|audience|type|class)s?$)"
)


def is_secret_name(name: str) -> bool:
    """Whether a field or variable of this name is likely to hold a secret: ``DB_PASSWORD``, but not ``TOKEN_FILE``."""
    return bool(_SECRET_NAME.search(name))


class Credentials:
    """Takes credentials out of text.

    Args:
        own: our own: token, client key, client certificate; text or bytes.
    """

    def __init__(self, own: Iterable[str | bytes]) -> None:
        found = {form for secret in own for form in forms(secret)}
        self._forms = sorted(found, key=lambda form: (-len(form), form))
        self._shapes = [(hint, re.compile(pattern)) for hint, pattern in _SHAPES.items()]

    def redact(self, text: str) -> str:
        """The text with every credential replaced by ``[redacted]``."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, REDACTED)
        for hint, pattern in self._shapes:
            if hint in text:
                text = pattern.sub(_keep_blank, text)
        return _NAMED.sub(_named, text)


def _keep_blank(found: re.Match[str]) -> str:
    return (" " if found.group()[:1].isspace() else "") + REDACTED


def _named(found: re.Match[str]) -> str:
    return found.group("key") + REDACTED


def forms(secret: str | bytes) -> Iterator[str]:
    """The ways in which a secret may stand in text: as it is, escaped, URL-encoded, hex, base64 at each alignment."""
    raw = secret.encode("utf-8", "surrogateescape") if isinstance(secret, str) else secret
    for part in _parts(raw.strip()):
        if len(part) < SHORTEST:
            continue
        try:
            text = part.decode()
        except UnicodeDecodeError:
            pass
        else:
            yield from _spellings(text)
        yield part.hex()
        yield part.hex().upper()
        yield part.hex(":")
        yield part.hex(":").upper()
        for data in dict.fromkeys((part, part.replace(b"\n", b"\r\n"))):
            yield from _base64_forms(data)


def _parts(raw: bytes) -> list[bytes]:
    """A secret of several lines (PEM) counts as a whole and line by line, however it may be wrapped or cut."""
    lines = [line.strip() for line in raw.splitlines()]
    if len(lines) < 2:
        return [raw]
    inner = [line for line in lines if len(line) >= 16 and not line.startswith(b"-----")]
    return [raw, *inner, b"".join(inner), *_der(inner)]


def _der(lines: list[bytes]) -> list[bytes]:
    try:
        return [base64.b64decode(b"".join(lines), validate=True)]
    except ValueError:
        return []


def _spellings(text: str) -> Iterator[str]:
    yield text
    for ascii_only in (True, False):
        once = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
        yield once
        yield json.dumps(once, ensure_ascii=ascii_only)[1:-1]
        yield once.replace("/", "\\/")
    for spelled in (quote(text, safe=""), quote(text), quote_plus(text)):
        yield spelled
        yield re.sub(r"%[0-9A-F]{2}", lambda found: found.group().lower(), spelled)
        yield spelled.replace("%", "%25")
    yield text.replace("\n", "\r\n")


def _base64_forms(data: bytes) -> Iterator[str]:
    """The characters that a stretch of base64 shows for sure, wherever in it the data begins."""
    for lead in range(3):
        encoded = base64.b64encode(bytes(lead) + data).decode()
        sure = encoded[-(-lead * 8 // 6) : (lead + len(data)) * 8 // 6]
        if len(sure) >= SHORTEST:
            yield sure
            yield sure.translate({ord("+"): "-", ord("/"): "_"})
