"""The programs that run in pods: the server says what arrived, the client what came back."""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from aiconform.checks._kit.in_pods import asking
from aiconform.checks._kit.workloads import program


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", program("serving"), "champion", str(port)])
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port
    finally:
        process.kill()
        process.wait()


def asked(*batches: dict[str, Any]) -> dict[str, dict[str, Any]]:
    argv = [sys.executable, "-c", program("asking"), json.dumps(batches), "the-end"]
    lines = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    assert lines[-1] == "the-end"
    found = dict(line.removeprefix("batch_").split("=", 1) for line in lines[:-1])
    return {name: json.loads(text) for name, text in found.items()}


def text_of(port: int, path: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def test_a_batch_tells_who_answered_and_when(server: int) -> None:
    got = asked({"name": "a", "url": f"http://127.0.0.1:{server}/predict", "count": 3})["a"]
    assert (got["count"], got["status"], got["served"]) == (3, {"200": 3}, {"champion": 3})
    assert (got["names"], got["order"]) == (["champion"], [0, 0, 0])
    assert got["at_ms"] == sorted(got["at_ms"])
    assert json.loads(got["first"]["body"])["backend"] == "champion"


def test_an_address_of_either_family_may_be_in_brackets(server: int) -> None:
    told = asked({"name": "a", "url": f"http://[127.0.0.1]:{server}/predict"})["a"]
    assert told["served"] == {"champion": 1}


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("http://[fd00::1]:8080/a?b=c", "fd00::1", 8080, "/a?b=c"),
        ("http://[10.0.0.1]:80/", "10.0.0.1", 80, "/"),
        ("http://[fd00::1]/a", "fd00::1", 80, "/a"),
        ("http://x.ns.svc/v1/chat/completions", "x.ns.svc", 80, "/v1/chat/completions"),
        ("http://lb.example.com:8000/a", "lb.example.com", 8000, "/a"),
    ],
)
def test_a_url_in_its_parts(url: str, host: str, port: int, path: str) -> None:
    assert asking.parts(url) == (host, port, path)


def test_the_server_tells_what_arrived(server: int) -> None:
    body = '{"prompt": "Grüße"}'
    headers = {"Host": "x.test", "X-Model": "m", "X-Digest-Of": "X-Model,Content-Type", "Content-Type": "text/x"}
    url = f"http://127.0.0.1:{server}/v1/chat/completions"
    got = asked({"name": "a", "url": url, "method": "POST", "headers": headers, "body": body})["a"]
    said = json.loads(got["first"]["body"])
    assert said["object"] == "chat.completion"
    assert (said["method"], said["host"], said["model"]) == ("POST", "x.test", "m")
    assert said["body_bytes"] == len(body.encode())
    assert said["body_sha256"] == hashlib.sha256(body.encode()).hexdigest()
    assert said["headers_sha256"] == hashlib.sha256(b"X-Model:m\nContent-Type:text/x").hexdigest()


def test_a_batch_settles_on_answers_in_a_row(server: int) -> None:
    url = f"http://127.0.0.1:{server}/"
    before = requests(server)
    settle = {"status": [404, 200], "by": ["champion"], "times": 4, "within_s": 20}
    got = asked({"name": "a", "url": url, "count": 1, "settle": settle})["a"]
    assert got["settled_s"] is not None
    assert requests(server) - before == 5


@pytest.mark.parametrize("settle", [{"status": 404}, {"status": 200, "by": ["challenger"]}])
def test_what_never_settles_says_so(server: int, settle: dict[str, Any]) -> None:
    url = f"http://127.0.0.1:{server}/"
    got = asked({"name": "a", "url": url, "count": 50, "settle": {**settle, "within_s": 0.3}})["a"]
    assert got["settled_s"] is None
    assert (got["count"], got["status"]) == (3, {"200": 3}), "enough to tell what came instead"


def test_requests_can_keep_their_distance(server: int) -> None:
    got = asked({"name": "a", "url": f"http://127.0.0.1:{server}/", "count": 4, "every_ms": 50})["a"]
    assert all(at >= 50 * number for number, at in enumerate(got["at_ms"]))


def test_no_answer_is_told_apart_from_any_status() -> None:
    got = asked({"name": "a", "url": f"http://127.0.0.1:{free_port()}/"})["a"]
    assert got["status"] == {"0": 1}
    assert "ConnectionRefused" in got["first"]["body"]


def test_a_queue_can_be_told_its_length(server: int) -> None:
    text_of(server, "/set?queue=7")
    assert 'inference_queue_depth{model="champion"} 7' in text_of(server, "/metrics")


def requests(port: int) -> int:
    line = next(line for line in text_of(port, "/metrics").splitlines() if line.startswith("inference_requests_total{"))
    return int(line.split()[-1])


def test_device_nodes_are_told_by_their_numbers(server: int) -> None:
    assert json.loads(text_of(server, "/devices?like=/dev/nul[l]")) == {"devices": ["1:3"]}
    assert json.loads(text_of(server, "/devices?like=/dev/n*l*"))["devices"].count("1:3") == 1
    assert json.loads(text_of(server, "/devices?like=/etc/passw[d]")) == {"devices": []}
    assert json.loads(text_of(server, "/devices?like=/nowhere/*")) == {"devices": []}
