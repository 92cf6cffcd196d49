from __future__ import annotations

import pytest

from aiconform.local.images import memory


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = tmp_path / "aiconform" / "images" / "ray-1"
    made.mkdir(parents=True)
    (made / "image.tar").touch()
    return made


def test_what_was_made_is_found_again(place) -> None:
    assert memory.recall("ray", ["config"]) is None
    memory.remember("ray", ["config"], place)
    assert memory.recall("ray", ["config"]) == place


def test_other_facts_and_another_program_are_something_else(place, monkeypatch) -> None:
    memory.remember("ray", ["config"], place)
    assert memory.recall("ray", ["changed"]) is None
    assert memory.recall("python", ["config"]) is None
    monkeypatch.setattr(memory, "_program", lambda: "changed")
    assert memory.recall("ray", ["config"]) is None


def test_an_archive_that_is_gone_is_made_anew(place) -> None:
    memory.remember("ray", ["config"], place)
    (place / "image.tar").unlink()
    assert memory.recall("ray", ["config"]) is None
