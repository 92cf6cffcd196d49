"""Takes credentials out of texts: our own in whatever spelling, and anybody's that can be known by their form."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from aiconform.evidence.fragments import Fragments
from aiconform.evidence.shapes import SHAPES, assigned_secrets
from aiconform.evidence.spellings import is_public, spellings

REDACTED: Final = "[redacted]"

_SECRET_OBJECT = re.compile(r"kind\\*[\"']?\s*:\s*\\*[\"']?Secret(?:List)?\b")
_SECRET_JSON = re.compile(r"(\\{0,8}[\"'](?:data|stringData)\\*[\"']\s*:\s*)\{[^{}]*\}?")
_SECRET_YAML = re.compile(
    r"^([ \t]{0,40}(?:- )?[ \t]{0,40})((?:data|stringData):)[ \t]*\n(?:\1[ \t]+[^\n]*(?:\n|\Z)|[ \t]*\n)+", re.M
)


class Credentials:
    """Takes secrets out of texts.

    Args:
        own: our own: token, password, client key, client certificate; text or bytes.
    """

    def __init__(self, own: Iterable[str | bytes]) -> None:
        secrets = [secret.encode("utf-8", "replace") if isinstance(secret, str) else secret for secret in own]
        forms = {form: is_public(secret) for secret in secrets for form in spellings(secret)}
        self._forms = sorted(forms, key=lambda form: (-len(form), form))
        self._parts = Fragments(form for form, public in forms.items() if not public)

    def remove(self, text: str) -> str:
        """The text with ``[redacted]`` for every secret."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, REDACTED)
        if "Secret" in text and _SECRET_OBJECT.search(text):
            text = _SECRET_JSON.sub(rf'\1"{REDACTED}"', text)
            text = _SECRET_YAML.sub(rf"\1\2 {REDACTED}\n", text)
        for hints, pattern, replacement in SHAPES:
            if any(hint in text for hint in hints):
                text = pattern.sub(replacement, text)
        # last, because a stretch that ours and another token have in common would leave the rest of that one
        return self._parts.replace(_without_assigned(text), REDACTED)


def _without_assigned(text: str) -> str:
    """Values that are given a name which says that they are secret: ``password=...``, ``--token ...``."""
    parts: list[str] = []
    done = 0
    for start, end in assigned_secrets(text):
        parts += (text[done:start], REDACTED)
        done = end
    return "".join([*parts, text[done:]]) if parts else text
