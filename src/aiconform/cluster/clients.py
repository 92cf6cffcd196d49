"""HTTP clients by client certificate: a connection keeps the certificate that it was opened with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx2

    from aiconform.cluster.connection import Connection
    from aiconform.cluster.tls import KeyPair


@dataclass
class _InUse:
    pair: KeyPair | None
    client: httpx2.AsyncClient
    requests: int = 0


class Clients:
    """The client of the current certificate, and earlier ones for as long as a request of theirs goes on."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._current: _InUse | None = None
        self._earlier: list[_InUse] = []

    @asynccontextmanager
    async def of(self, pair: KeyPair | None) -> AsyncIterator[httpx2.AsyncClient]:
        """The client that shows this certificate.

        Raises:
            CredentialError: it cannot be used.
        """
        used = await self._taken(pair)
        used.requests += 1
        try:
            yield used.client
        finally:
            used.requests -= 1
            if used in self._earlier and not used.requests:
                self._earlier.remove(used)
                await used.client.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        for used in [*self._earlier, *([self._current] if self._current else [])]:
            await used.client.aclose()
        self._current = None
        self._earlier.clear()

    async def _taken(self, pair: KeyPair | None) -> _InUse:
        before = self._current
        if before is not None and before.pair == pair:
            return before
        self._current = now = _InUse(pair, self._connection.client(pair))
        if before is not None and before.requests:
            self._earlier.append(before)
        elif before is not None:
            await before.client.aclose()
        return now
