"""A request as OpenAI's clients send it, and whether it arrived as it was sent."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from aiconform.checks._kit.gateway_status import Gateway
from aiconform.checks._kit.traffic import IN_A_ROW, told
from aiconform.checks._kit.workloads import Answers, Batch
from aiconform.engine import Context

PATH = "/v1/chat/completions"
_HEADERS = ("Authorization", "Content-Type", "OpenAI-Organization", "OpenAI-Project", "X-Model")
"""Headers whose values must arrive; the backend tells the digest of what it got of them."""


def completion(ctx: Context, front: Gateway, host: str, *, model: str) -> Batch:
    """The request: a conversation of some length and with characters of several bytes."""
    words = f'Grüße, 世界: "{ctx.name("prompt")}"\n' + "as long as a prompt may well be; " * 80
    body = {
        "model": model,
        "messages": [{"role": "system", "content": "Answer in one word."}, {"role": "user", "content": words}],
        "temperature": 0.2,
        "max_tokens": 16,
        "stream": False,
    }
    values = ("Bearer of-nobody", "application/json", "org-of-nobody", "project-of-nobody", model)
    headers = {"Host": host, **dict(zip(_HEADERS, values, strict=True)), "X-Digest-Of": ",".join(_HEADERS)}
    return Batch(
        "chat",
        front.url(PATH),
        method="POST",
        headers=headers,
        body=json.dumps(body, ensure_ascii=False),
        settle={"status": 200, "within_s": front.settle_s, "times": IN_A_ROW},
    )


def wanted(sent: Batch, backend: str) -> dict[str, object]:
    """What a backend must say of the request."""
    body = sent.body.encode()
    signed = "\n".join(f"{name}:{sent.headers[name]}" for name in _HEADERS)
    return {
        "backend": backend,
        "method": sent.method,
        "path": PATH,
        "host": sent.headers["Host"],
        "body_bytes": len(body),
        "body_sha256": hashlib.sha256(body).hexdigest(),
        "headers_sha256": hashlib.sha256(signed.encode()).hexdigest(),
    }


def intact(ctx: Context, sent: Batch, seen: Answers, backend: str) -> None:
    """Expect that a backend got method, path, host, headers and body as they were sent."""
    told_of, got = wanted(sent, backend), _arrived(seen)
    differing = [
        f"{name} is {got.get(name)!r}, not {value!r}" for name, value in told_of.items() if got.get(name) != value
    ]
    size = told_of["body_bytes"]
    ctx.expect(
        f"POST {PATH} reaches {backend} as it was sent: its Host, {len(_HEADERS)} headers and {size} bytes",
        "; ".join([*(differing or ["the same, by their digests"]), told(seen)]),
        ok=seen.settled_s is not None and seen.first_status == 200 and not differing,
        figures={name: str(got.get(name, "")) for name in told_of},
    )


def _arrived(seen: Answers) -> dict[str, Any]:
    try:
        got = json.loads(seen.first_body)
    except ValueError:
        return {}
    return got if isinstance(got, dict) else {}
