"""The ways in which a secret may stand in a text: as it is, escaped, URL-encoded, in hexadecimal, in base64."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, quote_plus

SHORTEST: Final = 8
"""Secrets of fewer bytes are not searched for: they stand in ordinary words, and to take those out would make a bundle
unreadable, break what is judged, and hide nothing."""
SHORTEST_ENCODED: Final = 8
"""Encoded forms shorter than this are not searched for."""

_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END [A-Z0-9 ]+-----", re.DOTALL)


def spellings(secret: bytes) -> Iterator[str]:
    """Every spelling of a secret, without line folding; a PEM block also as the data in it."""
    secret = secret.strip()
    if len(secret) < SHORTEST:
        return
    yield from _text_forms(secret)
    for data in dict.fromkeys((secret, secret + b"\n", secret.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))):
        yield from _data_forms(data)
    for _kind, body in _PEM.findall(secret):
        joined = b"".join(body.split())
        yield joined.decode("ascii", "replace")
        try:
            yield from _data_forms(base64.b64decode(joined, validate=True))
        except binascii.Error:
            yield from _data_forms(joined)


def is_public(secret: bytes) -> bool:
    """Whether it is a certificate: only the whole of it is ours, parts of it are in other certificates too."""
    kinds = [kind for kind, _body in _PEM.findall(_unpacked(secret))]
    return bool(kinds) and all(kind == b"CERTIFICATE" for kind in kinds)


def _unpacked(secret: bytes) -> bytes:
    """What a kubeconfig holds in base64; anything else as it is."""
    try:
        return base64.b64decode(secret.strip(), validate=True)
    except binascii.Error:
        return secret


def _data_forms(data: bytes) -> Iterator[str]:
    if len(data) < SHORTEST_ENCODED // 2:
        return
    forms = [data.hex(), data.hex(":"), "".join(f"%{byte:02x}" for byte in data)]
    forms += ["".join(f"\\x{byte:02x}" for byte in data)]
    forms += [form.upper() for form in forms[:3]]
    for lead in range(3):  # base64 looks different depending on how many bytes stand before
        encoded = base64.b64encode(bytes(lead) + data).decode()
        sure = encoded[(0, 2, 3)[lead] : (lead + len(data)) * 8 // 6]
        forms += [sure, sure.translate({ord("+"): "-", ord("/"): "_"})]
    yield from (form for form in forms if len(form) >= SHORTEST_ENCODED)


def _text_forms(data: bytes) -> Iterator[str]:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return
    yield text
    for ascii_only in (True, False):
        once = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
        twice = json.dumps(once, ensure_ascii=ascii_only)[1:-1]
        yield from (once, twice, json.dumps(twice, ensure_ascii=ascii_only)[1:-1], once.replace("/", "\\/"))
    # Go writes these three as escapes
    yield re.sub("[<>&]", lambda found: f"\\u{ord(found.group()):04x}", json.dumps(text, ensure_ascii=False)[1:-1])
    for encoded in (quote(text, safe=""), quote(text), quote_plus(text)):
        yield from (encoded, re.sub(r"%[0-9A-F]{2}", lambda found: found.group().lower(), encoded))
        yield encoded.replace("%", "%25")
