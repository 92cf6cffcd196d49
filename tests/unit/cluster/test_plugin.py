"""Credential plugins of a kubeconfig: what they are told, and what becomes of one that fails."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.unit.cluster.test_connection import kubeconfig
from tests.unit.cluster.test_http import server

from aiconform.cluster.connection import connect
from aiconform.cluster.http import ClusterHttp, RawAnswer, RawRequest

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def ask(tmp_path: Path, port: int, plugin: str, version: str = "v1", tokens: list[str] | None = None) -> RawAnswer:
    """Ask a server with the token of a plugin, which is a Python program; ``tokens`` collects what it gave."""
    heard = [] if tokens is None else tokens
    program = tmp_path / "plugin.py"
    program.write_text(plugin)
    api_version = f"client.authentication.k8s.io/{version}"
    run: dict[str, Any] = {"apiVersion": api_version, "command": sys.executable, "args": [str(program)]}
    connection = connect(kubeconfig(tmp_path / "config", {"exec": run}, server=f"http://127.0.0.1:{port}"))

    async def work() -> RawAnswer:
        async with ClusterHttp(connection, heard.append) as http:
            return await http.send(RawRequest("GET", "/version"))

    return anyio.run(work)


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_the_token_of_a_plugin_is_sent(tmp_path: Path, version: str) -> None:
    asked: list[bytes] = []

    def answer(connection: socket.socket) -> None:
        asked.append(connection.recv(65536))
        connection.sendall(ANSWER)

    plugin = 'print(\'{"status": {"token": "a-plugins-token"}}\')'
    tokens: list[str] = []
    with server(answer) as port:
        assert ask(tmp_path, port, plugin, version, tokens).status == 200
    assert b"Bearer a-plugins-token" in asked[0]
    assert tokens == ["a-plugins-token"], "the redactor has to hear of it"


def test_a_plugin_of_v1_is_told_so(tmp_path: Path) -> None:
    told = tmp_path / "told"
    plugin = (
        f"import os; open({str(told)!r}, 'w').write(os.environ['KUBERNETES_EXEC_INFO']);"
        'print(\'{"status": {"token": "x"}}\')'
    )
    with server(lambda connection: (connection.recv(65536), connection.sendall(ANSWER))[1]) as port:
        ask(tmp_path, port, plugin)
    assert json.loads(told.read_text())["apiVersion"] == "client.authentication.k8s.io/v1"


@pytest.mark.parametrize("plugin", ["raise SystemExit('log in first')", "print('{}')", "print('no json')"])
def test_a_plugin_that_fails_is_no_answer_and_says_so(tmp_path: Path, plugin: str) -> None:
    answer = ask(tmp_path, 9, plugin)
    assert answer.status == 0
    assert answer.error.startswith("credential plugin ")
