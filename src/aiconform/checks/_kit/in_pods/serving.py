"""Answers like an inference server: every path is served, requests are counted, a queue can be told its length.

Usage: serving.py NAME PORT. ``/metrics`` in the Prometheus text format; ``/healthz``; ``/set?queue=N``; ``/hide``,
after which the queue is not told until it is set again; ``/burn?seconds=N``, which keeps a CPU busy; and
``/devices?like=PATTERN``, which lists device nodes. Everything else, by any method, is an inference request and says
who served it and what arrived.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0)


class Counters:
    """What the metrics tell. Readiness and metrics requests are not counted."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.requests = 0
        self.seconds = 0.0
        self.buckets = [0] * len(BUCKETS)
        self.queue: float | None = 0.0
        self.started = time.time()

    def served(self, seconds: float) -> None:
        """Count a request that took this long."""
        with self.lock:
            self.requests += 1
            self.seconds += seconds
            for place, limit in enumerate(BUCKETS):
                self.buckets[place] += seconds <= limit

    def text(self, name: str) -> str:
        """The metrics in the Prometheus text format."""
        with self.lock:
            label = f'model="{name}"'
            lines = [
                "# HELP inference_requests_total Inference requests answered.",
                "# TYPE inference_requests_total counter",
                f"inference_requests_total{{{label}}} {self.requests}",
                "# HELP inference_request_duration_seconds Time to answer an inference request.",
                "# TYPE inference_request_duration_seconds histogram",
            ]
            for limit, count in zip(BUCKETS, self.buckets):  # noqa: B905 - strict is newer than 3.9
                lines.append(f'inference_request_duration_seconds_bucket{{{label},le="{limit}"}} {count}')
            lines += [
                f'inference_request_duration_seconds_bucket{{{label},le="+Inf"}} {self.requests}',
                f"inference_request_duration_seconds_sum{{{label}}} {self.seconds:.6f}",
                f"inference_request_duration_seconds_count{{{label}}} {self.requests}",
                "# HELP process_start_time_seconds When this process began.",
                "# TYPE process_start_time_seconds gauge",
                f"process_start_time_seconds {self.started:.3f}",
            ]
            if self.queue is not None:
                lines += [
                    "# HELP inference_queue_depth Requests waiting to be served.",
                    "# TYPE inference_queue_depth gauge",
                    f"inference_queue_depth{{{label}}} {self.queue:g}",
                ]
        return "\n".join(lines) + "\n"


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body leave together: else the body waits for the headers' acknowledgement
    counters = Counters()
    name = ""

    def answer(self) -> None:
        """Answer one request."""
        began = time.monotonic()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        asked = {key: values[0] for key, values in parse_qs(parts.query).items()}
        if parts.path == "/metrics":
            self.send(self.counters.text(self.name), "text/plain; version=0.0.4; charset=utf-8")
        elif parts.path == "/healthz":
            self.send("ok\n", "text/plain")
        elif parts.path == "/set":
            self.counters.queue = float(asked["queue"])
            self.send(json.dumps({"queue": self.counters.queue}), "application/json")
        elif parts.path == "/hide":
            self.counters.queue = None
            self.send(json.dumps({"queue": None}), "application/json")
        elif parts.path == "/burn":
            threading.Thread(target=burn, args=(float(asked["seconds"]),), daemon=True).start()
            self.send(json.dumps({"burning_s": float(asked["seconds"])}), "application/json")
        elif parts.path == "/devices":
            self.send(json.dumps({"devices": devices(asked["like"])}), "application/json")
        else:
            self.send(json.dumps(self.inference(parts.path, body)), "application/json")
            self.counters.served(time.monotonic() - began)

    do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - the standard library looks for these names

    def inference(self, path: str, body: bytes) -> dict[str, object]:
        """What an inference request is answered: who served it, and what arrived."""
        return {
            "object": "chat.completion" if path.endswith("/chat/completions") else "prediction",
            "backend": self.name,
            "method": self.command,
            "path": path,
            "host": self.headers.get("Host", ""),
            "model": self.headers.get("x-model", ""),
            "content_type": self.headers.get("Content-Type", ""),
            "body_bytes": len(body),
            "body_sha256": hashlib.sha256(body).hexdigest(),
            "headers_sha256": self.headers_digest(),
        }

    def headers_digest(self) -> str:
        """The digest of the headers that ``X-Digest-Of`` names, comma-separated, as ``name:value`` lines."""
        names = [name for name in self.headers.get("X-Digest-Of", "").split(",") if name]
        lines = [f"{name}:{','.join(self.headers.get_all(name) or [])}" for name in names]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def send(self, text: str, kind: str) -> None:
        """Send a whole answer."""
        data = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Served-By", self.name)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def devices(pattern: str) -> list[str]:
    """The numbers of the character devices whose paths match, as ``major:minor`` in hexadecimal."""
    there = [path.stat() for path in Path("/").glob(pattern.lstrip("/"))]
    numbers = [found.st_rdev for found in there if stat.S_ISCHR(found.st_mode)]
    return sorted(f"{os.major(number):x}:{os.minor(number):x}" for number in numbers)


def burn(seconds: float) -> None:
    """Keep a CPU busy."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        hashlib.sha256(b"x" * 65536).hexdigest()


if __name__ == "__main__":
    Handler.name = sys.argv[1]
    ThreadingHTTPServer.daemon_threads = True
    ThreadingHTTPServer.request_queue_size = 128
    ThreadingHTTPServer(("", int(sys.argv[2])), Handler).serve_forever()
