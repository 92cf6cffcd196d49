"""The kinds of fault of an API server and of the way to it, each as something done to one request.

A kind that makes no sense for a request (a conflict for a read) takes the form that comes nearest: an answer with that
status. Answers that a kind makes up never reach the API server, unless it says that the write was committed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

from tests.faults import wire
from tests.faults.proxy import Answer, Exchange, Fault
from tests.faults.wire import Head

DOWN_S = 1.0
"""How long the port refuses connections."""
LARGE = 100 * 1024 * 1024
TRAP = "/trap"
"""Beginning of the path that redirects lead to; who asks there has followed one."""
_FIRST_LINE_S = 0.5
"""How long a fault inside a stream waits for something to be inside of."""
_PAGE = b"<!doctype html><title>Sign in</title><p>Your session has expired.</p>\n"
_JSON = ("Content-Type", "application/json")
_TEXT = {401: "Unauthorized", 403: "Forbidden", 409: "Conflict", 410: "Gone", 429: "Too Many Requests"}
_REASON = {
    401: "Unauthorized",
    403: "Forbidden",
    409: "AlreadyExists",
    410: "Expired",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


def head(status: int, *headers: tuple[str, str]) -> Head:
    """The head of an answer."""
    now = format_datetime(datetime.now(UTC), usegmt=True)
    return Head(f"HTTP/1.1 {status} {_TEXT.get(status, 'Status')}", (("Date", now), *headers))


def status_object(status: int, message: str = "injected by the fault proxy") -> dict[str, Any]:
    """A Status as the API server would write it."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": _REASON.get(status, ""),
        "code": status,
    }


async def refuse(x: Exchange, status: int, *headers: tuple[str, str]) -> None:
    """Answer with an error that the API server would give; the request never gets there."""
    await x.answer(head(status, _JSON, *headers), json.dumps(status_object(status)).encode())


def plain(status: int, *headers: tuple[str, str]) -> Fault:
    """A kind that only answers with this status."""

    async def fault(x: Exchange) -> None:
        await refuse(x, status, *headers)

    return fault


async def bad_gateway(x: Exchange) -> None:
    """502 from a load balancer, in HTML."""
    await x.answer(head(502, ("Content-Type", "text/html")), b"<html><h1>502 Bad Gateway</h1></html>")


async def gateway_timeout(x: Exchange) -> None:
    """504 for a request that the API server nevertheless carried out."""
    if not x.request.streams:
        await x.ask()
    await refuse(x, 504)


async def conflict_own(x: Exchange) -> None:
    """409 for what was committed: something on the way sent the request twice."""
    if x.request.streams or not x.request.writes:
        await refuse(x, 409)
        return
    await x.ask()
    if x.request.method == "POST":
        again = await x.ask()
        await x.answer(again.head, again.body)
    else:
        await refuse(x, 409)


async def conflict_foreign(x: Exchange) -> None:
    """409 because somebody else has an object of that name, or has put one in the place of ours."""
    if x.request.method == "POST":
        there = await _planted(x, x.request.path, json.loads(x.request.body))
    else:
        there = x.request.writes and await _replaced(x)
    await (x.passed_on() if there else refuse(x, 409))


async def _replaced(x: Exchange) -> bool:
    path = x.request.path
    status, found = await x.proxy.planter.json("GET", path)
    if status != 200 or found.get("kind") == "Namespace":
        return False
    await x.proxy.planter.json("DELETE", path, {"gracePeriodSeconds": 0, "propagationPolicy": "Background"})
    return await _planted(x, path.rpartition("/")[0], found)


async def _planted(x: Exchange, collection: str, manifest: dict[str, Any]) -> bool:
    meta = manifest.get("metadata") or {}
    if "name" not in meta:
        return False  # a review: nothing is stored of it that could be in the way
    kept = {key: meta[key] for key in ("name", "namespace") if key in meta}
    foreign = {key: value for key, value in manifest.items() if key != "status"}
    foreign["metadata"] = {**kept, "labels": {"bystander": "planted"}}
    status, made = await x.proxy.planter.json("POST", collection, foreign)
    if status == 201:
        x.proxy.planted.append((f"{collection}/{meta['name']}", made["metadata"]["uid"]))
    return status == 201


async def expired_watch(x: Exchange) -> None:
    """410 inside a watch that was accepted."""
    if not x.request.streams:
        await refuse(x, 410)
        return
    event = json.dumps({"type": "ERROR", "object": status_object(410)}).encode() + b"\n"
    await x.write(head(200, _JSON, ("Transfer-Encoding", "chunked")).encoded())
    await x.write(wire.chunk(event) + wire.LAST_CHUNK)


async def refused(x: Exchange) -> None:
    """The connection is reset and the port refuses new ones for a moment."""
    x.proxy.deaf()
    x.reset()

    async def back() -> None:
        await asyncio.sleep(DOWN_S)
        await x.proxy.listen()

    x.proxy.later(back())


async def blackhole(x: Exchange) -> None:
    """The request goes nowhere, and nothing comes."""
    await x.hold()


async def stall(x: Exchange) -> None:
    """Half of the answer comes, and then nothing, on a connection that stays open."""
    await _half(x)
    await x.hold()


async def reset(x: Exchange) -> None:
    """Half of the answer comes, then a reset."""
    await _half(x)
    await asyncio.sleep(0.05)  # a reset overtakes what is not read yet
    x.reset()


async def lost(x: Exchange) -> None:
    """The request is carried out, and its answer is lost."""
    if x.request.streams:
        async with x.lines():
            pass
    else:
        await x.ask()
    x.reset()


async def cut(x: Exchange) -> None:
    """Half of the JSON, in an answer that ends well."""
    if x.request.streams:
        await _half(x)
        await x.write(wire.LAST_CHUNK)
    else:
        answer = await x.ask()
        await x.answer(answer.head, answer.body[: len(answer.body) // 2])


async def trickle(x: Exchange) -> None:
    """One byte a second."""
    begin, data = await _begun(x)
    await x.write(begin.encoded())
    for byte in data:
        if x.gone():
            break
        await x.write(wire.chunk(bytes([byte])))
        await asyncio.sleep(1)
    await x.write(wire.LAST_CHUNK)


async def large(x: Exchange) -> None:
    """100 MB in one string."""
    await x.write(head(200, _JSON, ("Transfer-Encoding", "chunked")).encoded())
    await x.write(wire.chunk(b'{"kind":"List","apiVersion":"v1","padding":"'))
    part = wire.chunk(b"x" * (1 << 20))
    for _ in range(LARGE >> 20):
        if x.gone():
            break
        await x.write(part)
    await x.write(wire.chunk(b'"}\n') + wire.LAST_CHUNK)


async def page(x: Exchange) -> None:
    """200 and a sign-in page, from something on the way."""
    await x.answer(head(200, ("Content-Type", "text/html")), _PAGE)


async def redirect(x: Exchange) -> None:
    """A redirect to a place where no request must ever arrive."""
    trap = f"https://127.0.0.1:{x.proxy.port}{TRAP}{x.request.target}"
    await x.answer(head(307, ("Location", trap)), b"")


async def stale(x: Exchange) -> None:
    """Old news: every event of a watch twice and the first once more, or what was answered the first time."""
    if x.request.streams:
        await _events_again(x)
        return
    earlier = x.proxy.stale(x.request)
    if earlier is None:
        await x.passed_on()
    else:
        await x.answer(earlier.head, earlier.body)


async def _events_again(x: Exchange) -> None:
    async with x.lines() as (begin, lines):
        await x.write(begin.without().plus(("Transfer-Encoding", "chunked")).encoded())
        first = b""
        async for line in lines:
            await x.write(wire.chunk(line + line + first))
            first = first or line
        await x.write(wire.LAST_CHUNK)


async def clock(x: Exchange) -> None:
    """An API server whose clock is an hour off, to either side."""
    hours = x.rng.choice((-1, 1))

    def shifted(begin: Head) -> Head:
        when = parsedate_to_datetime(begin.get("date")) + timedelta(hours=hours)
        return begin.without("date").plus(("Date", format_datetime(when, usegmt=True)))

    if x.request.streams:
        async with x.lines() as (begin, lines):
            await x.write(shifted(begin).plus(("Transfer-Encoding", "chunked")).encoded())
            async for line in lines:
                await x.write(wire.chunk(line))
            await x.write(wire.LAST_CHUNK)
        return
    answer = await x.ask()
    await x.answer(shifted(answer.head), answer.body)


async def _half(x: Exchange) -> None:
    begin, data = await _begun(x)
    half = data[: len(data) // 2]
    await x.write(begin.encoded())
    if half:
        await x.write(wire.chunk(half))


async def _begun(x: Exchange) -> tuple[Head, bytes]:
    """The head of an answer without a told length, and its body or, of a stream, its first line if one comes soon."""
    if not x.request.streams:
        answer: Answer = await x.ask()
        return answer.head.without().plus(("Transfer-Encoding", "chunked")), answer.body
    async with x.lines() as (begin, lines):
        first = b""
        with contextlib.suppress(TimeoutError, StopAsyncIteration):
            async with asyncio.timeout(_FIRST_LINE_S):
                first = await anext(lines)
        return begin.without().plus(("Transfer-Encoding", "chunked")), first


KINDS: dict[str, Fault] = {
    "429-after": plain(429, ("Retry-After", "1")),
    "429": plain(429),
    "500": plain(500),
    "502": bad_gateway,
    "503": plain(503),
    "504": gateway_timeout,
    "409-own": conflict_own,
    "409-foreign": conflict_foreign,
    "410-watch": expired_watch,
    "410-continue": plain(410),
    "401": plain(401),
    "403": plain(403),
    "refused": refused,
    "blackhole": blackhole,
    "stall": stall,
    "reset": reset,
    "lost": lost,
    "cut": cut,
    "trickle": trickle,
    "100mb": large,
    "html": page,
    "redirect": redirect,
    "stale": stale,
    "clock": clock,
}
"""By name; those of ``reliability.md``, section 6."""
