"""Makes the API server reachable on the machine's loopback: ``python -m aiconform.local.node.relay``.

The listening socket was made in the machine's network namespace and is inherited (descriptor ``LISTEN_FD``); this
process runs in the control node's, so what it connects to is the node's. A socket stays where it was made.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket

TARGET = ("127.0.0.1", 6443)
CHUNK = 65536

_running: set[asyncio.Task[None]] = set()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.close()


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    task = asyncio.current_task()
    if task is not None:  # the loop itself refers to its tasks only weakly
        _running.add(task)
        task.add_done_callback(_running.discard)
    try:
        far_reader, far_writer = await asyncio.open_connection(*TARGET)
    except OSError:  # the API server is not there yet, or restarts
        writer.close()
        return
    await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
    for stream in (writer, far_writer):
        stream.close()
        with contextlib.suppress(OSError):
            await stream.wait_closed()


async def _main() -> None:
    listener = socket.socket(fileno=int(os.environ["LISTEN_FD"]))
    server = await asyncio.start_server(_serve, sock=listener)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main())
