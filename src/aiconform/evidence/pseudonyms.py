"""Pseudonyms: one to one, per run, for what says where a cluster is or which device it has.

====================================================  ============================================================
IPv4 and IPv6 addresses                               ``ip-1``, ``ip-2`` ...; a CIDR keeps its length: ``ip-1/24``
device UUIDs: ``GPU-5a0b...``, ``gpu-...``, ``MIG-``  ``GPU-A`` ... ``GPU-Z``, ``GPU-AA``; ``gpu-A`` and ``MIG-A`` are
                                                      about the same device as ``GPU-A``
serial numbers and machine ids                        ``serial-1`` ...
host names that tell where they are                   ``node-1`` ...; plain ones such as ``gpu-0`` stay
====================================================  ============================================================

Loopback, unspecified addresses and netmasks stay. Names of Kubernetes objects are lower case, so ``GPU-A`` is none;
``ip-1`` could be one. A word of the cluster's own that looks like a pseudonym keeps its form if that is still free, and
is entered in the table like any real name if it is not. So whatever is turned back is what was there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Final

from aiconform.evidence.words import Word, distinct, find_words, is_address, is_telling, lookalikes, trie

_DEVICES: Final = ("GPU", "gpu", "MIG")


class Pseudonyms:
    """The table of one run. It holds real names: it stays in memory and never goes to a bundle."""

    def __init__(self) -> None:
        self._given: dict[str, str] = {}
        self._real: dict[str, str] = {}
        self._numbers: dict[str, Iterator[int]] = {}
        self._letters: dict[str, str] = {}
        self._hosts: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self.version = 0
        """Changes when a host name is learned, and with it what :meth:`hide` does."""

    def learn_host(self, name: str) -> None:
        """Take note of a node's or host's name: if it tells something, it is replaced from now on, wherever it is."""
        if name not in self._hosts and is_telling(name):
            self._hosts.add(name)
            self._pattern = None
            self.version += 1

    def hide(self, text: str) -> str:
        """The text with pseudonyms in place of what they stand for."""
        if self._pattern is None and self._hosts:
            self._pattern = re.compile(trie(self._hosts) + "(?![A-Za-z0-9])")
        found = find_words(text, self._pattern)
        for word in found:
            if word.kind == "":
                self._keep(text[word.start : word.end])
        return _spliced(text, found, self._pseudonym)

    def restore(self, text: str) -> str:
        """The text with what its pseudonyms stand for; words that are no pseudonym of this run stay."""
        return _spliced(text, distinct(lookalikes(text)), lambda word, _kind: self._real.get(word, word))

    def serial(self, text: str) -> str:
        """The pseudonym of a serial number or machine id."""
        if is_address(text) or any(True for _ in lookalikes(text)):
            return self.hide(text)
        return self._pseudonym(text, "serial")

    def _keep(self, word: str) -> None:
        if word not in self._given and word not in self._real:
            self._enter(word, word)

    def _pseudonym(self, real: str, kind: str) -> str:
        if real not in self._given:
            self._enter(real, next(name for name in self._candidates(real, kind) if name not in self._real))
        return self._given[real]

    def _enter(self, real: str, pseudonym: str) -> None:
        self._given[real] = pseudonym
        self._real[pseudonym] = real

    def _candidates(self, real: str, kind: str) -> Iterator[str]:
        prefix, _, rest = real.partition("-")
        if kind == "device" or (kind == "" and prefix in _DEVICES):
            device = rest.removeprefix("GPU-").lower()
            if device in self._letters:
                yield f"{prefix}-{self._letters[device]}"
            for number in self._counter("device"):
                self._letters.setdefault(device, _as_letters(number))
                yield f"{prefix}-{_as_letters(number)}"
        for number in self._counter(kind or prefix):
            yield f"{kind or prefix}-{number}"

    def _counter(self, kind: str) -> Iterator[int]:
        return self._numbers.setdefault(kind, count(1))


def _spliced(text: str, found: Iterable[Word], name: Callable[[str, str], str]) -> str:
    parts: list[str] = []
    done = 0
    for word in found:
        parts += (text[done : word.start], name(text[word.start : word.end], word.kind))
        done = word.end
    return "".join([*parts, text[done:]]) if parts else text


def _as_letters(number: int) -> str:
    """1 is A, 26 is Z, 27 is AA."""
    letters = ""
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters
