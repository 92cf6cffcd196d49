"""Sends batches of HTTP requests and prints, for each batch, a line ``batch_<name>=<JSON>``; then the line END.

Usage: asking.py BATCHES END, where BATCHES is a JSON list of objects::

    name      of the batch
    url       http://host[:port]/path, the host in brackets where it is an IP address, of either family
    method, headers, body    as sent; body is text
    count     how many requests, one after another (1)
    every_ms  so many milliseconds between the beginnings of two requests, if they do not take longer
    settle    first ask until ``times`` answers in a row (1) have this ``status``, or one of
              these, and, if given, are served by one of ``by``; at most ``within_s`` seconds

The result: ``count``; ``status``: how many answers of each status, 0 for none; ``served``: how many by each name in the
header X-Served-By ("" without one); ``order``: for each request the index of who served it in ``names``; ``at_ms``:
when each was answered, after the first was sent; ``first``: the first counted answer whole; ``settled_s``: seconds it
took to settle, null if it did not: then a few requests are counted and no more, for each may take its time limit.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
from typing import Any

UNSETTLED = 3


def parts(url: str) -> tuple[str, int, str]:
    """Host, port and the rest of a URL; the standard library takes no IPv4 address in brackets."""
    place, _, path = url.removeprefix("http://").partition("/")
    host, _, port = place.removeprefix("[").partition("]") if place.startswith("[") else place.partition(":")
    return host, int(port.removeprefix(":") or 80), f"/{path}"


def ask(batch: dict[str, Any]) -> tuple[int, str, dict[str, str], str]:
    """One request: status, who served it, headers, body."""
    host, port, path = parts(batch["url"])
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        body = batch.get("body")
        connection.request(
            batch.get("method", "GET"), path, body.encode() if body else None, batch.get("headers") or {}
        )
        answer = connection.getresponse()
        text = answer.read(65536).decode(errors="replace")
        return answer.status, answer.headers.get("X-Served-By", ""), dict(answer.headers), text
    except (OSError, http.client.HTTPException) as problem:
        return 0, "", {}, repr(problem)
    finally:
        connection.close()


def settle(batch: dict[str, Any]) -> float | None:
    """Ask until the answer is as wanted; seconds it took, or None."""
    wanted = batch.get("settle")
    if not wanted:
        return 0.0
    statuses = wanted["status"] if isinstance(wanted["status"], list) else [wanted["status"]]
    began = time.monotonic()
    in_a_row = 0
    while time.monotonic() - began < wanted["within_s"]:
        status, by, _, _ = ask(batch)
        as_wanted = status in statuses and (not wanted.get("by") or by in wanted["by"])
        in_a_row = in_a_row + 1 if as_wanted else 0
        if in_a_row >= wanted.get("times", 1):
            return round(time.monotonic() - began, 2)
        if not as_wanted:
            time.sleep(0.1)
    return None


def pause(until: float) -> None:
    """Wait for a moment of the monotonic clock."""
    time.sleep(max(0.0, until - time.monotonic()))


def run(batch: dict[str, Any]) -> dict[str, Any]:
    """A batch's result."""
    settled = settle(batch)
    count = batch.get("count", 1) if settled is not None else min(batch.get("count", 1), UNSETTLED)
    result: dict[str, Any] = {
        "count": count,
        "status": {},
        "served": {},
        "names": [],
        "order": [],
        "at_ms": [],
        "settled_s": settled,
    }
    began = time.monotonic()
    for number in range(count):
        pause(began + number * batch.get("every_ms", 0) / 1000)
        status, by, headers, text = ask(batch)
        result.setdefault("first", {"status": status, "by": by, "headers": headers, "body": text[:4096]})
        result["status"][str(status)] = result["status"].get(str(status), 0) + 1
        result["served"][by] = result["served"].get(by, 0) + 1
        if by not in result["names"]:
            result["names"].append(by)
        result["order"].append(result["names"].index(by))
        result["at_ms"].append(round((time.monotonic() - began) * 1000))
    return result


if __name__ == "__main__":
    for wanted_batch in json.loads(sys.argv[1]):
        sys.stdout.write(f"batch_{wanted_batch['name']}={json.dumps(run(wanted_batch))}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{sys.argv[2]}\n")
