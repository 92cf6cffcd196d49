"""Passes GET requests below /api/v1/ on to a URL, and what it answers back; /healthz is answered here.

Usage: relaying.py URL PORT. Redirects are not followed. What cannot be reached is answered 502 with the reason.
"""

from __future__ import annotations

import http.client
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

LIMIT_S = 30
MOST_BYTES = 32 * 1024 * 1024


def ask(base: str, path: str) -> tuple[int, str, bytes]:
    """Status, content type and body of what the URL answers to a path below it."""
    url = urlsplit(base)
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = kind(url.hostname or "", url.port, timeout=LIMIT_S)
    try:
        connection.request("GET", url.path + path, headers={"Accept": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.headers.get("Content-Type", ""), answer.read(MOST_BYTES)
    except (OSError, http.client.HTTPException) as problem:
        return 502, "text/plain", f"{base}: {problem!r}".encode()
    finally:
        connection.close()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    base = ""

    def do_GET(self) -> None:
        """Answer one request."""
        if self.path == "/healthz":
            self.send(200, "text/plain", b"ok\n")
        elif self.path.startswith("/api/v1/"):
            self.send(*ask(self.base, self.path))
        else:
            self.send(404, "text/plain", b"only /api/v1/ is passed on\n")

    def send(self, status: int, kind: str, body: bytes) -> None:
        """Send an answer."""
        self.send_response(status)
        self.send_header("Content-Type", kind or "application/octet-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    Handler.base = sys.argv[1]
    ThreadingHTTPServer(("", int(sys.argv[2])), Handler).serve_forever()
