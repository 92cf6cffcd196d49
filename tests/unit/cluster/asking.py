"""Asking a server through a kubeconfig, as a run would."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import anyio
from tests.support.pki import Authority, encoded, kubeconfig
from tests.support.tls_api import ApiServer

from aiconform.cluster.connection import Connection, connect
from aiconform.cluster.http import ClusterHttp, RawAnswer, RawRequest
from aiconform.cluster.plugin_process import NO_ASIDE, Aside

CA = Authority()
"""One for all tests: making keys takes time."""
SERVER = CA.server("127.0.0.1", "api.test")
VERSION = RawRequest("GET", "/version")


def config(tmp_path: Path, api: ApiServer, user: dict[str, Any], **cluster: Any) -> Path:
    """A kubeconfig for a server whose certificate is of :data:`CA`."""
    given = {"server": api.url, "certificate-authority-data": encoded(CA.pem), **cluster}
    return kubeconfig(tmp_path / "config", user, **given)


def ask(path: Path, times: int = 1, learned: list[str | bytes] | None = None, aside: Aside = NO_ASIDE) -> RawAnswer:
    """The answer to the last of some requests for the server's version."""
    return ask_on(connect(path), times, learned, aside)


def ask_on(
    connection: Connection, times: int = 1, learned: list[str | bytes] | None = None, aside: Aside = NO_ASIDE
) -> RawAnswer:
    """The same, on a connection."""
    heard: list[str | bytes] = [] if learned is None else learned

    async def work() -> RawAnswer:
        async with ClusterHttp(connection, heard.append, aside) as http:
            for _ in range(times - 1):
                await http.send(VERSION)
            return await http.send(VERSION)

    return anyio.run(work)


def plugin(tmp_path: Path, text: str, version: str = "v1", **more: Any) -> dict[str, Any]:
    """A user whose credentials a Python program gives; ``{api}`` in it is the API version."""
    api = f"client.authentication.k8s.io/{version}"
    program = tmp_path / "plugin.py"
    program.write_text(text.replace("{api}", api))
    mode = {"interactiveMode": "Never"} if version == "v1" else {}
    return {"exec": {"apiVersion": api, "command": sys.executable, "args": [str(program)], **mode, **more}}
