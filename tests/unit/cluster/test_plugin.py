"""Credential plugins of a kubeconfig: what they are told, what they give, and what becomes of one that fails."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.support import leaks
from tests.support.pki import encoded, kubeconfig
from tests.support.tls_api import Asked, Reply, api_server, connect_proxy, only, unauthorized, version
from tests.unit.cluster.asking import CA, SERVER, VERSION, ask, ask_on, config, plugin

from aiconform.cluster import login, plugin_process
from aiconform.cluster.connection import connect
from aiconform.cluster.http import ClusterHttp
from aiconform.cluster.plugin_process import Aside
from aiconform.errors import UnreachableError

GIVES = (
    "import json, os, sys; given = {'kind': 'ExecCredential', 'apiVersion': '{api}', 'status': {STATUS}};"
    "print(json.dumps(given))"
)
COUNTS = (
    "import json; from pathlib import Path; file = Path(r'{FILE}');"
    "n = int(file.read_text()) + 1 if file.exists() else 1;"
    "file.write_text(str(n));"
    "print(json.dumps({'kind': 'ExecCredential', 'apiVersion': '{api}', 'status': {STATUS}}))"
)


def gives(**status: str) -> str:
    """A plugin that gives this."""
    return GIVES.replace("{STATUS}", repr(status))


def counts(file: Path, status: str) -> str:
    """A plugin that counts in a file how often it ran: ``n`` in the status."""
    return COUNTS.replace("{FILE}", str(file)).replace("{STATUS}", status)


@pytest.mark.parametrize("form", ["v1", "v1beta1"])
def test_the_token_of_a_plugin_is_sent_and_made_known(tmp_path: Path, form: str) -> None:
    learned: list[str | bytes] = []
    with api_server(SERVER, only("Bearer a-plugins-token")) as server:
        path = config(tmp_path, server, plugin(tmp_path, gives(token="a-plugins-token"), form))
        assert ask(path, learned=learned).status == 200
    assert set(learned) == {"a-plugins-token"}, "the redactor has to hear of it"


@pytest.mark.parametrize("token", ["", "a-plugins-token"])
def test_the_certificate_of_a_plugin_is_shown_and_made_known(tmp_path: Path, token: str) -> None:
    pair = CA.client("of-a-plugin")
    status = {"clientCertificateData": pair.certificate.decode(), "clientKeyData": pair.key.decode(), "token": token}
    learned: list[str | bytes] = []
    with api_server(SERVER, clients=CA) as server:
        assert ask(config(tmp_path, server, plugin(tmp_path, gives(**status))), learned=learned).status == 200
    assert server.asked[0].certificate == "of-a-plugin"
    assert server.asked[0].authorization == (f"Bearer {token}" if token else "")
    assert {pair.certificate, pair.key} <= set(learned)


def test_a_plugin_runs_once_while_its_token_lasts(tmp_path: Path) -> None:
    in_an_hour = "{'token': f'token-number-{n}', 'expirationTimestamp': '2999-01-01T00:00:00Z'}"
    with api_server(SERVER) as server:
        ask(config(tmp_path, server, plugin(tmp_path, counts(tmp_path / "n", in_an_hour))), times=3)
    assert {asked.authorization for asked in server.asked} == {"Bearer token-number-1"}


def test_a_token_that_expires_is_renewed_before_it_is_refused(tmp_path: Path) -> None:
    soon = (
        "{'token': f'token-number-{n}', 'expirationTimestamp':"
        " (__import__('datetime').datetime.now(__import__('datetime').UTC)"
        " + __import__('datetime').timedelta(seconds=0.7)).isoformat()}"
    )

    async def work() -> None:
        async with ClusterHttp(connect(path)) as http:
            await http.send(VERSION)
            await http.send(VERSION)
            await anyio.sleep(0.8)
            await http.send(VERSION)

    with api_server(SERVER) as server:
        path = config(tmp_path, server, plugin(tmp_path, counts(tmp_path / "n", soon)))
        anyio.run(work)
    assert [asked.authorization[-1] for asked in server.asked] == ["1", "1", "2"]


def test_a_token_that_is_over_when_it_comes_is_not_asked_for_before_every_request(tmp_path: Path) -> None:
    over = "{'token': f'token-number-{n}', 'expirationTimestamp': '2001-01-01T00:00:00Z'}"
    with api_server(SERVER) as server:
        ask(config(tmp_path, server, plugin(tmp_path, counts(tmp_path / "n", over))), times=3)
    assert {asked.authorization for asked in server.asked} == {"Bearer token-number-1"}


def test_a_refused_token_has_the_plugin_run_once_more(tmp_path: Path) -> None:
    with api_server(SERVER, only("Bearer token-number-2")) as server:
        user = plugin(tmp_path, counts(tmp_path / "n", "{'token': f'token-number-{n}'}"))
        assert ask(config(tmp_path, server, user)).status == 200
    assert (tmp_path / "n").read_text() == "2"


def test_what_is_refused_for_good_has_the_plugin_run_once_more_and_not_for_every_request(tmp_path: Path) -> None:
    with api_server(SERVER, lambda _: unauthorized()) as server:
        user = plugin(tmp_path, counts(tmp_path / "n", "{'token': f'token-number-{n}'}"))
        answer = ask(config(tmp_path, server, user), times=4)
    assert (tmp_path / "n").read_text() == "2"
    name = Path(sys.executable).name
    words = f"the API server does not accept what credential plugin {name} gave, also after it was asked anew"
    assert (answer.status, answer.error) == (401, words)


def test_a_certificate_that_is_refused_is_renewed_on_a_new_connection(tmp_path: Path) -> None:
    pairs = [CA.client("the-first"), CA.client("the-second")]
    for number, pair in enumerate(pairs, 1):
        (tmp_path / f"c{number}").write_bytes(pair.certificate)
        (tmp_path / f"k{number}").write_bytes(pair.key)
    status = (
        f"{{'clientCertificateData': Path(r'{tmp_path}/c' + str(n)).read_text(),"
        f" 'clientKeyData': Path(r'{tmp_path}/k' + str(n)).read_text()}}"
    )

    def answer(asked: Asked) -> Reply:
        return version(asked) if asked.certificate == "the-second" else unauthorized()

    with api_server(SERVER, answer, clients=CA) as server:
        assert ask(config(tmp_path, server, plugin(tmp_path, counts(tmp_path / "n", status)))).status == 200
    assert [asked.certificate for asked in server.asked] == ["the-first", "the-second"]


def test_credentials_of_the_kubeconfig_go_before_a_plugin(tmp_path: Path) -> None:
    with api_server(SERVER, only("Bearer of-the-kubeconfig")) as server:
        user = {"token": "of-the-kubeconfig", **plugin(tmp_path, "raise SystemExit(1)")}
        assert ask(config(tmp_path, server, user)).status == 200


TELLS = (
    "import os; open(r'{FILE}', 'w').write(os.environ['KUBERNETES_EXEC_INFO'] + '\\n' + os.environ.get('MINE', ''));"
)


@pytest.mark.parametrize("form", ["v1", "v1beta1"])
def test_a_plugin_is_told_what_it_is_asked_for(tmp_path: Path, form: str) -> None:
    text = TELLS.replace("{FILE}", str(tmp_path / "told")) + gives(token="a-plugins-token")
    env = [{"name": "MINE", "value": "and yours"}]
    with api_server(SERVER) as server:
        ask(config(tmp_path, server, plugin(tmp_path, text, form, env=env)))
    told, mine = (tmp_path / "told").read_text().split("\n")
    assert json.loads(told) == {
        "kind": "ExecCredential",
        "apiVersion": f"client.authentication.k8s.io/{form}",
        "spec": {"interactive": False},
    }
    assert mine == "and yours"


def test_a_plugin_is_told_of_the_cluster_where_it_asks_for_that(tmp_path: Path) -> None:
    text = TELLS.replace("{FILE}", str(tmp_path / "told")) + gives(token="a-plugins-token")
    extension = {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "us"}}
    with api_server(SERVER) as server:
        user = plugin(tmp_path, text, provideClusterInfo=True)
        ask(config(tmp_path, server, user, extensions=[extension], **{"tls-server-name": "api.test"}))
    told = json.loads((tmp_path / "told").read_text().split("\n")[0])
    assert told["spec"]["cluster"] == {
        "server": server.url,
        "tls-server-name": "api.test",
        "certificate-authority-data": encoded(CA.pem),
        "config": {"audience": "us"},
    }


FAILING = {
    "raise SystemExit(3)": "it failed with exit code 3",
    "print('no json a-plugins-token')": "no JSON object",
    "print('{}')": "kind",
    "print('[]')": "object",
    gives(): "neither a token nor a certificate",
    gives(token="a-plugins-token").replace("{api}", "client.authentication.k8s.io/v1beta1"): "no ExecCredential of",
    gives(token="a-plugins-token").replace("ExecCredential", "Other"): "no ExecCredential of",
    gives(clientKeyData="a-plugins-token"): "not both",
    gives(token="a-plugins-token", expirationTimestamp="a-plugins-token"): "expirationTimestamp",
    gives(clientKeyData="a-plugins-token", clientCertificateData="a-plugins-token"): "cannot be used",
    gives(token="a-plugins-token\nX: y"): "no header can carry",
    "print('x' * 1100000)": "larger than 1 MiB",
}


@pytest.mark.parametrize("text", FAILING)
def test_a_plugin_that_fails_is_no_answer_and_says_so(tmp_path: Path, text: str) -> None:
    with api_server(SERVER) as server:
        answer = ask(config(tmp_path, server, plugin(tmp_path, text)))
    assert answer.status == 0
    assert FAILING[text] in answer.error
    assert "a-plugins-token" not in answer.error
    assert not server.asked


def test_what_a_failed_plugin_said_is_shown_to_a_person_and_is_not_in_the_error(tmp_path: Path) -> None:
    said: list[str] = []
    text = "import sys; sys.stderr.write('log in\\x1b[2J first\\n\\nwith X'); sys.exit(1)"
    with api_server(SERVER) as server:
        answer = ask(config(tmp_path, server, plugin(tmp_path, text)), aside=Aside(said.append))
    name = Path(sys.executable).name
    assert said == [f"credential plugin {name}: log in [2J first", f"credential plugin {name}: with X"]
    assert answer.error == f"credential plugin {name}: it failed with exit code 1"


def test_what_a_plugin_says_while_it_waits_for_a_person_is_shown_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin_process, "_QUIET_S", 0.2)
    file = tmp_path / "confirmed"
    text = (
        "import os, sys, time; sys.stderr.write('enter the code ABC\\n'); sys.stderr.flush()\n"
        f"while not os.path.exists(r'{file}'): time.sleep(0.05)\n" + gives(token="a-plugins-token")
    )

    def says(line: str) -> None:
        assert line.endswith("enter the code ABC")
        file.touch()

    with api_server(SERVER) as server:
        assert ask(config(tmp_path, server, plugin(tmp_path, text)), aside=Aside(says)).status == 200


def test_a_plugin_that_failed_is_not_run_for_every_request(tmp_path: Path) -> None:
    text = f"open(r'{tmp_path}/n', 'a').write('x'); raise SystemExit(1)"
    with api_server(SERVER) as server:
        path = config(tmp_path, server, plugin(tmp_path, text))
        assert ask(path, times=4).error.endswith("exit code 1")
    assert (tmp_path / "n").read_text() == "x"


def test_a_plugin_that_failed_is_tried_again_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "_PAUSE_S", -1.0)
    text = counts(tmp_path / "n", "{'token': 'a-plugins-token'} if n > 1 else {}")
    with api_server(SERVER) as server:
        assert ask(config(tmp_path, server, plugin(tmp_path, text)), times=2).status == 200


def test_a_missing_program_brings_its_hint(tmp_path: Path) -> None:
    user = plugin(tmp_path, "", command="no-such-program", installHint="brew install it\x1b[2J")

    async def work() -> tuple[str, str]:
        async with ClusterHttp(connect(kubeconfig(tmp_path / "config", user))) as http:
            answer = await http.send(VERSION)
            assert http.trouble is not None
            return answer.error, http.trouble.hint

    user["exec"]["command"] = "no-such-program"
    words, hint = anyio.run(work)
    assert words == "credential plugin no-such-program: there is no such program"
    assert hint == "brew install it [2J"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"apiVersion": "client.authentication.k8s.io/v1alpha1"}, "v1alpha1"),
        ({"interactiveMode": ""}, "interactiveMode is missing"),
        ({"command": ""}, "no command"),
        ({"env": [{"name": "", "value": "x"}]}, "has no name"),
    ],
)
def test_a_plugin_that_the_kubeconfig_describes_badly_is_refused_at_once(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    user = plugin(tmp_path, "")
    with pytest.raises(UnreachableError, match=words):
        connect(kubeconfig(tmp_path / "config", {"exec": {**user["exec"], **change}})).login()


def test_a_plugin_that_has_to_ask_a_person_is_not_started_without_one(tmp_path: Path) -> None:
    with api_server(SERVER) as server:
        user = plugin(tmp_path, gives(token="a-plugins-token"), interactiveMode="Always")
        answer = ask(config(tmp_path, server, user))
    assert "standard input is no terminal" in answer.error


def test_a_plugin_that_does_not_end_is_ended_with_what_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin_process, "LIMIT_S", 0.7)
    text = (
        "import os, subprocess, time; child = subprocess.Popen(['sleep', '60']);"
        f"open(r'{tmp_path}/pids', 'w').write(f'{{os.getpid()}} {{child.pid}}'); time.sleep(60)"
    )
    with api_server(SERVER) as server:
        answer = ask(config(tmp_path, server, plugin(tmp_path, text)))
    assert answer.error.endswith("no answer within 1 s")
    _all_end([int(pid) for pid in (tmp_path / "pids").read_text().split()])


def test_a_plugin_ends_with_the_request_that_waits_for_it(tmp_path: Path) -> None:
    text = f"import os, time; open(r'{tmp_path}/pids', 'w').write(str(os.getpid())); time.sleep(60)"
    connection = connect(kubeconfig(tmp_path / "config", plugin(tmp_path, text)))

    async def work() -> None:
        async with ClusterHttp(connection) as http:
            with anyio.move_on_after(1):
                await http.send(VERSION)

    anyio.run(work)
    _all_end([int((tmp_path / "pids").read_text())])


def _all_end(pids: list[int]) -> None:
    until = time.monotonic() + 5
    while any(_runs(pid) for pid in pids):
        assert time.monotonic() < until
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


ASKS = """
import getpass, sys
assert __import__('json').loads(__import__('os').environ['KUBERNETES_EXEC_INFO'])['spec']['interactive'] is True
sys.stderr.write('your word: ')
sys.stderr.flush()
word = sys.stdin.readline().strip()
""" + GIVES.replace("{STATUS}", "{'token': 'token-of-' + word}")


@pytest.mark.parametrize("shown", [True, False])
def test_a_plugin_that_asks_a_person_has_the_terminal(tmp_path: Path, shown: bool) -> None:
    """In a process of its own, whose terminal is one that we type on; what it says goes to no file or pipe."""
    code = (
        "import sys; from pathlib import Path; from tests.unit.cluster.asking import ask;"
        f"print(ask(Path(r'{tmp_path}/config')).status)"
    )
    with api_server(SERVER, only("Bearer token-of-ours")) as server:
        config(tmp_path, server, plugin(tmp_path, ASKS, interactiveMode="IfAvailable"))
        ours, theirs = pty.openpty()
        errors = theirs if shown else subprocess.PIPE
        with subprocess.Popen(
            [sys.executable, "-c", code], stdin=theirs, stderr=errors, stdout=subprocess.PIPE, cwd=Path.cwd()
        ) as process:
            os.close(theirs)
            seen = b""
            while shown and b"your word: " not in seen:
                seen += os.read(ours, 1024)
            os.write(ours, b"ours\n")
            told, said = process.communicate()
            assert told.strip() == b"200", seen
            assert not said, "standard error is a pipe, and nothing of the plugin is in it"
        os.close(ours)


def test_no_library_logs_a_credential_at_any_level(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    pair = CA.client("of-a-plugin")
    status = {"clientCertificateData": pair.certificate.decode(), "clientKeyData": pair.key.decode()}
    secrets = [b"a-plugins-token/+", b"a-proxys-word/+", pair.key]
    with api_server(SERVER, only("Bearer another"), clients=CA) as server, connect_proxy() as proxy:
        user = plugin(tmp_path, gives(token="a-plugins-token/+", **status))
        through = f"http://us:a-proxys-word%2F%2B@127.0.0.1:{proxy.port}"
        assert ask(config(tmp_path, server, user, **{"proxy-url": through})).status == 401
    assert len(proxy.asked) == 1
    assert caplog.records, "the libraries do log"
    assert leaks.found_in("".join(map(repr, caplog.records)).encode() + caplog.text.encode(), secrets) == []


def test_two_connections_do_not_share_what_their_plugins_gave(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    with api_server(SERVER) as server:
        for name in ("1", "2"):
            user = plugin(tmp_path / name, gives(token=f"the-token-of-{name}"))
            ask_on(connect(config(tmp_path / name, server, user)))
    assert [asked.authorization[-1] for asked in server.asked] == ["1", "2"]
