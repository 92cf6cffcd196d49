"""Tokens that rotate, expire and are refused: asked for again once, then said."""

from __future__ import annotations

import time
from pathlib import Path

import anyio
import pytest
from tests.support.pki import encoded
from tests.support.tls_api import ApiServer, Asked, Reply, api_server, only, token_file, unauthorized, version
from tests.unit.cluster.asking import CA, SERVER, VERSION, ask, config

from aiconform.cluster import login
from aiconform.cluster.connection import connect
from aiconform.cluster.http import ClusterHttp, RawAnswer, RawRequest


def test_a_token_is_sent(tmp_path: Path) -> None:
    with api_server(SERVER, only("Bearer a-long-token")) as server:
        assert ask(config(tmp_path, server, {"token": "a-long-token\n"})).status == 200


def test_a_token_file_goes_before_a_token(tmp_path: Path) -> None:
    token_file(tmp_path / "token", "of-the-file")
    learned: list[str | bytes] = []
    with api_server(SERVER, only("Bearer of-the-file")) as server:
        user = {"token": "of-the-kubeconfig", "tokenFile": "token"}
        assert ask(config(tmp_path, server, user), learned=learned).status == 200
        (tmp_path / "token").unlink()
        server.answer = only("Bearer of-the-kubeconfig")
        assert ask(config(tmp_path, server, user)).status == 200
    assert learned == ["of-the-file"]


def test_a_token_that_was_replaced_is_read_again_when_it_is_refused(tmp_path: Path) -> None:
    token_file(tmp_path / "token", "the-first-one")
    learned: list[str | bytes] = []

    def answer(asked: Asked) -> Reply:
        if len(server.asked) == 2:
            token_file(tmp_path / "token", "the-second-one")
        return version(asked) if len(server.asked) == 1 or "second" in asked.authorization else unauthorized()

    with api_server(SERVER, answer) as server:
        result = ask(config(tmp_path, server, {"tokenFile": "token"}), times=2, learned=learned)
    assert (result.status, len(server.asked)) == (200, 3)
    assert learned == ["the-first-one", "the-second-one"]


def test_a_token_file_is_read_again_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "_REREAD_S", -1.0)
    token_file(tmp_path / "token", "the-first-one")

    def answer(asked: Asked) -> Reply:
        token_file(tmp_path / "token", "the-second-one")
        return version(asked)

    with api_server(SERVER, answer) as server:
        ask(config(tmp_path, server, {"tokenFile": "token"}), times=2)
    assert [asked.authorization for asked in server.asked] == ["Bearer the-first-one", "Bearer the-second-one"]


def test_a_token_file_that_is_gone_for_a_moment_is_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "_REREAD_S", -1.0)
    token_file(tmp_path / "token", "the-only-one")

    def answer(asked: Asked) -> Reply:
        (tmp_path / "token").unlink(missing_ok=True)
        return version(asked)

    with api_server(SERVER, answer) as server:
        assert ask(config(tmp_path, server, {"tokenFile": "token"}), times=2).status == 200


def test_a_missing_token_file_is_no_answer_and_says_so(tmp_path: Path) -> None:
    with api_server(SERVER) as server:
        answer = ask(config(tmp_path, server, {"tokenFile": "token"}))
    assert answer.status == 0
    assert "there is no token in" in answer.error
    assert not server.asked


@pytest.mark.parametrize("token", ["two words-long", "two\nlines-long", "ünusual-token"])
def test_a_token_that_no_header_carries_is_not_repeated(tmp_path: Path, token: str) -> None:
    with api_server(SERVER) as server:
        answer = ask(config(tmp_path, server, {"token": token}))
    assert answer.error == "the token of the kubeconfig has characters that no header can carry"
    assert not server.asked


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ({"token": "a-long-token"}, "the token of the kubeconfig"),
        ({"username": "me", "password": "a-long-password"}, "the name and password of the kubeconfig"),
        ({}, "a request without credentials, and the kubeconfig has none"),
    ],
)
def test_what_is_refused_for_good_is_asked_once_and_said(tmp_path: Path, user: dict[str, str], words: str) -> None:
    with api_server(SERVER, only("Bearer another")) as server:
        answer = ask(config(tmp_path, server, user))
    assert (answer.status, answer.error) == (401, f"the API server does not accept {words}")
    assert len(server.asked) == 1


def test_the_same_token_from_its_file_is_not_sent_twice(tmp_path: Path) -> None:
    token_file(tmp_path / "token", "of-the-file")
    with api_server(SERVER, only("Bearer another")) as server:
        answer = ask(config(tmp_path, server, {"tokenFile": "token"}))
    assert answer.error == "the API server does not accept the token in token, also as it was read again from its file"
    assert len(server.asked) == 1


def test_a_request_that_is_sent_again_has_its_body_again(tmp_path: Path) -> None:
    token_file(tmp_path / "token", "the-first-one")

    def answer(asked: Asked) -> Reply:
        token_file(tmp_path / "token", "the-second-one")
        return only("Bearer the-second-one")(asked)

    async def work(server: ApiServer) -> RawAnswer:
        async with ClusterHttp(connect(config(tmp_path, server, {"tokenFile": "token"}))) as http:
            return await http.send(RawRequest("POST", "/api/v1/pods", (("a", "b"),), {"Audit-ID": "x"}, b'{"a":1}'))

    with api_server(SERVER, answer) as server:
        assert anyio.run(work, server).status == 200
    first, second = server.asked
    assert (first.path, first.body, first.all("audit-id")) == (second.path, second.body, second.all("audit-id"))
    assert second.body == b'{"a":1}'


def test_many_requests_that_are_refused_at_once_read_the_file_once(tmp_path: Path) -> None:
    token_file(tmp_path / "token", "the-first-one")
    learned: list[str | bytes] = []

    def answer(asked: Asked) -> Reply:
        token_file(tmp_path / "token", "the-second-one")
        time.sleep(0.05)
        return only("Bearer the-second-one")(asked)

    async def work(server: ApiServer) -> list[int]:
        statuses: list[int] = []
        async with ClusterHttp(connect(config(tmp_path, server, {"tokenFile": "token"})), learned.append) as http:

            async def one() -> None:
                statuses.append((await http.send(VERSION)).status)

            async with anyio.create_task_group() as group:
                for _ in range(8):
                    group.start_soon(one)
        return statuses

    with api_server(SERVER, answer) as server:
        assert anyio.run(work, server) == [200] * 8
    assert learned == ["the-first-one", "the-second-one"]


def test_a_stream_is_authenticated_again_too(tmp_path: Path) -> None:
    token_file(tmp_path / "token", "the-first-one")

    def answer(asked: Asked) -> Reply:
        token_file(tmp_path / "token", "the-second-one")
        return only("Bearer the-second-one")(asked)

    async def work(server: ApiServer) -> tuple[int, bytes]:
        async with (
            ClusterHttp(connect(config(tmp_path, server, {"tokenFile": "token"}))) as http,
            http.stream(VERSION) as stream,
        ):
            return stream.answer.status, (await stream.next_line())[0]

    with api_server(SERVER, answer) as server:
        assert anyio.run(work, server) == (200, b'{"gitVersion":"v1.35.3"}')


def test_a_client_certificate_that_was_replaced_is_read_again_and_shown_on_a_new_connection(tmp_path: Path) -> None:
    def put(name: str) -> None:
        pair = CA.client(name)
        (tmp_path / "pair.pem").write_bytes(pair.certificate + pair.key)

    def answer(asked: Asked) -> Reply:
        if len(server.asked) == 2:
            put("the-second")
        return version(asked) if len(server.asked) != 2 else unauthorized()

    put("the-first")
    user = {"client-certificate": "pair.pem", "client-key": "pair.pem"}
    with api_server(SERVER, answer, clients=CA) as server:
        assert ask(config(tmp_path, server, user), times=3).status == 200
    assert [asked.certificate for asked in server.asked] == ["the-first", "the-first", "the-second", "the-second"]
    peers = [asked.peer for asked in server.asked]
    assert peers[0] == peers[1] != peers[2] == peers[3]


def test_a_replaced_certificate_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    pair = CA.client("the-first")
    (tmp_path / "pair.pem").write_bytes(pair.certificate + pair.key)

    def answer(_asked: Asked) -> Reply:
        (tmp_path / "pair.pem").write_bytes(b"half of it")
        return unauthorized()

    user = {"client-certificate": "pair.pem", "client-key": "pair.pem"}
    with api_server(SERVER, answer, clients=CA) as server:
        answered = ask(config(tmp_path, server, user))
    assert (answered.status, answered.error[:39]) == (0, "the client certificate or its key canno")


def test_an_open_stream_outlives_the_certificate_it_was_opened_with(tmp_path: Path) -> None:
    pair, other = CA.client("the-first"), CA.client("the-second")
    path = tmp_path / "pair.pem"
    path.write_bytes(pair.certificate + pair.key)

    def answer(asked: Asked) -> Reply:
        if len(server.asked) == 2:
            path.write_bytes(other.certificate + other.key)
            return unauthorized()
        return version(asked)

    async def work(server: ApiServer) -> tuple[int, bytes]:
        user = {"client-certificate": "pair.pem", "client-key": "pair.pem"}
        async with (
            ClusterHttp(connect(config(tmp_path, server, user))) as http,
            http.stream(VERSION) as stream,
        ):
            status = (await http.send(VERSION)).status
            return status, (await stream.next_line())[0]

    with api_server(SERVER, answer, clients=CA) as server:
        assert anyio.run(work, server) == (200, b'{"gitVersion":"v1.35.3"}')
    assert [asked.certificate for asked in server.asked] == ["the-first", "the-first", "the-second"]


def test_both_certificate_and_token_go_together(tmp_path: Path) -> None:
    pair = CA.client("admin")
    user = {
        "client-certificate-data": encoded(pair.certificate),
        "client-key-data": encoded(pair.key),
        "token": "a-long-token",
    }
    with api_server(SERVER, only("Bearer a-long-token"), clients=CA) as server:
        assert ask(config(tmp_path, server, user)).status == 200
    assert server.asked[0].certificate == "admin"
