"""Redaction: between the cluster and everything that is judged, recorded or shown.

What a check sees is what is recorded, so it is redacted first: credentials go for good, addresses, serials and telling
names become pseudonyms that requests turn back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from aiconform.evidence.credentials import REDACTED, Credentials
from aiconform.evidence.objects import is_serial_key, node_names, tidy
from aiconform.evidence.pseudonyms import Pseudonyms
from aiconform.evidence.strictjson import StrictJSONError, loads

_REMEMBERED = 50_000
_LONGEST_REMEMBERED = 256
_SECRET_BODY = re.compile(r'"kind"\s*:\s*"Secret(?:List)?"')


class Redactor:
    """Redacts what comes from a cluster, and turns pseudonyms in requests back.

    One per run; pseudonyms are given in the order in which things are first seen.

    Args:
        secrets: our own credentials: token, client key, client certificate, passwords.
    """

    def __init__(self, secrets: Iterable[str | bytes] = ()) -> None:
        self._credentials = Credentials(secrets)
        self._names = Pseudonyms()
        self._known: dict[str, str] = {}
        self._known_version = 0

    def redact_body(self, data: bytes, content_type: str) -> bytes:
        """An answer's body as the check may see it.

        JSON loses what :func:`~aiconform.evidence.objects.tidy` takes away. What is no strict JSON is treated as
        text, so that it cannot be used as JSON later either.

        Args:
            data: the body: an object, a list, a table, a watch event, a log.
            content_type: as the server gave it; parameters are ignored.
        """
        media = content_type.partition(";")[0].strip().lower()
        if media == "application/json" or media.endswith("+json") or data[:1] == b"{":
            try:
                value = loads(data)
            except StrictJSONError:
                pass
            else:
                return self._json(value)
        text = data.decode("utf-8", "replace")
        if _SECRET_BODY.search(text):
            return REDACTED.encode()
        return self.redact_text(text).encode()

    def redact_text(self, text: str) -> str:
        """A text as the check may see it."""
        return self._names.replace(self._credentials.redact(text))

    def restore_text(self, text: str) -> str:
        """A request's text as the cluster knows it: pseudonyms turned back."""
        return self._names.restore(text)

    def _json(self, value: Any) -> bytes:
        for name, aliases in node_names(value):
            self._names.learn_node(name, aliases)
        value = _mapped(tidy(value), self._string, self._names.serial)
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()

    def _string(self, text: str) -> str:
        if len(text) < 4:
            return text
        if self._known_version != self._names.version or len(self._known) > _REMEMBERED:
            self._known.clear()
            self._known_version = self._names.version
        found = self._known.get(text)
        if found is None:
            found = self.redact_text(text)
            if len(text) <= _LONGEST_REMEMBERED:
                self._known[text] = found
        return found


def _mapped(value: Any, string: Callable[[str], str], serial: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return string(value)
    if isinstance(value, list):
        return [_mapped(item, string, serial) for item in value]
    if not isinstance(value, dict):
        return value
    found: dict[str, Any] = {}
    for key, item in value.items():
        name = _free(string(key), found)
        if is_serial_key(key) and isinstance(item, str) and item:
            found[name] = serial(item)
        else:
            found[name] = _mapped(item, string, serial)
    return found


def _free(key: str, taken: dict[str, Any]) -> str:
    """The key, made different from those that redaction has made equal to it."""
    name, number = key, 1
    while name in taken:
        number += 1
        name = f"{key} {number}"
    return name
