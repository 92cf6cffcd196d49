"""Redaction: between the cluster and everything that is judged, recorded or shown.

What a check sees is what is recorded, so it is redacted first: credentials go for good, addresses, serials and telling
names become pseudonyms that requests turn back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Final

from aiconform.evidence.credentials import REDACTED, Credentials
from aiconform.evidence.objects import is_serial_field, tidy
from aiconform.evidence.pseudonyms import Pseudonyms
from aiconform.evidence.shapes import is_pem_line, is_secret_field, is_secret_option
from aiconform.evidence.strictjson import StrictJSONError, loads

_REMEMBERED: Final = 4 * 2**20
"""Characters of strings whose redacted form is kept; answers of a cluster repeat themselves."""
_BETWEEN: Final = "\0"
_SECRET_BODY = re.compile(r'"kind"\s*:\s*"Secret(?:List)?"')
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


class Redactor:
    """Redacts what comes from a cluster, and turns pseudonyms in requests back.

    One per run; pseudonyms are given in the order in which things are first seen. It knows our secrets and the real
    names, and stays in memory.

    Args:
        secrets: our own credentials: token, password, client key, client certificate; text or bytes. Those of fewer
            than :data:`~aiconform.evidence.spellings.SHORTEST` bytes are passed over, here as where one is learned.
    """

    def __init__(self, secrets: Iterable[str | bytes] = ()) -> None:
        self._secrets = list(secrets)
        self._credentials = Credentials(self._secrets)
        self._names = Pseudonyms()
        self._known: dict[str, str] = {}
        self._version = 0
        self._size = 0

    def learn_secret(self, secret: str | bytes) -> None:
        """Redact this too from now on: a token that a credential plugin gave."""
        if secret not in self._secrets:
            self._secrets.append(secret)
            self._credentials = Credentials(self._secrets)
            self._known.clear()
            self._size = 0

    def redact_body(self, data: bytes, content_type: str) -> bytes:
        """An answer's body as the check may see it.

        JSON is parsed, loses what :func:`~aiconform.evidence.objects.tidy` takes away, and is written again without
        white space. What is said to be JSON and is not strictly so is treated as text, so that it cannot be used as
        JSON later either; if it looks like a Secret, nothing of it is kept.

        Args:
            data: the body: an object, a list, a table, a watch event, a log.
            content_type: as the server gave it; parameters are ignored.
        """
        media = content_type.partition(";")[0].strip().lower()
        text = data.decode("utf-8", "replace")
        if media == "application/json" or media.endswith("+json") or (not media and data[:1] == b"{"):
            try:
                value = loads(data, on_object=lambda obj: tidy(obj, self._names.learn_host))
            except StrictJSONError:
                if _SECRET_BODY.search(text):
                    return REDACTED.encode()
            else:
                return self._redact_json(value).encode()
        return REDACTED.encode() if is_pem_line(text) else self.redact_text(text).encode()

    def redact_text(self, text: str) -> str:
        """A text as the check may see it: a log, an error, a header."""
        return self._names.hide(self._credentials.remove(text))

    def without_secrets(self, text: str) -> str:
        """Our own text without credentials; the names in it are ours and stay."""
        return self._credentials.remove(text)

    def restore_text(self, text: str) -> str:
        """A request's text as the cluster knows it, with pseudonyms turned back. Never record what this returns."""
        return self._names.restore(text)

    def _redact_json(self, value: Any) -> str:
        strings: dict[str, None] = {}
        _collect(value, strings)
        self._learn([text for text in strings if text not in self._current()])
        return _ENCODER.encode(self._mapped(value))

    def _current(self) -> dict[str, str]:
        """What strings were redacted to; a host name learned since makes it worthless."""
        if self._version != self._names.version or self._size > _REMEMBERED:
            self._known.clear()
            self._size = 0
            self._version = self._names.version
        return self._known

    def _learn(self, texts: list[str]) -> None:
        """Redact many strings at once: one long text costs a fraction of many short ones."""
        redacted = self.redact_text(_BETWEEN.join(texts)).split(_BETWEEN) if texts else []
        if len(redacted) != len(texts):  # a string with that character in it, or a secret that took it away
            redacted = [self.redact_text(text) for text in texts]
        self._known.update(zip(texts, redacted, strict=True))
        self._size += sum(map(len, texts))

    def _mapped(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._known[value]
        if isinstance(value, dict):
            found: dict[str, Any] = {}
            for key, item in value.items():
                name = self._known[key]
                while name in found:  # redaction has made two keys the same
                    name += " "
                found[name] = self._field(key, item) if isinstance(item, str) and item else self._mapped(item)
            return found
        return self._list(value) if isinstance(value, list) else value

    def _field(self, key: str, text: str) -> str:
        if is_secret_field(key):
            return REDACTED
        found = self._known[text]
        return self._names.serial(text) if found == text and is_serial_field(key) else found

    def _list(self, items: list[Any]) -> list[Any]:
        found = [self._mapped(item) for item in items]
        for number, item in enumerate(items[:-1]):
            if isinstance(item, str) and isinstance(items[number + 1], str) and is_secret_option(item):
                found[number + 1] = REDACTED
        return found


def _collect(value: Any, strings: dict[str, None]) -> None:
    """All strings of a JSON value, keys included, in order."""
    if isinstance(value, str):
        strings[value] = None
    elif isinstance(value, dict):
        for key, item in value.items():
            strings[key] = None
            _collect(item, strings)
    elif isinstance(value, list):
        for item in value:
            _collect(item, strings)
