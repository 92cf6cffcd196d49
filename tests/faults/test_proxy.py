"""The fault proxy between our own HTTP client and a small server of JSON: each kind does what its name says."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path

import httpx2
import pytest
from tests.faults import kinds, wire
from tests.faults.bench import TOKEN
from tests.faults.kinds import KINDS, TRAP
from tests.faults.proxy import Fault, Proxy, Upstream

from aiconform.cluster.connection import connect
from aiconform.cluster.http import ClusterHttp, RawAnswer, RawRequest
from aiconform.local.pki import Authority

GET = RawRequest("GET", "/things/one")
WATCH = RawRequest("GET", "/things", (("watch", "true"),))
POST = RawRequest("POST", "/things", (), {"Content-Type": "application/json"}, b'{"metadata":{"name":"two"}}')
DELETE = RawRequest("DELETE", "/things/one", (), {"Content-Type": "application/json"}, b"{}")
HEAD = [("Content-Type", "application/json")]
Body = Callable[["Between"], Awaitable[None]]


class Server:
    """Things by name, each a JSON object with a uid; a watch of them that tells of every change."""

    def __init__(self) -> None:
        self.things: dict[str, dict] = {"one": self.thing("one")}
        self.asked: list[str] = []
        self.uids = 0
        self.changed = asyncio.Event()
        self.events: list[bytes] = []

    def thing(self, name: str) -> dict:
        self.uids = getattr(self, "uids", 0) + 1
        return {"kind": "Thing", "metadata": {"name": name, "uid": f"u{self.uids}"}}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await wire.read_head(reader):
                body = await wire.whole(reader, head)
                method, target, _ = head.start.split(" ")
                self.asked.append(f"{method} {target}")
                if "watch=true" in target:
                    await self._watch(writer)
                    return
                status, found = self._answer(method, target, body)
                data = json.dumps(found).encode()
                told = [("Content-Length", str(len(data))), ("Date", format_datetime(datetime.now(UTC), usegmt=True))]
                writer.write(wire.Head(f"HTTP/1.1 {status} X", (*HEAD, *told)).encoded() + data)
        except (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    def _answer(self, method: str, target: str, body: bytes) -> tuple[int, dict]:
        name = target.rpartition("/")[2]
        if method == "POST":
            name = json.loads(body)["metadata"]["name"]
            if name in self.things:
                return 409, {"kind": "Status", "reason": "AlreadyExists", "code": 409}
            self.things[name] = self.thing(name)
            return 201, self.things[name]
        if name not in self.things:
            return 404, {"kind": "Status", "code": 404}
        if method == "DELETE":
            return 200, self.things.pop(name)
        return 200, self.things[name]

    async def _watch(self, writer: asyncio.StreamWriter) -> None:
        writer.write(wire.Head("HTTP/1.1 200 OK", (*HEAD, ("Transfer-Encoding", "chunked"))).encoded())
        for event in self.events:
            writer.write(wire.chunk(event))
        await writer.drain()
        await asyncio.sleep(60)


class Between:
    """The proxy, a client of it, and the server behind."""

    def __init__(self, server: Server, proxy: Proxy, http: ClusterHttp) -> None:
        self.server = server
        self.proxy = proxy
        self.http = http

    async def send(self, request: RawRequest) -> RawAnswer:
        return await self.http.send(request)

    async def lines(self, count: int) -> list[tuple[bytes, str]]:
        """The first lines of a watch, each with how the stream ended."""
        found = []
        async with self.http.stream(WATCH) as stream:
            while len(found) < count:
                async with asyncio.timeout(5):
                    found.append(await stream.next_line())
                if found[-1][1]:
                    break
        return found


@asynccontextmanager
async def between(tmp_path: Path, script: dict[int, Fault]) -> AsyncIterator[Between]:
    """Everything, on free ports of the loopback."""
    authority = Authority("test-ca")
    authority.issue("here", names=["127.0.0.1"]).write(tmp_path, "here")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "here.crt", tmp_path / "here.key")
    (tmp_path / "ca.crt").write_bytes(authority.pair.certificate)
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    port = listening.sockets[0].getsockname()[1]
    upstream = Upstream("127.0.0.1", port, ssl.create_default_context(cafile=str(tmp_path / "ca.crt")))
    async with Proxy(upstream, tls, TOKEN, script) as proxy:
        config = tmp_path / "kubeconfig"
        config.write_text(
            json.dumps(
                {
                    "current-context": "a",
                    "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
                    "users": [{"name": "a", "user": {"token": TOKEN}}],
                    "clusters": [
                        {
                            "name": "a",
                            "cluster": {
                                "server": f"https://127.0.0.1:{proxy.port}",
                                "certificate-authority": str(tmp_path / "ca.crt"),
                            },
                        }
                    ],
                }
            )
        )
        async with ClusterHttp(connect(config)) as http:
            yield Between(server, proxy, http)
    upstream.close()
    listening.close()


def run(tmp_path: Path, script: dict[int, Fault], body: Body) -> None:
    async def work() -> None:
        async with between(tmp_path, script) as found, asyncio.timeout(20):
            await body(found)

    asyncio.run(work())


def one(tmp_path: Path, kind: str, request: RawRequest = GET) -> tuple[RawAnswer, RawAnswer, Server, Proxy]:
    """A request that is struck, the same once more, and what was behind."""
    found: list = []

    async def body(there: Between) -> None:
        found.extend([await there.send(request), await there.send(request), there.server, there.proxy])

    run(tmp_path, {0: KINDS[kind]}, body)
    return tuple(found)


def test_without_a_fault_everything_is_passed_on(tmp_path: Path) -> None:
    async def body(there: Between) -> None:
        answer = await there.send(GET)
        assert (answer.status, json.loads(answer.body)["metadata"]["name"]) == (200, "one")
        assert (await there.send(POST)).status == 201
        assert there.server.asked == ["GET /things/one", "POST /things"]
        assert [str(seen) for seen in there.proxy.seen] == ["0 GET /things/one", "1 POST /things"]
        assert [seen.writes for seen in there.proxy.seen] == [False, True]
        assert there.proxy.struck == []

    run(tmp_path, {}, body)


def test_a_watch_is_passed_on_as_it_comes(tmp_path: Path) -> None:
    async def body(there: Between) -> None:
        there.server.events = [b'{"a":1}\n{"b"', b":2}\n"]
        assert await there.lines(2) == [(b'{"a":1}', ""), (b'{"b":2}', "")]

    run(tmp_path, {}, body)


def test_who_does_not_show_the_token_is_told_so_and_counted(tmp_path: Path) -> None:
    async def body(there: Between) -> None:
        there.proxy._token = "another"
        assert (await there.send(GET)).status == 401
        assert (there.proxy.strangers, there.server.asked) == (1, [])

    run(tmp_path, {}, body)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("429", 429), ("429-after", 429), ("500", 500), ("502", 502), ("503", 503), ("410-watch", 410),
        ("410-continue", 410), ("401", 401), ("403", 403), ("409-own", 409), ("409-foreign", 409), ("redirect", 307),
    ],
)  # fmt: skip
def test_an_answer_that_is_made_up_never_reaches_the_server(tmp_path: Path, kind: str, status: int) -> None:
    first, second, server, proxy = one(tmp_path, kind)
    assert (first.status, second.status) == (status, 200)
    assert server.asked == ["GET /things/one"], "the second alone"
    assert len(proxy.struck) == 1
    assert ("retry-after" in first.headers) == (kind == "429-after")


def test_a_504_and_a_lost_answer_were_carried_out(tmp_path: Path) -> None:
    first, second, server, _ = one(tmp_path, "504", POST)
    assert (first.status, second.status, "two" in server.things) == (504, 409, True)
    first, second, server, _ = one(tmp_path, "lost", POST)
    assert (first.status, second.status, "two" in server.things) == (0, 409, True)


def test_a_conflict_of_our_own_is_our_own_object(tmp_path: Path) -> None:
    first, _, server, proxy = one(tmp_path, "409-own", POST)
    assert first.status == 409
    assert server.asked.count("POST /things") == 3, "twice by the fault, once more by the test"
    assert proxy.planted == []


def test_a_foreign_conflict_is_somebody_elses_object(tmp_path: Path) -> None:
    first, _, server, proxy = one(tmp_path, "409-foreign", POST)
    assert first.status == 409
    assert proxy.planted == [("/things/two", server.things["two"]["metadata"]["uid"])]
    first, _, server, proxy = one(tmp_path, "409-foreign", DELETE)
    assert proxy.planted[0][0] == "/things/one"
    assert server.asked[:4] == ["GET /things/one", "DELETE /things/one", "POST /things", "DELETE /things/one"]


@pytest.mark.parametrize("kind", ["reset", "lost", "refused"])
def test_a_broken_connection_is_no_answer(tmp_path: Path, kind: str) -> None:
    first, _, server, _ = one(tmp_path, kind)
    assert (first.status, bool(first.error)) == (0, True)
    assert server.asked[:1] == ([] if kind == "refused" else ["GET /things/one"])


def test_a_refusing_port_comes_back(tmp_path: Path) -> None:
    async def body(there: Between) -> None:
        assert (await there.send(GET)).status == 0
        assert (await there.send(GET)).error == "connection refused"
        await asyncio.sleep(kinds.DOWN_S + 0.2)
        assert (await there.send(GET)).status == 200

    run(tmp_path, {0: KINDS["refused"]}, body)


def test_nobody_else_gets_a_port_that_refuses(tmp_path: Path) -> None:
    async def body(there: Between) -> None:
        there.proxy.deaf()
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", there.proxy.port))
        await there.proxy.listen()
        assert (await there.send(GET)).status == 200

    run(tmp_path, {}, body)


def test_a_review_that_meets_a_foreign_conflict_is_answered_so(tmp_path: Path) -> None:
    review = RawRequest("POST", "/reviews", (), {"Content-Type": "application/json"}, b'{"kind":"Review","spec":{}}')

    async def body(there: Between) -> None:
        assert (await there.send(review)).status == 409
        assert (there.server.asked, there.proxy.planted) == ([], [])

    run(tmp_path, {0: KINDS["409-foreign"]}, body)


@pytest.mark.parametrize("kind", ["blackhole", "stall", "trickle"])
def test_some_answers_never_come_to_an_end(tmp_path: Path, kind: str) -> None:
    async def body(there: Between) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5):
                await there.send(GET)
        assert (await there.send(GET)).status == 200

    run(tmp_path, {0: KINDS[kind]}, body)


def test_a_trickle_gives_a_byte_a_second(tmp_path: Path) -> None:
    async def body(there: Between) -> None:
        got = b""
        try:
            async with (
                asyncio.timeout(2.5),
                there.http._answered(RawRequest("GET", "/things/one"), httpx2.Timeout(30)) as (response, _),
            ):
                async for part in response.aiter_raw():
                    got += part
        except TimeoutError:
            pass
        assert got == b'{"k'

    run(tmp_path, {0: KINDS["trickle"]}, body)


def test_a_trickle_is_given_up_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiconform.cluster.http.WHOLE_WITHIN_S", 1.5)
    first, second, _, _ = one(tmp_path, "trickle")
    assert (first.status, first.error, second.status) == (0, "timeout", 200)


def test_a_line_without_an_end_is_given_up(tmp_path: Path) -> None:
    async def body(there: Between) -> None:
        assert await there.lines(1) == [(b"", "a line is larger than 32 MiB")]

    run(tmp_path, {0: KINDS["100mb"]}, body)


def test_a_cut_answer_ends_well_and_is_no_json(tmp_path: Path) -> None:
    first, second, _, _ = one(tmp_path, "cut")
    assert (first.status, first.body) == (200, second.body[: len(second.body) // 2])


def test_a_large_answer_is_given_up(tmp_path: Path) -> None:
    first, second, _, _ = one(tmp_path, "100mb")
    assert (first.status, first.error, second.status) == (0, "the answer is larger than 32 MiB", 200)


def test_a_page_is_no_json_and_a_redirect_is_a_trap(tmp_path: Path) -> None:
    assert one(tmp_path, "html")[0].body.startswith(b"<!doctype html>")
    first, _, _, proxy = one(tmp_path, "redirect")
    assert first.headers["location"] == f"https://127.0.0.1:{proxy.port}{TRAP}/things/one"


def test_stale_news_are_the_first_ones(tmp_path: Path) -> None:
    async def body(there: Between) -> None:
        first = await there.send(GET)
        there.server.things["one"]["changed"] = True
        assert (await there.send(GET)).body == first.body
        assert (await there.send(GET)).body != first.body

    run(tmp_path, {1: KINDS["stale"]}, body)


def test_stale_watches_say_everything_twice_and_the_first_again(tmp_path: Path) -> None:
    async def body(there: Between) -> None:
        there.server.events = [b"1\n", b"2\n"]
        assert [line for line, _ in await there.lines(5)] == [b"1", b"1", b"2", b"2", b"1"]

    run(tmp_path, {0: KINDS["stale"]}, body)


def test_a_clock_is_an_hour_off(tmp_path: Path) -> None:
    first, second, _, _ = one(tmp_path, "clock")
    apart = parsedate_to_datetime(first.headers["date"]) - parsedate_to_datetime(second.headers["date"])
    assert 3590 < abs(apart.total_seconds()) < 3610


def test_a_watch_expires(tmp_path: Path) -> None:
    async def body(there: Between) -> None:
        lines = await there.lines(2)
        assert json.loads(lines[0][0])["object"]["code"] == 410
        assert lines[1] == (b"", "closed by the server")

    run(tmp_path, {0: KINDS["410-watch"]}, body)


@pytest.mark.parametrize(("kind", "ends"), [("cut", True), ("reset", True), ("stall", False)])
def test_a_watch_is_cut_in_the_middle_of_an_event(tmp_path: Path, kind: str, ends: bool) -> None:
    async def body(there: Between) -> None:
        there.server.events = [b'{"type":"ADDED"}\n']
        found: list[tuple[bytes, str]] = []
        try:
            async with asyncio.timeout(1.5):
                found = await there.lines(2)
        except TimeoutError:
            assert not ends
        if kind == "cut":
            assert found[0][0] == b'{"type":'
        if kind == "reset":
            assert found[-1][1] == "connection reset"

    run(tmp_path, {0: KINDS[kind]}, body)


@pytest.mark.parametrize("kind", ["cut", "reset"])
def test_of_a_watch_that_is_silent_no_task_is_left_to_complain(tmp_path: Path, kind: str) -> None:
    complaints: list[object] = []

    async def body(there: Between) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        reading = asyncio.ensure_future(there.lines(1))
        while not reading.done():
            gc.collect()
            await asyncio.sleep(0)
        assert reading.result()[0][1], "no event came, so the stream ended"

    run(tmp_path, {0: KINDS[kind]}, body)
    assert complaints == []


def test_there_are_24_kinds() -> None:
    assert len(KINDS) == 24
