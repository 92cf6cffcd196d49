"""Stands between a Gateway's Service and its Envoy and spoils what goes through, in one way.

Usage: between.py WAY. Listens on 18080 and asks Envoy on 10080.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LISTEN, ENVOY = 18080, 10080
TRIES = 60
REMEMBERED = 20


class Answer:
    """What Envoy, or whoever, answered."""

    def __init__(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def by(self) -> str:
        """The backend that names itself, or empty."""
        return next((value for name, value in self.headers if name.lower() == "x-served-by"), "")


class Request:
    """What a client asked."""

    def __init__(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body

    @property
    def host(self) -> str:
        """The host that is asked for."""
        return self.headers.get("Host", "")

    def to(self, host: str, path: str) -> Request:
        """The same for another host and path."""
        return Request(self.method, path, {**self.headers, "Host": host}, self.body)


def envoy(asked: Request) -> Answer:
    """Ask Envoy."""
    connection = http.client.HTTPConnection("127.0.0.1", ENVOY, timeout=10)
    try:
        connection.request(asked.method, asked.path, asked.body or None, asked.headers)
        got = connection.getresponse()
        return Answer(got.status, got.getheaders(), got.read())
    finally:
        connection.close()


class Memory:
    """What was seen so far."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.good: Request | None = None
        self.backends: dict[str, list[str]] = {}
        self.turn: dict[str, int] = {}
        self.answers: dict[tuple[str, ...], list[Answer]] = {}


MEMORY = Memory()


def passed(asked: Request) -> Answer:
    """As it is."""
    return envoy(asked)


def portal(asked: Request) -> Answer:
    """Answers everything itself."""
    return Answer(200, [("Content-Type", "text/html")], b"<p>welcome")


def even(asked: Request) -> Answer:
    """Splits evenly between the backends of a host, whatever their weights: asks again until it is the turn's."""
    known = MEMORY.backends.setdefault(asked.host, [])
    turn = MEMORY.turn[asked.host] = MEMORY.turn.get(asked.host, 0) + 1
    got = envoy(asked)
    for _ in range(TRIES):
        if got.by and got.by not in known:
            known.append(got.by)
        if len(known) < 2 or got.by == known[turn % len(known)]:
            break
        got = envoy(asked)
    return got


def headerless(asked: Request) -> Answer:
    """Takes the header x-model away."""
    return envoy(
        Request(
            asked.method,
            asked.path,
            {name: value for name, value in asked.headers.items() if name.lower() != "x-model"},
            asked.body,
        )
    )


def rewritten(asked: Request) -> Answer:
    """Reads JSON bodies and writes them anew."""
    if not asked.body:
        return envoy(asked)
    body = json.dumps(json.loads(asked.body)).encode()
    return envoy(Request(asked.method, asked.path, {**asked.headers, "Content-Length": str(len(body))}, body))


def remembering(asked: Request) -> Answer:
    """Remembers the first answers to a question, and gives these for ever."""
    question = (asked.method, asked.host, asked.path, asked.headers.get("x-model", ""))
    known = MEMORY.answers.setdefault(question, [])
    if len(known) < REMEMBERED:
        known.append(envoy(asked))
        return known[-1]
    turn = MEMORY.turn[str(question)] = MEMORY.turn.get(str(question), 0) + 1
    return known[turn % len(known)]


def _instead(asked: Request, *, of: range) -> Answer:
    got = envoy(asked)
    if got.status in of and MEMORY.good is not None:
        return envoy(asked.to(MEMORY.good.host, MEMORY.good.path))
    if got.status == 200:
        MEMORY.good = asked
    return got


def catching(asked: Request) -> Answer:
    """Sends what Envoy knows no route for where the last good request went."""
    return _instead(asked, of=range(404, 405))


def covering(asked: Request) -> Answer:
    """Sends what Envoy has no backend for where the last good request went."""
    return _instead(asked, of=range(500, 600))


WAYS = {way.__name__: way for way in (passed, portal, even, headerless, rewritten, remembering, catching, covering)}


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        """Answer one request."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with MEMORY.lock:
            got = WAYS[sys.argv[1]](Request(self.command, self.path, dict(self.headers), body))
        self.send_response_only(got.status)
        for name, value in got.headers:
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(got.body)))
        self.end_headers()
        self.wfile.write(got.body)

    do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # as a container's first process it would be ignored
    ThreadingHTTPServer.daemon_threads = True
    ThreadingHTTPServer(("", LISTEN), Handler).serve_forever()
