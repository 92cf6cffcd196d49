"""HTTP/1.1 as it goes over a wire: just enough to stand between a client and an API server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "trailer", "upgrade"})


@dataclass(frozen=True)
class Head:
    """The first line of a message and its headers, in order."""

    start: str
    headers: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str:
        """The value of a header; empty if it is not there."""
        return next((value for key, value in self.headers if key.lower() == name), "")

    def without(self, *names: str) -> Head:
        """The head without these headers, and without those that concern one connection only."""
        gone = {*names, *_HOP_BY_HOP}
        return Head(self.start, tuple(pair for pair in self.headers if pair[0].lower() not in gone))

    def plus(self, *pairs: tuple[str, str]) -> Head:
        """The head with further headers."""
        return Head(self.start, (*self.headers, *pairs))

    @property
    def status(self) -> int:
        """The status of an answer."""
        return int(self.start.split(" ")[1])

    def encoded(self) -> bytes:
        """As it is sent."""
        lines = [self.start, *(f"{key}: {value}" for key, value in self.headers)]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """The next head; None where the other side is done.

    Raises:
        OSError, asyncio.IncompleteReadError: the connection broke inside it.
    """
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as cut:
        if not cut.partial:
            return None
        raise
    start, *lines = raw[:-4].decode("latin-1").split("\r\n")
    pairs = [line.partition(":") for line in lines]
    return Head(start, tuple((key, value.strip()) for key, _, value in pairs))


async def pieces(reader: asyncio.StreamReader, head: Head) -> AsyncGenerator[bytes, None]:
    """The body that follows a head, as it arrives."""
    if head.get("transfer-encoding").lower() == "chunked":
        while size := int((await reader.readline()).split(b";")[0].strip() or b"0", 16):
            yield await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readline()
        return
    left = int(head.get("content-length") or 0)
    while left:
        piece = await reader.read(min(left, 1 << 16))
        if not piece:
            raise asyncio.IncompleteReadError(b"", left)
        left -= len(piece)
        yield piece


async def whole(reader: asyncio.StreamReader, head: Head) -> bytes:
    """The whole body that follows a head."""
    return b"".join([piece async for piece in pieces(reader, head)])


def chunk(piece: bytes) -> bytes:
    """A piece of a body whose length is not told beforehand."""
    return f"{len(piece):x}\r\n".encode() + piece + b"\r\n"


LAST_CHUNK = b"0\r\n\r\n"
