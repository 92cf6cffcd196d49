"""Secrets that can be known by their form or by the name they are given."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

_MARK = "[redacted]"
_REST = r"[^\s\"'\\,;&{}\[\]<>\x00]"
_PEM_CHARS = r"A-Za-z0-9+/=\s\\:,.-"

SHAPES: Final = tuple(
    (hints, re.compile(pattern), replacement)
    for hints, pattern, replacement in (
        (("eyJ",), r"eyJ[A-Za-z0-9_-]{8,2048}+\.[A-Za-z0-9_-]{4,}+(?:\.[A-Za-z0-9_-]*)?", _MARK),
        (
            ("PRIVATE KEY",),
            (
                rf"-----BEGIN [A-Z0-9 ]{{0,30}}PRIVATE KEY-----[{_PEM_CHARS}]*?"
                rf"(?:-----END [A-Z0-9 ]{{0,30}}PRIVATE KEY-----|(?![{_PEM_CHARS}])|\Z)"
            ),
            _MARK,
        ),
        (
            ("LS0tLS1CRUdJTi",),
            r"LS0tLS1CRUdJTi(?:BQUklWQVRF|BSU0Eg|BFQyBQ|BEU0Eg|BPUEVOU1NI|BFTkNSWVBURUQg)[A-Za-z0-9+/=_-]*",
            _MARK,
        ),
        (
            ("earer", "EARER"),
            rf"((?:[Bb]earer|BEARER)(?:\s|%20){{1,4}})(?=\S{{0,256}}[0-9]){_REST}{{12,}}",
            rf"\1{_MARK}",
        ),
        (
            ("uthorization", "UTHORIZATION"),
            (
                rf"((?:[Aa]uthorization|AUTHORIZATION)\\*[\"']?\s{{0,3}}[:=]\s{{0,3}}\\*[\"']?"
                rf"(?:(?:[Bb]earer|[Bb]asic|[Dd]igest|Negotiate)\s+)?)(?!\[redacted\]){_REST}{{6,}}"
            ),
            rf"\1{_MARK}",
        ),
        (("asic ",), r"\b([Bb]asic\s{1,4})(?=\S{0,256}[0-9A-Z])[A-Za-z0-9+/]{11,}={0,2}", rf"\1{_MARK}"),
        (("AKIA", "ASIA", "ABIA"), r"\b(?:AKIA|ASIA|ABIA)[0-9A-Z]{16}\b", _MARK),
        (("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"\bgh[pousr]_[A-Za-z0-9]{30,}", _MARK),
        (("github_pat_",), r"\bgithub_pat_[A-Za-z0-9_]{30,}", _MARK),
        (("glpat-",), r"\bglpat-[A-Za-z0-9_-]{16,}", _MARK),
        (("xox",), r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}", _MARK),
        (("AIza",), r"\bAIza[0-9A-Za-z_-]{35}", _MARK),
        (("ya29.",), r"\bya29\.[0-9A-Za-z_-]{20,}", _MARK),
        (("nvapi-",), r"\bnvapi-[A-Za-z0-9_-]{20,}", _MARK),
        (("hf_",), r"\bhf_[A-Za-z0-9]{30,}", _MARK),
        (("npm_", "pypi-", "dckr_pat_"), r"\b(?:npm_|pypi-|dckr_pat_)[A-Za-z0-9_-]{20,}", _MARK),
        (
            ("sk-", "sk_"),
            r"\bsk[-_](?:live_|test_|proj-|ant-)?(?=[A-Za-z0-9_-]{0,256}[0-9])(?=[A-Za-z0-9_-]{0,256}[A-Z])[A-Za-z0-9_-]{20,}",
            _MARK,
        ),
        (("AccountKey",), r"(AccountKey=)[A-Za-z0-9+/=]{20,}", rf"\1{_MARK}"),
        (("://",), r"(://[^\s/:@\"'\\\x00]{0,100}:)(?!\[redacted\])[^\s/@\"'\\\x00]{1,200}(?=@)", rf"\1{_MARK}"),
        (("auth",), r"(auth\\*[\"']\s{0,3}:\s{0,3}\\*[\"'])[A-Za-z0-9+/=]{8,}(?=\\*[\"'])", rf"\1{_MARK}"),
        (("k8s-aws-v1.",), r"\bk8s-aws-v1\.[A-Za-z0-9_-]{20,}", _MARK),
        # a bootstrap token: its id is public, the other half is not; the name of an Event ends in 16 hex digits
        ((".",), r"\.(?<=\b[a-z0-9]{6}\.)(?=[a-z]*[0-9])(?=[0-9a-f]*[g-z])[a-z0-9]{16}\b(?![.-])", f".{_MARK}"),
    )
)
"""Texts one of which must be there, the pattern, and what stands in the place of what it matches."""

_WORDS = r"passw(?:or)?d|passphrase|secret|token|credential|api[_-]?key|access[_-]?key|private[_-]?key"
_WORD = re.compile(_WORDS, re.IGNORECASE)
_HINT = re.compile(r"passw|passph|secret|token|credential|api[_-]?key|access[_-]?key|private[_-]?key")
_ASSIGNED = re.compile(
    rf"(?i:{_WORDS})s?(?:"
    rf"(?:=|\\*[\"']\s{{0,2}}[:=]\s{{0,2}}\\*[\"']|\s{{0,2}}[:=]\s{{0,2}}\\*[\"']|\s=\s)"
    rf"(?P<quoted>(?!\[redacted\])(?=[^\s\"']{{0,256}}[A-Za-z]){_REST}{{4,}})"
    rf"|:\s{{0,2}}(?P<bare>(?!\[redacted\])(?=[^\s\"']{{0,256}}[0-9])(?=[^\s\"']{{0,256}}[A-Za-z]){_REST}{{8,}}))"
)
_OPTION_VALUE = re.compile(rf"(?i:{_WORDS})(?:=|\s)(?P<value>(?!\[redacted\])(?!-){_REST}{{6,}})")
_OPTION = re.compile(r"(?:^|[\s\"'=\x00])--?[A-Za-z0-9_-]{0,40}\Z")
_NOT_SECRET = re.compile(
    r"(?i)(?:file|path|dir|name|namespace|url|ref|ttl|type|class|id|expir\w*|enabled|audience)s?\Z"
)
_LONGEST_NAME = 256
_HARMLESS = re.compile(r"/|\$\(|\$\{|<|(?i:true|false|null|none|nil|required|missing|invalid|expired)\Z")

_PEM_LINE = re.compile(r"(?:\S{1,40}Z )?(?=\S*[a-z])(?=\S*[A-Z])(?=\S*[0-9])[A-Za-z0-9+/]{64}\s?")


def is_pem_line(text: str) -> bool:
    """Whether it is a line of a PEM alone, as a log that is followed line by line delivers a key."""
    return len(text) < 110 and _PEM_LINE.fullmatch(text) is not None


def is_secret_name(name: str) -> bool:
    """Whether a variable of this name likely holds a secret: ``DB_PASSWORD``, ``TOKEN_B``, but not ``TOKEN_FILE``."""
    return len(name) <= _LONGEST_NAME and _is_secret_name(name)


def is_secret_field(name: str) -> bool:
    """Whether the text of a field of this name is likely a secret: its name ends so (``clientSecret``, ``token``)."""
    return len(name) <= _LONGEST_NAME and _is_secret_field(name)


@lru_cache(maxsize=4096)
def _is_secret_name(name: str) -> bool:
    return bool(_WORD.search(name)) and not _NOT_SECRET.search(name)


@lru_cache(maxsize=4096)
def _is_secret_field(name: str) -> bool:
    ends = [found.end() for found in _WORD.finditer(name)]
    return bool(ends) and name[ends[-1] :] in ("", "s")


def is_secret_option(text: str) -> bool:
    """Whether a command-line argument says that the next one is a secret: ``--token``."""
    return text.startswith("-") and is_secret_field(text) and "=" not in text


def assigned_secrets(text: str) -> Iterator[tuple[int, int]]:
    """Where in a text the values stand that are given a secret's name: in order, without overlaps."""
    lowered = text.lower()
    if len(lowered) != len(text):  # a few letters change their length; those texts are rare
        lowered = "".join(char.lower() if char.isascii() else char for char in text)
    done = 0
    for hint in _HINT.finditer(lowered):
        if hint.start() < done:
            continue
        found = _ASSIGNED.match(text, hint.start())
        group = found.lastgroup if found else ""
        if not found and _OPTION.search(text, max(0, hint.start() - 50), hint.start()):
            found, group = _OPTION_VALUE.match(text, hint.start()), "value"
        if found and group and not _HARMLESS.match(found.group(group)):
            done = found.end(group)
            yield found.span(group)
