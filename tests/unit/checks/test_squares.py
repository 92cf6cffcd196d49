"""The program that has Ray compute: it waits for the port and the nodes, and its report always ends."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from aiconform.checks._kit.script import parse
from aiconform.checks._kit.workloads import program

RAY = """
asked = []

def init(address, **_):
    asked.append(address)
    if len(asked) < {failing}:
        raise ConnectionError("no room yet")

def nodes():
    return [{{"NodeManagerHostname": name, "Alive": alive}} for name, alive in {nodes}]

class Function:
    def __init__(self, function):
        self.remote = function

def remote(**_):
    return Function

def get(found, timeout):
    return found
"""


def report(
    tmp_path: Path, *, failing: int = 1, nodes: str = "[('w', True), ('h', True)]", wanted: int = 2, limit: str = "20"
):
    (tmp_path / "ray.py").write_text(RAY.format(failing=failing, nodes=nodes))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"ray://127.0.0.1:{listening.getsockname()[1]}"
        argv = [sys.executable, "-c", program("squares"), address, str(wanted), limit, "the-end"]
        done = subprocess.run(
            argv, capture_output=True, text=True, check=True, timeout=60, env={"PYTHONPATH": str(tmp_path)}
        )
    lines = done.stdout.splitlines()
    assert lines[-1] == "the-end"
    return parse(lines)


def test_squares_are_told_with_where_they_were_computed(tmp_path) -> None:
    seen = report(tmp_path)
    assert seen.one("result") == "[0, 1, 4, 9, 16]"
    assert seen.one("hosts") == socket.gethostname()
    assert seen.one("nodes") == "h,w"


def test_a_client_that_is_turned_away_tries_again(tmp_path) -> None:
    assert report(tmp_path, failing=3).one("result") == "[0, 1, 4, 9, 16]"


def test_a_client_that_is_always_turned_away_says_so(tmp_path) -> None:
    seen = report(tmp_path, failing=1000, limit="1")
    assert seen.one("error") == "ConnectionError: no room yet"
    assert not seen.says("result")


@pytest.mark.parametrize("nodes", ["[('h', True)]", "[('h', True), ('w', False)]"])
def test_a_node_that_never_joins_is_not_counted(tmp_path, nodes) -> None:
    assert report(tmp_path, nodes=nodes, limit="1").one("nodes") == "h"
