"""An API server on loopback, over real TLS, that knows who asks: by token, by password, by client certificate."""

from __future__ import annotations

import json
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.support.pki import Authority, Pair


@dataclass(frozen=True)
class Asked:
    """A request as it came.

    Attributes:
        certificate: common name of the client's certificate; empty without one.
        server_name: what the client said whom it wants to speak to (SNI).
        peer: the client's port, by which connections can be told apart.
    """

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes
    certificate: str
    server_name: str
    peer: int

    def all(self, name: str) -> list[str]:
        """Every value of a header."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def authorization(self) -> str:
        """The header, empty without one."""
        return next(iter(self.all("authorization")), "")


Reply = tuple[int, dict[str, str], bytes]
Answer = Callable[[Asked], Reply]


def version(_asked: Asked) -> Reply:
    """Whoever asks is answered."""
    return 200, {"Content-Type": "application/json"}, b'{"gitVersion":"v1.35.3"}'


def unauthorized() -> Reply:
    """What an API server says to whom it does not know."""
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Unauthorized", "code": 401}
    return 401, {"Content-Type": "application/json"}, json.dumps({**status, "message": "Unauthorized"}).encode()


def only(*authorizations: str) -> Answer:
    """Answers whoever sends one of these headers."""
    return lambda asked: version(asked) if asked.authorization in authorizations else unauthorized()


@dataclass
class ApiServer:
    """A running server; ``answer`` may be replaced at any time."""

    answer: Answer
    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Its address."""
        return f"https://127.0.0.1:{self.port}"


@contextmanager
def api_server(
    certificate: Pair | None, answer: Answer = version, *, clients: Authority | None = None, insist: bool = False
) -> Iterator[ApiServer]:
    """A server; ``clients`` is the CA of client certificates, which are asked for, and insisted on if so said.

    Without a certificate it speaks plain HTTP.
    """
    state = ApiServer(answer)
    context = _context(certificate, clients, state) if certificate else None
    if context is not None and insist:
        context.verify_mode = ssl.CERT_REQUIRED
        # with 1.3 a client is refused when it has sent its request already, and may see the connection reset instead
        context.maximum_version = ssl.TLSVersion.TLSv1_2

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            asked = Asked(
                self.command, self.path, list(self.headers.items()), self.rfile.read(length),
                _common_name(self.connection), state.names.get(self.client_address[1], ""), self.client_address[1],
            )  # fmt: skip
            state.asked.append(asked)
            status, headers, body = state.answer(asked)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = do_PATCH = do_PUT = _any  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def finish_request(self, request: Any, client_address: Any) -> None:
            if context is None:
                super().finish_request(request, client_address)
                return
            with context.wrap_socket(request, server_side=True, do_handshake_on_connect=False) as wrapped:
                try:
                    wrapped.aiconform_peer = client_address[1]
                    wrapped.do_handshake()
                except (ssl.SSLError, OSError):
                    return
                super().finish_request(wrapped, client_address)

        def handle_error(self, *_: Any) -> None:
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        state.port = server.server_port
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield state
        server.shutdown()


def _context(certificate: Pair, clients: Authority | None, state: ApiServer) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        file.write(certificate.certificate + certificate.key)
        file.flush()
        context.load_cert_chain(file.name)
    if clients is not None:
        context.load_verify_locations(cadata=clients.pem.decode())
        context.verify_mode = ssl.CERT_OPTIONAL

    def named(connection: Any, name: str | None, _context: ssl.SSLContext) -> None:
        state.names[connection.aiconform_peer] = name or ""

    context.sni_callback = named
    return context


def _common_name(connection: socket.socket) -> str:
    found = connection.getpeercert() if isinstance(connection, ssl.SSLSocket) else None
    parts = [pair for part in (found or {}).get("subject", ()) for pair in part]
    return next((str(value) for key, value in parts if key == "commonName"), "")


@dataclass
class ProxyServer:
    """A running proxy, and what it was asked: each CONNECT's target and its Proxy-Authorization."""

    port: int = 0
    asked: list[tuple[str, str]] = field(default_factory=list)
    refuse: int = 0


@contextmanager
def connect_proxy(certificate: Pair | None = None) -> Iterator[ProxyServer]:
    """An HTTP proxy that tunnels; over TLS with a certificate."""
    state = ProxyServer()
    context = None
    if certificate is not None:
        context = _context(certificate, None, ApiServer(version))
        context.sni_callback = None

    def serve(raw: socket.socket) -> None:
        if context is None:
            tunnel(raw)
            return
        with context.wrap_socket(raw, server_side=True) as connection:
            tunnel(connection)

    def tunnel(connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(4096)
        first, *lines = head.decode().split("\r\n")
        headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        state.asked.append((first, headers.get("proxy-authorization", "")))
        if state.refuse:
            connection.sendall(f"HTTP/1.1 {state.refuse} no\r\nContent-Length: 0\r\n\r\n".encode())
            return
        host, _, port = first.split()[1].partition(":")
        with socket.create_connection((host, int(port)), 5) as onward:
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            _join(connection, onward)

    with _listening(serve) as state.port:
        yield state


@contextmanager
def socks_proxy() -> Iterator[ProxyServer]:
    """A SOCKS5 proxy without authentication (RFC 1928)."""
    state = ProxyServer()

    def serve(connection: socket.socket) -> None:
        methods = connection.recv(2)[1]
        connection.recv(methods)
        connection.sendall(b"\x05\x00")
        kind = connection.recv(4)[3]
        size = connection.recv(1)[0] if kind == 3 else 4
        name = connection.recv(size)
        host = name.decode() if kind == 3 else socket.inet_ntoa(name)
        port = int.from_bytes(connection.recv(2), "big")
        state.asked.append((f"{host}:{port}", ""))
        with socket.create_connection((host, port), 5) as onward:
            connection.sendall(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
            _join(connection, onward)

    with _listening(serve) as state.port:
        yield state


@contextmanager
def _listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    def guarded(connection: socket.socket) -> None:
        with connection:
            try:
                serve(connection)
            except OSError:
                return

    def accept(listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=guarded, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def _join(one: socket.socket, other: socket.socket) -> None:
    back = threading.Thread(target=_copy, args=(other, one), daemon=True)
    back.start()
    _copy(one, other)
    back.join(5)


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return


def token_file(path: Path, token: str) -> Path:
    """A file that holds a token."""
    path.write_text(f"{token}\n")
    return path
