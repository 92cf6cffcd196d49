from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from aiconform.errors import LocalClusterError
from aiconform.local import cache


@pytest.fixture
def target(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return cache.directory() / "things" / "thing-1"


def test_the_directory_follows_the_xdg_specification(monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache.directory() == Path("/somewhere/aiconform")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache.directory() == Path("/home/someone/.cache/aiconform")


def test_a_thing_is_made_once(target) -> None:
    assert cache.make(target, lambda path: path.write_text("first")) == target
    assert cache.make(target, lambda path: path.write_text("second")).read_text() == "first"


def test_a_failed_attempt_leaves_nothing(target) -> None:
    def fail(path: Path) -> None:
        path.write_text("half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cache.make(target, fail)
    assert list(target.parent.iterdir()) == []


def test_nothing_is_there_until_it_is_whole(target) -> None:
    def produce(path: Path) -> None:
        path.write_text("half")
        assert not target.exists()
        path.write_text("whole")

    assert cache.make(target, produce).read_text() == "whole"


def test_what_a_killed_maker_left_goes_with_the_next_attempt(target) -> None:
    script = (
        "import os, sys, pathlib; from aiconform.local import cache\n"
        "def produce(path): path.write_text('half'); os.kill(os.getpid(), 9)\n"
        "cache.make(pathlib.Path(sys.argv[1]), produce)"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(target)], check=False)
    assert killed.returncode == -9
    assert [path.name.startswith(".partial-thing-1-") for path in target.parent.iterdir()] == [True]
    assert cache.make(target, lambda path: path.write_text("whole")).read_text() == "whole"
    assert list(target.parent.iterdir()) == [target]


def test_the_second_waits_and_says_so(target) -> None:
    begun, waits = threading.Event(), threading.Event()

    def slowly(path: Path) -> None:
        begun.set()
        assert waits.wait(10)
        path.write_text("slow")

    first = threading.Thread(target=cache.make, args=(target, slowly))
    first.start()
    assert begun.wait(10)
    assert cache.make(target, lambda path: path.write_text("quick"), waiting=waits.set).read_text() == "slow"
    first.join()


def test_a_full_disk_is_one_clear_error(target) -> None:
    def fill(path: Path) -> None:
        with path.open("wb") as file, Path("/dev/full").open("wb", buffering=0) as full:
            file.write(b"x")
            full.write(b"x")

    with pytest.raises(LocalClusterError, match=r"cannot write to the cache.*No space left") as caught:
        cache.make(target, fill)
    assert "XDG_CACHE_HOME" in caught.value.hint
