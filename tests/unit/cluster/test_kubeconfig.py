"""Kubeconfigs, good and bad, without a cluster: which files, which entry, which paths."""

from __future__ import annotations

import errno
import os
import traceback
from pathlib import Path

import pytest
from tests.support.pki import kubeconfig, write

from aiconform.cluster import kubeconfig as module
from aiconform.cluster.connection import connect
from aiconform.cluster.kubeconfig import choose
from aiconform.errors import UnreachableError

SECRET = "hunter2-hunter2-hunter2"


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No kubeconfig but those of the test."""
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)


def several(monkeypatch: pytest.MonkeyPatch, *paths: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(map(str, paths)))


def test_of_every_name_the_first_file_counts_and_counts_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = write(tmp_path / "1", clusters={"a": {"server": "https://one"}}, users={"a": {"token": "first"}}, current="a")
    two = write(
        tmp_path / "2",
        clusters={"a": {"server": "https://two", "tls-server-name": "two"}, "b": {"server": "https://b"}},
        users={"a": {"token": "second", "username": "second"}, "b": {"token": "b"}},
        current="b",
    )
    several(monkeypatch, one, two)
    chosen = choose()
    assert (chosen.context, chosen.cluster.server, chosen.cluster.tls_server_name) == ("a", "https://one", "")
    assert (chosen.user.token, chosen.user.username) == ("first", "")
    assert choose(context="b").cluster.server == "https://b"


def test_the_current_context_is_of_the_first_file_that_names_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = {"a": {"token": "a"}, "b": {"token": "b"}}
    clusters = {"a": {"server": "https://a"}, "b": {"server": "https://b"}}
    one = write(tmp_path / "1", clusters=clusters, users=users)
    several(monkeypatch, one, write(tmp_path / "2", current="b"), write(tmp_path / "3", current="a"))
    assert choose().context == "b"


def test_a_context_may_join_what_stands_in_different_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = write(tmp_path / "1", contexts={"x": {"cluster": "c", "user": "u"}}, current="x")
    two = write(tmp_path / "2", clusters={"c": {"server": "https://c"}}, contexts={})
    three = write(tmp_path / "3", users={"u": {"token": "u"}}, contexts={})
    several(monkeypatch, one, two, three)
    chosen = choose()
    assert (chosen.cluster.server, chosen.user.token) == ("https://c", "u")


def test_paths_stand_against_the_file_that_names_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exec_ = {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "bin/helper"}
    one = write(tmp_path / "one/config", clusters={"a": {"server": "https://a", "certificate-authority": "ca.pem"}})
    two = write(
        tmp_path / "two/config",
        users={"a": {"client-certificate": "c.pem", "client-key": "/k.pem", "tokenFile": "../t", "exec": exec_}},
        current="a",
    )
    several(monkeypatch, one, two)
    chosen = choose()
    assert chosen.cluster.ca_file == str(tmp_path / "one/ca.pem")
    assert chosen.user.certificate_file == str(tmp_path / "two/c.pem")
    assert chosen.user.key_file == "/k.pem"
    assert os.path.normpath(chosen.user.token_file) == str(tmp_path / "t")
    assert chosen.user.plugin is not None
    assert chosen.user.plugin.command == str(tmp_path / "two/bin/helper")


def test_a_plugin_without_a_path_is_looked_for_in_path(tmp_path: Path) -> None:
    exec_ = {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "aws", "args": None, "env": None}
    plugin = choose(kubeconfig(tmp_path / "config", {"exec": exec_})).user.plugin
    assert plugin is not None
    assert (plugin.command, plugin.args, plugin.env) == ("aws", [], [])


def test_missing_files_are_skipped_and_an_empty_one_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").write_text("")
    config = kubeconfig(tmp_path / "config", {"token": "a-token"})
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/none::{tmp_path}/empty:{config}:{config}")
    assert choose().user.token == "a-token"


def test_a_file_that_is_named_stands_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    several(monkeypatch, write(tmp_path / "1", clusters={"a": {"server": "https://a"}}, users={"a": {}}, current="a"))
    other = write(tmp_path / "2", clusters={"b": {"server": "https://b"}}, users={"b": {}}, current="b")
    assert choose(other).context == "b"
    with pytest.raises(UnreachableError, match="context 'a' not found"):
        choose(other, "a")


def test_without_anything_the_file_in_the_home_counts(tmp_path: Path) -> None:
    kubeconfig(tmp_path / "home/.kube/config", {"token": "at-home"})
    assert choose().user.token == "at-home"


def test_in_a_pod_the_service_account_is_taken_where_there_is_no_kubeconfig(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = tmp_path / "account"
    account.mkdir()
    (account / "token").write_text("of-the-pod")
    (account / "ca.crt").write_text("")
    monkeypatch.setattr(module, "SERVICE_ACCOUNT", account)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    chosen = choose()
    assert (chosen.cluster.server, chosen.user.token_file) == ("https://[fd00::1]:443", str(account / "token"))
    assert chosen.cluster.ca_file == str(account / "ca.crt")
    with pytest.raises(UnreachableError):
        choose(context="prod")
    kubeconfig(tmp_path / "home/.kube/config", {"token": "at-home"})
    assert choose().user.token == "at-home"


def test_outside_of_a_pod_a_missing_kubeconfig_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match=str(tmp_path / "none")):
        choose(tmp_path / "none")


def test_an_unknown_context_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError) as caught:
        choose(kubeconfig(tmp_path / "config", {"token": "a-long-token"}), "prod")
    assert "prod" in caught.value.message
    assert caught.value.hint == "contexts there: a"


def test_no_current_context_names_the_known_ones(tmp_path: Path) -> None:
    path = write(tmp_path / "config", clusters={"a": {"server": "https://a"}}, users={"a": {}, "b": {}})
    with pytest.raises(UnreachableError, match="no current context") as caught:
        choose(path)
    assert "a, b" in caught.value.hint


@pytest.mark.parametrize(
    ("context", "words"),
    [
        ({"cluster": "none", "user": "a"}, "cluster 'none'"),
        ({"cluster": "a", "user": "none"}, "user 'none'"),
        ({"cluster": "empty", "user": "a"}, "no server"),
    ],
)
def test_what_a_context_names_has_to_be_there(tmp_path: Path, context: dict[str, str], words: str) -> None:
    clusters = {"a": {"server": "https://a"}, "empty": {}}
    path = write(tmp_path / "config", clusters=clusters, users={"a": {}}, contexts={"x": context}, current="x")
    with pytest.raises(UnreachableError, match=words):
        choose(path)


BROKEN = [
    "{",
    "a: [",
    "[]",
    "clusters: 1",
    '{"clusters": [{}]}',
    "\0",
    "'" + "[" * 3000,
    "[" * 3000,
    "users: [{name: a, user: {token: 12345678}}]",
    "users: [{name: a}, {name: a}]",
    f"users: [{{name: a, user: {{token: [{SECRET}]}}}}]",
    f"token: {SECRET}\n\tx: {SECRET}",
    f"users: [{{name: a, user: {{token: {SECRET}: {SECRET}}}}}]",
    f"users: [{{name: a, user: {{exec: {{interactiveMode: {SECRET}}}}}}}]",
]


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_kubeconfig_is_one_clear_error_that_repeats_nothing_of_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(UnreachableError) as caught:
        connect(path)
    assert caught.value.hint
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match=f"cannot read {tmp_path}"):
        choose(tmp_path)


def test_a_file_that_may_not_be_looked_for_is_named_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    several(monkeypatch, tmp_path / "none", tmp_path / ("long" * 100))
    with pytest.raises(UnreachableError, match=r"cannot read .*: File name too long"):
        choose()

    def refuse(_path: Path, **_how: object) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "stat", refuse)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    several(monkeypatch, tmp_path / "of-another")
    with pytest.raises(UnreachableError, match=f"cannot read {tmp_path / 'of-another'}: Permission denied"):
        choose()


def test_a_home_that_nobody_has_is_no_place_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnreachableError, match="no kubeconfig at ~no-such-user/config"):
        choose(Path("~no-such-user/config"))
    monkeypatch.setenv("KUBECONFIG", "~no-such-user/config")
    with pytest.raises(UnreachableError, match="no kubeconfig at ~no-such-user/config"):
        choose()


def test_nothing_that_is_read_shows_a_credential_of_itself(tmp_path: Path) -> None:
    user = {
        "token": SECRET,
        "password": SECRET,
        "client-key-data": SECRET,
        "exec": {"command": "x", "args": [SECRET], "env": [{"name": "A", "value": SECRET}]},
    }
    path = kubeconfig(tmp_path / "config", user, **{"proxy-url": f"http://u:{SECRET}@127.0.0.1:1"})
    assert SECRET not in repr(choose(path))
    assert SECRET not in repr(connect(path))
