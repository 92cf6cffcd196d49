"""``aiconform cleanup`` as a person meets it, on an API in memory."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.cli.test_commands import screen
from tests.support.fake_api import FakeApi, Obj
from tests.unit.engine.test_sweep import OTHER, ROOT, RUN, broken, cluster, pod, queue, root

from aiconform.cluster.http import RawAnswer, RawRequest
from aiconform.engine.journal import Journal

Streams = pytest.CaptureFixture[str]


class Opened:
    """Stands in for :class:`aiconform.cluster.http.ClusterHttp`."""

    api = FakeApi()

    def __init__(self, *_: object) -> None:
        pass

    async def __aenter__(self) -> FakeApi:
        return self.api

    async def __aexit__(self, *_: object) -> None:
        pass


def on(monkeypatch: pytest.MonkeyPatch, *objects: Obj) -> FakeApi:
    """Let the command meet a cluster with these."""
    Opened.api = cluster(*objects)
    monkeypatch.setattr("aiconform.cluster.http.ClusterHttp", Opened)
    connection = SimpleNamespace(server="https://example.com", secrets=())
    monkeypatch.setattr("aiconform.cluster.connection.connect", lambda *_: connection)
    return Opened.api


def young() -> Obj:
    return root(OTHER, made=datetime.now(UTC).isoformat(timespec="seconds"))


def test_what_is_left_is_shown_and_removed(monkeypatch: pytest.MonkeyPatch, capsys: Streams) -> None:
    api = on(monkeypatch, root(), queue(), pod("probe", namespace=f"aiconform-{RUN}"))
    code, out, err = screen(capsys, "cleanup", "--yes")
    assert (code, api.objects) == (0, {})
    assert sorted(out.splitlines()) == ["removed clusterqueue/gang-0123456789", f"removed namespace/aiconform-{RUN}"]
    shown = re.sub(r"begun \S+ ago", "begun T ago", err).splitlines()
    assert shown == [
        f"run {RUN}, begun T ago",
        f"  namespace/aiconform-{RUN}",
        "  clusterqueue/gang-0123456789",
        "  with 1 Pod",
    ]


def test_a_clean_cluster_is_said_to_be_clean(monkeypatch: pytest.MonkeyPatch, capsys: Streams) -> None:
    on(monkeypatch)
    assert screen(capsys, "cleanup") == (0, "", "nothing of an earlier run is on this cluster\n")
    code, _, err = screen(capsys, "cleanup", "--run", RUN)
    assert (code, err) == (0, f"nothing of run {RUN} is on this cluster\n")


def test_nothing_is_removed_unless_somebody_says_yes(monkeypatch: pytest.MonkeyPatch, capsys: Streams) -> None:
    api = on(monkeypatch, root())
    code, out, err = screen(capsys, "cleanup")
    assert (code, out) == (2, "")
    assert "hint: --yes" in err
    assert screen(capsys, "cleanup", "--dry-run")[:2] == (0, "")
    assert ROOT in api.objects
    assert {request.method for request in api.requests} == {"GET"}


def test_a_run_that_may_be_alive_is_left_alone_unless_named(monkeypatch: pytest.MonkeyPatch, capsys: Streams) -> None:
    api = on(monkeypatch, young())
    code, out, err = screen(capsys, "cleanup", "--yes")
    assert (code, out) == (5, "")
    assert "may still be going on: left alone" in err
    assert len(api.objects) == 1
    assert screen(capsys, "cleanup", "--yes", "--run", RUN)[0] == 0
    assert len(api.objects) == 1, "another run was named"
    assert screen(capsys, "cleanup", "--yes", "--run", OTHER)[0] == 0
    assert api.objects == {}


def test_all_means_young_ones_too(monkeypatch: pytest.MonkeyPatch, capsys: Streams) -> None:
    api = on(monkeypatch, young(), root())
    assert screen(capsys, "cleanup", "--yes", "--all")[0] == 0
    assert api.objects == {}


def test_what_stays_is_named_with_what_holds_it(monkeypatch: pytest.MonkeyPatch, capsys: Streams) -> None:
    on(monkeypatch, root(), pod("held", namespace=f"aiconform-{RUN}", finalizers=["example.com/hold\x1b[2J"]))
    code, out, err = screen(capsys, "cleanup", "--yes", "--wait", "1")
    assert code == 5
    assert out.startswith(f"left namespace/aiconform-{RUN} (")
    assert "pod/held" in out
    assert "example.com/hold\\x1b[2J" in out
    assert "\x1b" not in out + err
    assert "hint: aiconform cleanup" in err


def test_the_journal_names_the_run(monkeypatch: pytest.MonkeyPatch, capsys: Streams, tmp_path: Path) -> None:
    Journal(tmp_path / "journal.jsonl", OTHER, "")
    api = on(monkeypatch, young(), root())
    assert screen(capsys, "cleanup", "--yes", "--journal", str(tmp_path))[0] == 0
    assert list(api.objects) == [ROOT]
    assert screen(capsys, "cleanup", "--yes", "--journal", str(tmp_path), "--run", RUN)[0] == 2


def test_the_journal_of_a_run_that_is_named_is_used_where_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: Streams, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    directory = tmp_path / "runs" / RUN
    directory.mkdir(parents=True)
    made = queue()
    Journal(directory / "journal.jsonl", RUN, "").creating(made)
    api = on(monkeypatch, root(), made)
    body = b'{"kind":"Status","apiVersion":"v1","reason":"Forbidden","message":"no"}'

    def refuse(request: RawRequest, answer: RawAnswer) -> RawAnswer:
        listed = request.method == "GET" and request.path.endswith("clusterqueues")
        watched = "fieldSelector" in dict(request.query)
        return RawAnswer(403, {}, body) if listed and not watched else answer

    api.wrong = refuse
    assert screen(capsys, "cleanup", "--yes", "--run", RUN)[0] == 0
    assert api.objects == {}


@pytest.mark.parametrize("objects", [(), (root(),)], ids=["nothing", "a namespace"])
def test_a_kind_that_cannot_be_read_is_named_as_left_and_keeps_nothing_else(
    monkeypatch: pytest.MonkeyPatch, capsys: Streams, objects: tuple[Obj, ...]
) -> None:
    api = on(monkeypatch, *objects)
    broken(api, monkeypatch)
    code, out, err = screen(capsys, "cleanup", "--yes")
    assert (code, api.objects) == (5, {})
    removed = [f"removed namespace/aiconform-{RUN}"] * len(objects)
    assert out.splitlines()[:-1] == removed
    assert out.splitlines()[-1].startswith("left clusterqueues, if there are any (")
    assert "hint: aiconform cleanup, once the API server reads these again" in err
    code, out, err = screen(capsys, "cleanup", "--dry-run")
    assert (code, out) == (0, "")
    assert "could not look for clusterqueues, if there are any (" in err


def test_who_may_not_list_is_told_what_may_work(monkeypatch: pytest.MonkeyPatch, capsys: Streams) -> None:
    api = on(monkeypatch, root())
    body = b'{"kind":"Status","apiVersion":"v1","reason":"Forbidden","message":"namespaces is forbidden"}'
    api.refused = {"GET": RawAnswer(403, {"content-type": "application/json"}, body)}
    code, _, err = screen(capsys, "cleanup", "--yes")
    assert code == 4
    assert "namespaces is forbidden" in err
    assert "hint: aiconform cleanup --run ID" in err
