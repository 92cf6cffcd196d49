"""Finds the words of a text that tell where a cluster is or which device it has.

Searches are anchored at what is rare (a dash after ``GPU``, two colons), because whole answers go through here.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple

_END = r"(?![A-Za-z0-9])"
_UUID = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
_DEVICE = re.compile(rf"(?:MIG-GPU|MIG|GPU|gpu)-(?:{_UUID}|[0-9a-f]{{16}}){_END}(?!-[A-Za-z0-9])")
_CLOUD = re.compile(rf"ip-[0-9]{{1,3}}(?:-[0-9]{{1,3}}){{3}}(?:\.[A-Za-z][A-Za-z0-9-]*)*{_END}")
# Four parts or more, so that a longer number with dots is seen as a whole and refused. 1.2.3.4-build and 1.2.3.4+k0s
# are versions, 10.0.0.1-10.0.0.9 is a range.
_DOTTED = re.compile(
    rf"(?<![0-9])(?<![0-9]\.)[0-9]++(?:\.[0-9]++){{3,}}+{_END}(?!\+)(?!-[A-Za-z])(?!-[0-9]+(?:-|{_END}(?!\.)))"
)
_DASHED = re.compile(r"[0-9]{1,3}(?:-[0-9]{1,3}){3}(?=\.[a-z])")
_DOTS = re.compile(r"\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]")
_DASHES = re.compile(r"-[0-9]{1,3}-[0-9]{1,3}-[0-9]")
_COLONS = re.compile(r":(?::|(?:[0-9A-Fa-f]{1,4}:){5})")
_V6_LEFT = re.compile(r"[0-9A-Fa-f:]*\Z")
_V6_RIGHT = re.compile(r"[0-9A-Fa-f:]*(?:\.[0-9]+){0,3}")
_SERIAL = re.compile(
    r"(?:erial|ERIAL)(?:[ _-]?(?:[Nn]umber|NUMBER|[Nn]o))?[\"']?\s{0,60}[:=>]\s{0,20}[\"']?([A-Za-z0-9]{8,64})" + _END
)
_LOOKALIKE = re.compile(
    rf"-(?:(?<=[Gg]PU-)|(?<=gpu-)|(?<=MIG-))[A-Z]{{1,3}}{_END}"
    rf"|-(?:(?<=ip-)|(?<=node-)|(?<=serial-))[1-9][0-9]{{0,6}}{_END}"
)
_PREFIX = re.compile(r"(?:ip|node|serial|GPU|gpu|MIG)\Z")
# What may stand before a word though it ends in a letter or digit: an escape, or a colour of a terminal.
_INVISIBLE = re.compile(
    r"(?:\\[abfnrtv0]|%[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|(?:\x1b|\\u001b|\\x1b|\\033|\\e)\[[0-9;]{0,12}m)\Z"
)
_VERSION = re.compile(r"[Vv]ersion[\"']?[ :=]{1,3}[\"']?\Z")
_PLAIN_HOST = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+){0,4}")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_TELLING = re.compile(
    r"^(?:ip|gke|aks|eks|oke|vmss)-|[0-9]{5}|[0-9]+-[0-9]+-[0-9]+-[0-9]+"
    r"|(?:^|-)(?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{6}"
)
_LONGEST_PLAIN: Final = 24
_LONGEST_ADDRESS: Final = 45


class Word(NamedTuple):
    """A word of a text: where, of what kind (empty: looks like a pseudonym), and how sure against overlapping ones."""

    start: int
    end: int
    kind: str
    rank: int


def is_telling(host: str) -> bool:
    """Whether a node's or host's name tells where the cluster is.

    Short plain names (``gpu-0``, ``worker-1``, ``control``) do not, and readers compare them with kubectl. Names with a
    dot, an address, a long number or hash in them, a cloud's prefix, or more than 24 characters do.
    """
    plain = len(host) <= _LONGEST_PLAIN and _PLAIN_HOST.fullmatch(host) and not _TELLING.search(host)
    return not plain and len(host) > 1 and bool(_HOST.fullmatch(host)) and not is_address(host)


def is_address(text: str) -> bool:
    """Whether it is an address that tells something; loopback, unspecified addresses and netmasks do not."""
    return len(text) <= _LONGEST_ADDRESS and _is_address(text)


@lru_cache(maxsize=4096)
def _is_address(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified or text.startswith("255."))


def find_words(text: str, hosts: re.Pattern[str] | None) -> list[Word]:
    """The words to replace, in order, without overlaps.

    Args:
        text: any text.
        hosts: matches the host names to replace.
    """
    words: list[Word] = []
    if hosts is not None:
        words += _all(hosts, text, "node", 0)
    if "ip-" in text:
        words += _all(_CLOUD, text, "node", 1)
    if "GPU-" in text or "gpu-" in text or "MIG-" in text:
        words += _all(_DEVICE, text, "device", 2)
    if _DOTS.search(text):
        words += (word for word in _all(_DOTTED, text, "ip", 3) if _is_dotted_address(text, word))
    if _DASHES.search(text):
        words += (word for word in _all(_DASHED, text, "ip", 3) if is_address(_cut(text, word).replace("-", ".")))
    words += _ipv6(text)
    if "erial" in text or "ERIAL" in text:
        words += (Word(m.start(1), m.end(1), "serial", 4) for m in _SERIAL.finditer(text) if _is_serial(m.group(1)))
    words += lookalikes(text)
    return distinct(words) if words else words


def lookalikes(text: str) -> Iterator[Word]:
    """Words that have the form of a pseudonym."""
    for found in _LOOKALIKE.finditer(text):
        prefix = _PREFIX.search(text, max(0, found.start() - 6), found.start())
        if prefix is not None and starts_word(text, prefix.start()):
            yield Word(prefix.start(), found.end(), "", 5)


def distinct(words: Iterable[Word]) -> list[Word]:
    """Without overlaps: the earlier wins, then the longer, then the surer."""
    kept: list[Word] = []
    for word in sorted(words, key=lambda word: (word.start, -word.end, word.rank)):
        if not kept or word.start >= kept[-1].end:
            kept.append(word)
    return kept


def starts_word(text: str, start: int) -> bool:
    """Whether no letter or digit stands before; an escape or a terminal's colour does not count as one."""
    before = text[start - 1 : start]
    if not (before.isascii() and before.isalnum()):
        return True
    return _INVISIBLE.search(text, max(0, start - 20), start) is not None


def _all(pattern: re.Pattern[str], text: str, kind: str, rank: int) -> Iterator[Word]:
    for found in pattern.finditer(text):
        if starts_word(text, found.start()):
            yield Word(found.start(), found.end(), kind, rank)


def _cut(text: str, word: Word) -> str:
    return text[word.start : word.end]


def _is_dotted_address(text: str, word: Word) -> bool:
    return is_address(_cut(text, word)) and not _VERSION.search(text, max(0, word.start - 13), word.start)


def _ipv6(text: str) -> Iterator[Word]:
    done = 0
    for found in _COLONS.finditer(text):
        if found.start() < done:
            continue
        left = _V6_LEFT.search(text, max(0, found.start() - 40), found.start())
        right = _V6_RIGHT.match(text, found.end(), found.end() + 60)
        start, end = (left.start() if left else found.start()), (right.end() if right else found.end())
        done = end
        whole = text[start:end]
        # a colon before belongs to what names the address, one after to what is said of it
        for lead in (0, 1) if whole.startswith(":") and not whole.startswith("::") else (0,):
            for tail in range(3):
                word = Word(start + lead, end - tail, "ip", 3)
                if is_address(_cut(text, word)) and starts_word(text, word.start) and not _goes_on(text, word.end):
                    yield word
                    break


def _goes_on(text: str, end: int) -> bool:
    after = text[end : end + 1]
    return after.isascii() and after.isalnum()


def _is_serial(text: str) -> bool:
    return sum(char.isdigit() for char in text) >= 6


def trie(words: Iterable[str]) -> str:
    """A pattern for any of the words, the longest first, whose cost does not grow with their number."""
    root: dict[str, Any] = {}
    for word in words:
        at = root
        for char in word:
            at = at.setdefault(char, {})
        at[""] = {}
    return _trie(root)


def _trie(at: dict[str, Any]) -> str:
    straight = ""
    while len(at) == 1 and "" not in at:
        char, at = next(iter(at.items()))
        straight += re.escape(char)
    branches = [re.escape(char) + _trie(below) for char, below in sorted(at.items()) if char]
    if not branches:
        return straight
    return f"{straight}(?:{'|'.join(branches)}){'?' if '' in at else ''}"
