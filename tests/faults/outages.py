"""Outages of the control plane at one request of a run: the API server killed, etcd stopped for a while."""

from __future__ import annotations

import asyncio

from tests.faults.plane import Plane
from tests.faults.proxy import Exchange, Fault

PAUSE_S = 60.0


def outage(kind: str, plane: Plane) -> Fault:
    """A fault that is done to the whole control plane; the request goes on to what is left of it."""

    async def fault(x: Exchange) -> None:
        if kind == "apiserver-killed":
            plane.killed("kube-apiserver")
        else:
            plane.paused("etcd", on=True)
            asyncio.get_running_loop().call_later(PAUSE_S, lambda: plane.paused("etcd", on=False))
        await x.passed_on()

    return fault
