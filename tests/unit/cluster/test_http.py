"""Every way to get no answer is told apart by a word, and none is raised."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
from tests.support.pki import kubeconfig

from aiconform.cluster.connection import connect
from aiconform.cluster.http import ClusterHttp, RawAnswer, RawRequest


@contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A TCP server on loopback that treats each connection as told."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    answer(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def ask(tmp_path: Path, url: str) -> RawAnswer:
    connection = connect(kubeconfig(tmp_path / "config", {"token": "a-long-token"}, server=url))

    async def work() -> RawAnswer:
        async with ClusterHttp(connection) as http:
            return await http.send(RawRequest("GET", "/version"))

    return anyio.run(work)


def reply(text: bytes) -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(text)

    return answer


def test_refused(tmp_path: Path) -> None:
    assert ask(tmp_path, "https://127.0.0.1:9").error == "connection refused"


def test_no_tls(tmp_path: Path) -> None:
    with server(reply(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")) as port:
        answer = ask(tmp_path, f"https://127.0.0.1:{port}")
    assert answer.status == 0
    assert answer.error


def test_closed_without_an_answer(tmp_path: Path) -> None:
    with server(lambda connection: connection.recv(65536) and None) as port:
        assert ask(tmp_path, f"http://127.0.0.1:{port}").error == "connection closed without an answer"


def test_a_body_that_is_cut_is_no_answer(tmp_path: Path) -> None:
    with server(reply(b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n{")) as port:
        answer = ask(tmp_path, f"http://127.0.0.1:{port}")
    assert (answer.status, answer.body) == (0, b"")
    assert answer.error


def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    target = b"http://127.0.0.1:9/elsewhere"
    with server(reply(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + target + b"\r\n\r\n")) as port:
        assert ask(tmp_path, f"http://127.0.0.1:{port}").status == 302


def test_a_stream_that_does_not_begin_in_time_is_no_answer(tmp_path: Path) -> None:
    over = threading.Event()

    def silent(connection: socket.socket) -> None:
        connection.recv(65536)
        over.wait(10)

    async def work(url: str) -> tuple[int, tuple[bytes, str]]:
        connection = connect(kubeconfig(tmp_path / "config", {"token": "a-long-token"}, server=url))
        async with ClusterHttp(connection) as http, http.stream(RawRequest("GET", "/watch"), 0.3) as stream:
            return stream.answer.status, await stream.next_line()

    with server(silent) as port:
        told = anyio.run(work, f"http://127.0.0.1:{port}")
        over.set()
    assert told == (0, (b"", "timeout"))
