from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from aiconform.local.node import services
from aiconform.local.node.services import Log, describe_exit

RUN = """
import sys
from pathlib import Path
from aiconform.local.node import services
from aiconform.local.node.launch import Service
services.INSIDE = sys.argv[1]
base = Path(sys.argv[1])
(base / "done").mkdir()
wanted = (
    Service("crash", ("sh", "-c", "echo why; exit 3")),
    Service("once", ("true",), once=True),
    Service("after", ("sleep", "60"), after=(str(base / "done" / "once"),)),
    Service("never", ("sleep", "60"), after=("/nowhere",)),
    Service("missing", ("no-such-program",)),
)
services.Keeper(wanted, {"PATH": "/usr/bin:/bin"}, base / "logs", base / "report.json", base / "bin").run()
"""


@pytest.fixture
def keeper(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", RUN, str(tmp_path)], start_new_session=True)
    yield process, tmp_path
    for pid in [entry["pid"] for entry in report(tmp_path).values() if entry["pid"]]:
        os.kill(pid, signal.SIGKILL)
    process.kill()
    process.wait()


def report(base) -> dict:
    return json.loads((base / "report.json").read_text())


def wait_for(condition, base):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            found = report(base)
            if condition(found):
                return found
        except FileNotFoundError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"not seen: {report(base)}")


def test_services_start_in_order_and_again(keeper) -> None:
    process, base = keeper
    found = wait_for(lambda r: r["crash"]["restarts"] >= 2 and r["after"]["pid"], base)
    assert found["once"]["condition"] == "done"
    assert found["never"]["condition"] == "waiting"
    assert found["crash"]["last_end"] == "exit status 3"
    assert "No such file" in found["missing"]["last_end"]
    log = (base / "logs/node.log").read_text()
    assert "crash ended: exit status 3" in log
    assert "crash: why" in log
    os.kill(found["after"]["pid"], signal.SIGKILL)
    found = wait_for(lambda r: r["after"]["restarts"] == 1 and r["after"]["pid"], base)
    assert found["after"]["last_end"] == "signal SIGKILL"
    assert process.poll() is None


def test_a_log_is_bounded(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(services, "LOG_BYTES", 1000)
    log = Log(tmp_path / "x.log")
    for number in range(100):
        log.write(f"line {number:04}\n".encode() * 5)
    sizes = sorted(path.stat().st_size for path in tmp_path.iterdir())
    assert len(sizes) == 2
    assert sizes[-1] <= 1000
    assert "line 0099" in (tmp_path / "x.log").read_text()
    assert list(log.tail) == ["line 0099"] * 5
    log.close()


def test_our_own_notes_do_not_push_out_the_last_words(tmp_path) -> None:
    log = Log(tmp_path / "x.log")
    log.write(b"panic: boom\n")
    log.note("x ended")
    assert list(log.tail) == ["panic: boom"]
    log.close()


@pytest.mark.parametrize(
    ("code", "words"), [(0, "exit status 0"), (1, "exit status 1"), (-9, "signal SIGKILL"), (-99, "signal 99")]
)
def test_ends_in_words(code, words) -> None:
    assert describe_exit(code) == words


def test_a_full_disk_costs_lines_and_nothing_else(tmp_path, monkeypatch) -> None:
    (tmp_path / "x.log").symlink_to("/dev/full")
    log = Log(tmp_path / "x.log")
    log.write(b"panic: boom\n")
    log.note("x ended")
    assert list(log.tail) == ["panic: boom"]
    monkeypatch.setattr(services, "LOG_BYTES", 1)
    log.write(b"room again\n")
    assert (tmp_path / "x.log").read_text() == "room again\n"
    log.close()


def test_a_log_that_could_not_be_begun_anew_goes_on_later(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(services, "LOG_BYTES", 20)
    log = Log(tmp_path / "x.log")
    log.write(b"first" * 3)
    with monkeypatch.context() as full:
        full.setattr(services.Path, "open", no_space)
        log.write(b"second" * 3)
    assert list(log.tail) == ["first" * 3, "second" * 3]
    log.write(b"third" * 3)
    assert (tmp_path / "x.log").read_text() == "third" * 3
    assert (tmp_path / "x.log.1").read_text() == "first" * 3
    log.close()


def no_space(*_arguments, **_options):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_node_lives_without_its_report_and_writes_it_once_there_is_room(tmp_path) -> None:
    (tmp_path / "report.json.new").symlink_to("/dev/full")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/crash.log").symlink_to("/dev/full")
    (tmp_path / "logs/node.log").symlink_to("/dev/full")
    with subprocess.Popen([sys.executable, "-c", RUN, str(tmp_path)], start_new_session=True) as process:
        try:
            time.sleep(1.5)
            assert process.poll() is None
            assert not (tmp_path / "report.json").exists()
            (tmp_path / "report.json.new").unlink()
            found = wait_for(lambda r: r["after"]["pid"] and r["crash"]["restarts"], tmp_path)
            assert found["crash"]["tail"] == ["why"] * len(found["crash"]["tail"])
        finally:
            process.kill()
    os.kill(found["after"]["pid"], signal.SIGKILL)
