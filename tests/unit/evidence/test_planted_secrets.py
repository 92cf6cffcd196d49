"""600 planted secrets of 30 classes in 14 carriers: none may be left, and what stands around them must be."""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from aiconform.evidence.redact import Redactor

JSON = "application/json"
ALNUM = string.ascii_letters + string.digits
SEEDS = range(20)
BEFORE, AFTER = "1 of 2 nodes", "2 of 2 devices, 33 %"


def _some(dice: random.Random, length: int, letters: str = ALNUM) -> str:
    """Random letters with an upper-case and a lower-case one and a digit among them."""
    sure = "aB7" if letters == ALNUM else ""
    return "".join(dice.choices(letters, k=length - len(sure))) + sure


def _b64(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _jwt(dice: random.Random) -> str:
    head = {"alg": "RS256", "kid": _some(dice, 20)}
    return ".".join([_b64(json.dumps(head)), _b64(json.dumps({"sub": _some(dice, 30)})), _some(dice, 86)])


def _pem(dice: random.Random, kind: str, lines: int) -> str:
    body = "\n".join(base64.b64encode(dice.randbytes(48)).decode() for _ in range(lines))
    return f"-----BEGIN {kind}-----\n{body}\n-----END {kind}-----\n"


Plant = tuple[str, list[str]]
"""The text that is planted, and what of it must not be left."""


def _named(pattern: str, length: int = 20, letters: str = ALNUM) -> Callable[[random.Random], Plant]:
    def plant(dice: random.Random) -> Plant:
        value = _some(dice, length, letters)
        return pattern.replace("%s", value), [value]

    return plant


def _key(kind: str, lines: int) -> Callable[[random.Random], Plant]:
    def plant(dice: random.Random) -> Plant:
        pem = _pem(dice, kind, lines)
        return pem, pem.splitlines()[1:-1]

    return plant


def _packed_key(dice: random.Random) -> Plant:
    packed = base64.b64encode(_pem(dice, "EC PRIVATE KEY", 3).encode()).decode()
    return f"client-key-data: {packed}", [packed[40:80], packed[-60:-20]]


def _whole_jwt(dice: random.Random) -> Plant:
    token = _jwt(dice)
    return f"got {token} back", token.split(".")


FOREIGN: dict[str, Callable[[random.Random], Plant]] = {
    "jwt": _whole_jwt,
    "bearer": _named("Authorization: Bearer %s"),
    "bearer in lower case": _named("authorization: bearer %s"),
    "basic": _named("Authorization: Basic %s", 24),
    "rsa key": _key("RSA PRIVATE KEY", 25),
    "ec key": _key("EC PRIVATE KEY", 3),
    "pkcs8 key": _key("PRIVATE KEY", 26),
    "ssh key": _key("OPENSSH PRIVATE KEY", 7),
    "packed key": _packed_key,
    "aws id": _named("AKIA%s", 16, string.ascii_uppercase + string.digits),
    "aws secret": _named("aws_secret_access_key = %s", 40),
    "eks token": _named("k8s-aws-v1.%s", 60),
    "github": _named("ghp_%s", 36),
    "gitlab": _named("glpat-%s", 20),
    "slack": _named("xoxb-123456789012-%s", 24),
    "google": _named("AIza%s", 35),
    "nvidia": _named("nvapi-%s", 64),
    "hugging face": _named("hf_%s", 34),
    "azure": _named("DefaultEndpointsProtocol=https;AccountKey=%s==", 86),
    "url": _named("postgres://admin:%s@db.prod/x", 16),
    "password=": _named("password=%s", 14),
    "password:": _named("DB password: %s", 14),
    "json password": _named('{"user":"x","password":"%s"}', 14),
    "option": _named("join --token %s --discovery-token-unsafe-skip-ca-verification", 23),
    "docker auth": _named('{"auths":{"nvcr.io":{"auth":"%s"}}}', 32),
}  # fmt: skip

OUR_TOKEN = _jwt(random.Random("token"))
OUR_OPAQUE = _some(random.Random("opaque"), 40)
OUR_PASSWORD = "k8s+Pass/word=9!"
OUR_KEY = _pem(random.Random("key"), "RSA PRIVATE KEY", 25)
OURS = (OUR_TOKEN, OUR_OPAQUE, OUR_PASSWORD, OUR_KEY)
REDACTOR = Redactor(OURS)


def _own(spell: Callable[[bytes, random.Random], str]) -> Callable[[random.Random], Plant]:
    def plant(dice: random.Random) -> Plant:
        form = spell(dice.choice(OURS).encode(), dice)
        middle = [form[at : at + 20] for at in range(4, len(form) - 24, 17)]
        return form, [part for part in middle if "-----" not in part and "\n" not in part and " " not in part]

    return plant


OWN = {
    "own raw": _own(lambda raw, _: raw.decode()),
    "own base64": _own(lambda raw, dice: base64.b64encode(dice.randbytes(dice.randrange(3)) + raw + b"!").decode()),
    "own base64url": _own(lambda raw, dice: base64.urlsafe_b64encode(dice.randbytes(dice.randrange(3)) + raw).decode()),
    "own hex": _own(lambda raw, _: raw.hex()),
    "own url-encoded": _own(lambda raw, _: quote(raw.decode(), safe="")),
}
CLASSES = FOREIGN | OWN


def _json(value: Any) -> str:
    return REDACTOR.redact_body(json.dumps(value).encode(), JSON).decode()


def _object(text: str) -> str:
    return _json({"kind": "Pod", "metadata": {"name": "x", "annotations": {"a": text, "b": BEFORE, "c": AFTER}}})


CARRIERS: dict[str, Callable[[str], str]] = {
    "text": lambda t: REDACTOR.redact_text(f"{BEFORE} {t} {AFTER}"),
    "lines": lambda t: REDACTOR.redact_text(f"{BEFORE}\n{t}\n{AFTER}"),
    "log": lambda t: REDACTOR.redact_body(f"01:02:03 {BEFORE}: {t}\n{AFTER}\n".encode(), "text/plain").decode(),
    "html": lambda t: REDACTOR.redact_body(f"<p>{BEFORE}</p><p>{t}</p><p>{AFTER}</p>".encode(), "text/html").decode(),
    "annotation": _object,
    "message": lambda t: _json({"status": {"message": f"{BEFORE}: {t}. {AFTER}"}}),
    "key": lambda t: _json({t: BEFORE, "b": AFTER}),
    "cell": lambda t: _json({"kind": "Table", "rows": [{"cells": [BEFORE, t, 3, AFTER]}]}),
    "variable": lambda t: _json({"env": [{"name": "ARGS", "value": t}, {"name": BEFORE, "value": AFTER}]}),
    "arguments": lambda t: _json({"command": ["sh", "-c", t, BEFORE, AFTER]}),
    "watch event": lambda t: _json({"type": "ADDED", "object": {"data": {"file": f"{BEFORE}\n{t}\n{AFTER}\n"}}}),
    "JSON in a string": lambda t: _json({"data": {"dump": json.dumps({"a": BEFORE, "b": t, "c": AFTER})}}),
    "cut JSON": lambda t: REDACTOR.redact_body(json.dumps([BEFORE, AFTER, t])[:-2].encode(), JSON).decode(),
    "status": lambda t: _json({"kind": "Status", "message": f'{BEFORE} refused "{t}": {AFTER}', "code": 403}),
}  # fmt: skip


def test_there_are_enough() -> None:
    assert len(CLASSES) * len(SEEDS) >= 600
    assert len(CARRIERS) >= 14


@pytest.mark.parametrize("kind", CLASSES)
def test_no_planted_secret_is_left_and_what_is_around_it_is(kind: str) -> None:
    for seed in SEEDS:
        text, secrets = CLASSES[kind](random.Random(f"{kind}/{seed}"))
        for carrier, carry in CARRIERS.items():
            output = carry(text)
            for secret in secrets:
                assert secret not in output, f"{carrier}, seed {seed}"
            assert BEFORE in output, f"{carrier}, seed {seed}"
            assert AFTER in output, f"{carrier}, seed {seed}"
