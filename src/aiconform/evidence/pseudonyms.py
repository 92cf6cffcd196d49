"""Pseudonyms: one to one, per run, for what says where a cluster is or which device it has.

====================================================  =====================================================
addresses, but loopback, unspecified and masks        ``ip-1``, ``ip-2`` ... (``ip-1/24``: a CIDR keeps its length)
device UUIDs, ``GPU-5a0b...`` and ``MIG-5a0b...``     ``GPU-A``, ``GPU-B`` ... ``GPU-Z``, ``GPU-AA``; ``MIG-A`` ...
serial numbers of devices and machines                ``serial-1`` ...
node names that carry an address, domain or cloud id  ``node-1`` ...; plain ones such as ``gpu-0`` stay
further host names of nodes                           ``host-1`` ...
====================================================  =====================================================

Kubernetes names are lower case, so ``GPU-A`` is no object's name; ``ip-1`` or ``node-1`` can be one. Text of the
cluster that looks like a pseudonym keeps its place, and the number is never given out; where the number was already
given out, that text gets a pseudonym itself. So what is turned back is always what was there.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

BEFORE: Final = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt])|(?<=%[0-9A-Fa-f]{2})|(?<=\\u00[01][0-9A-Fa-f]))"
"""Where a word begins: also after an escape that stands for another character."""

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_V4 = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
_UUID = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
_PATTERNS: Final = {
    # an address as part of a host name, as clouds and cluster DNS write it
    "host": rf"{BEFORE}(?:ip-{_OCTET}(?:-{_OCTET}){{3}}(?:\.[a-z0-9-]+)*|{_OCTET}(?:-{_OCTET}){{3}}(?=\.[a-z]))"
    r"(?![A-Za-z0-9])",
    "device": rf"{BEFORE}(?:GPU|gpu|MIG)-{_UUID}(?![A-Za-z0-9])",
    "v6": rf"{BEFORE}(?<![:.])(?=[0-9A-Fa-f:]*:[0-9A-Fa-f]*:)[0-9A-Fa-f:]{{2,39}}(?::{_V4})?"
    r"(?![A-Za-z0-9:])(?!\.[0-9])",
    # four parts and no more; 1.2.3.4-build is a version, 10.0.0.1-10.0.0.9 a range
    "v4": rf"{BEFORE}(?<!\.){_V4}(?![A-Za-z0-9])(?!\.[A-Za-z0-9])(?!-(?!{_OCTET}\.[0-9])[A-Za-z0-9])",
    "lookalike": rf"{BEFORE}(?:(?:ip|node|host|serial)-[1-9][0-9]*|(?:GPU|MIG)-[A-Z]{{1,3}})(?![A-Za-z0-9])",
}
_SERIAL = (
    r"(?P<key>(?i:\bserial(?:[ _-]?(?:number|no))?)\b[\"']?[ \t]*[:=>][ \t]*[\"']?)"
    r"(?P<serial>(?=[A-Za-z-]*[0-9])[0-9A-Za-z-]{4,64})(?![0-9A-Za-z])"
)
_RESTORE = re.compile(_PATTERNS["lookalike"])
_LOOKALIKE = re.compile(r"(?:(?:ip|node|host|serial)-[1-9][0-9]*|(?:GPU|MIG)-[A-Z]{1,3})")
_PLAIN_NODE = re.compile(r"[a-z0-9][a-z0-9-]{0,23}")
_CLOUDY = re.compile(r"(?:ip|gke|aks|eks|oke|vmss)-|i-[0-9a-f]{8,}|(?:[0-9]{1,3}-){3}[0-9]|(?=[a-f]*[0-9])[0-9a-f]{8,}")


def is_plain_node_name(name: str) -> bool:
    """Whether a node's name says nothing about where the node is, as ``gpu-0`` and ``worker-1``."""
    return bool(_PLAIN_NODE.fullmatch(name)) and not _CLOUDY.search(name)


class Pseudonyms:
    """The table of one run. It is kept in memory only."""

    def __init__(self) -> None:
        self._real: dict[str, str] = {}
        self._given: dict[str, str] = {}
        self._reserved: set[str] = set()
        self._last: dict[str, int] = {}
        self._hosts: set[str] = set()
        self._pattern = self._compile()
        self.version = 0
        """Changes when a name is learned, and with it what :meth:`replace` does."""

    def learn_node(self, name: str, aliases: tuple[str, ...] = ()) -> None:
        """Take note of a node's name and its other host names; those that tell something are replaced from now on."""
        for kind, text in (("node", name), *(("host", alias) for alias in aliases)):
            if not text or text in self._hosts or is_plain_node_name(text) or _is_address(text):
                continue
            self._hosts.add(text)
            if text not in self._given:
                self._give(kind, text)
            self._pattern = self._compile()
            self.version += 1

    def replace(self, text: str) -> str:
        """The text with pseudonyms in the place of what they stand for."""
        return self._pattern.sub(self._replacement, text)

    def restore(self, text: str) -> str:
        """The text with what the pseudonyms in it stand for."""
        return _RESTORE.sub(lambda found: self._real.get(found.group(), found.group()), text)

    def serial(self, text: str) -> str:
        """The pseudonym of a serial number."""
        if _LOOKALIKE.fullmatch(text):
            return self._lookalike(text)
        return self._given.get(text) or self._give("serial", text)

    def _compile(self) -> re.Pattern[str]:
        parts = [f"(?P<{name}>{pattern})" for name, pattern in _PATTERNS.items()]
        if self._hosts:
            known = "|".join(re.escape(name) for name in sorted(self._hosts, key=lambda name: (-len(name), name)))
            parts.insert(0, rf"(?P<known>{BEFORE}(?:{known})(?![A-Za-z0-9]))")
        return re.compile("|".join([*parts, _SERIAL]))

    def _replacement(self, found: re.Match[str]) -> str:
        text, kind = found.group(), found.lastgroup or ""
        if kind == "lookalike":
            return self._lookalike(text)
        if kind == "serial":
            return found.group("key") + self.serial(found.group("serial"))
        if kind in ("v4", "v6"):
            if not _says_where(text):
                return text
            kind = "ip"
        elif kind == "device":
            kind = text[:3].upper()
        elif kind == "known":
            kind = "node"
        return self._given.get(text) or self._give(kind, text)

    def _lookalike(self, text: str) -> str:
        if text in self._real:
            kind = text.partition("-")[0]
            return self._given.get(text) or self._give(kind, text)
        self._reserved.add(text)
        return text

    def _give(self, kind: str, text: str) -> str:
        while True:
            number = self._last[kind] = self._last.get(kind, 0) + 1
            name = f"{kind}-{_letters(number) if kind in ('GPU', 'MIG') else number}"
            if name not in self._reserved:
                break
        self._given[text] = name
        self._real[name] = text
        return name


def _letters(number: int) -> str:
    """1 is A, 26 is Z, 27 is AA."""
    letters = ""
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _says_where(text: str) -> bool:
    """Whether a text is an address that tells something; loopback, unspecified and masks do not."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified or text.startswith("255."))
