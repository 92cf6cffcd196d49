"""Proxies: which one, by the rules of Go, and real ones that tunnel."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from tests.support.pki import kubeconfig
from tests.support.tls_api import api_server, connect_proxy, socks_proxy
from tests.unit.cluster.asking import CA, SERVER, ask, config

from aiconform.cluster import connection as module
from aiconform.cluster.connection import connect
from aiconform.cluster.proxies import Proxy, goes_through, proxy_for
from aiconform.errors import UnreachableError

API = "https://api.prod.test:6443"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_of_the_kubeconfig_tunnels(tmp_path: Path, scheme: str) -> None:
    with api_server(SERVER) as server, connect_proxy(SERVER if scheme == "https" else None) as proxy:
        url = f"{scheme}://us:a%20long%20one@127.0.0.1:{proxy.port}"
        path = config(tmp_path, server, {"token": "a-long-token"}, **{"proxy-url": url})
        assert ask(path).status == 200
    ((first, authorization),) = proxy.asked
    assert first == f"CONNECT 127.0.0.1:{server.port} HTTP/1.1"
    assert authorization == f"Basic {base64.b64encode(b'us:a long one').decode()}"
    assert server.asked[0].all("proxy-authorization") == []
    told = connect(path).unusual
    assert told == (f"the API server is reached through a proxy ({scheme}, by proxy-url)",)


def test_a_proxy_does_not_change_who_the_server_has_to_be(tmp_path: Path) -> None:
    with api_server(CA.server("api.test")) as server, connect_proxy() as proxy:
        through = {"proxy-url": f"http://127.0.0.1:{proxy.port}"}
        assert ask(config(tmp_path, server, {}, **through)).status == 0
        assert ask(config(tmp_path, server, {}, **through, **{"tls-server-name": "api.test"})).status == 200


def test_a_socks_proxy_tunnels(tmp_path: Path) -> None:
    with api_server(SERVER) as server, socks_proxy() as proxy:
        assert ask(config(tmp_path, server, {}, **{"proxy-url": f"socks5://127.0.0.1:{proxy.port}"})).status == 200
    assert proxy.asked == [(f"127.0.0.1:{server.port}", "")]


def test_a_proxy_that_refuses_is_no_answer_and_says_so(tmp_path: Path) -> None:
    with api_server(SERVER) as server, connect_proxy() as proxy:
        proxy.refuse = 407
        answer = ask(config(tmp_path, server, {}, **{"proxy-url": f"http://127.0.0.1:{proxy.port}"}))
    assert (answer.status, answer.error) == (0, "the proxy refuses: 407")


def test_a_proxy_of_the_environment_is_used_as_kubectl_uses_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # what is on loopback never goes through a proxy, so the rule alone is told that this server is elsewhere
    with api_server(SERVER) as server, connect_proxy() as proxy:
        environment = {"HTTPS_PROXY": f"127.0.0.1:{proxy.port}"}
        monkeypatch.setattr(module, "proxy_for", lambda _server, url: proxy_for(API, url, environment))
        path = config(tmp_path, server, {})
        assert ask(path).status == 200
        assert connect(path).unusual == ("the API server is reached through a proxy (http, by HTTPS_PROXY)",)
    assert len(proxy.asked) == 1


def test_this_machine_itself_is_never_asked_through_a_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with api_server(SERVER) as server:
        assert ask(config(tmp_path, server, {})).status == 200


@pytest.mark.parametrize("url", ["ftp://127.0.0.1:1", "http://", "http://a:b:c:secret", "http://:80", "secret"])
def test_a_proxy_that_cannot_be_used_is_one_clear_error(tmp_path: Path, url: str) -> None:
    with pytest.raises(UnreachableError, match="proxy") as caught:
        connect(kubeconfig(tmp_path / "config", {}, **{"proxy-url": url}))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("server", "environment", "url"),
    [
        (API, {}, ""),
        (API, {"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        (API, {"https_proxy": "p:1"}, "http://p:1"),
        (API, {"HTTPS_PROXY": "http://p"}, "http://p:80"),
        (API, {"HTTP_PROXY": "http://p:1"}, ""),
        (API, {"ALL_PROXY": "http://p:1"}, ""),
        ("http://api.prod.test", {"HTTP_PROXY": "http://p:1"}, "http://p:1"),
        (API, {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "prod.test"}, ""),
        (API, {"HTTPS_PROXY": "http://p:1", "no_proxy": "other.test, .prod.test"}, ""),
    ],
)
def test_the_environment_is_read_as_by_go(server: str, environment: dict[str, str], url: str) -> None:
    found = proxy_for(server, "", environment)
    assert (found.url if found else "") == url


def test_the_kubeconfig_goes_before_the_environment() -> None:
    found = proxy_for(API, "socks5://q:2", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"})
    assert found == Proxy("socks5://q:2", "proxy-url")


EXCEPTED = [
    ("https://10.1.2.3", "10.0.0.0/8"),
    ("https://10.1.2.3", "10.1.2.3"),
    ("https://10.1.2.3:6443", "10.1.2.3:6443"),
    ("https://[fd00::5]:6443", "fd00::/16"),
    ("https://[fd00::5]:6443", "[fd00::5]:6443"),
    ("https://[fd00::5]", "fd00:0:0::5"),
    ("https://foo.test", "foo.test"),
    ("https://bar.foo.test", "foo.test"),
    ("https://bar.foo.test", ".foo.test"),
    ("https://bar.foo.test", "*.foo.test"),
    ("https://FOO.test", "foo.TEST"),
    ("https://foo.test", "foo.test:443"),
    ("https://foo.test", "*"),
    ("https://foo.test", " a , foo.test "),
    ("https://localhost:6443", ""),
    ("https://127.9.9.9", ""),
    ("https://[::1]", ""),
]
NOT_EXCEPTED = [
    ("https://11.1.2.3", "10.0.0.0/8"),
    ("https://10.1.2.3:6443", "10.1.2.3:443"),
    ("https://foo.test", ".foo.test"),
    ("https://foo.test", "*.foo.test"),
    ("https://afoo.test", "foo.test"),
    ("https://foo.test:6443", "foo.test:443"),
    ("https://foo.test", "10.0.0.0/8"),
    ("https://foo.test", "10.0.0.0/999,,:"),
    ("https://foo.test", ""),
    ("https://127.test", "127.0.0.1"),
]


@pytest.mark.parametrize(("server", "no_proxy"), EXCEPTED)
def test_what_is_excepted(server: str, no_proxy: str) -> None:
    assert not goes_through(server, no_proxy)


@pytest.mark.parametrize(("server", "no_proxy"), NOT_EXCEPTED)
def test_what_is_not_excepted(server: str, no_proxy: str) -> None:
    assert goes_through(server, no_proxy)
