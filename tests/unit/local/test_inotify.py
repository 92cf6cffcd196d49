from __future__ import annotations

import ctypes
import os
from pathlib import Path

import pytest

from aiconform.errors import LocalClusterError
from aiconform.local import inotify


@pytest.fixture
def proc(tmp_path):
    (tmp_path / "sys/fs/inotify").mkdir(parents=True)
    (tmp_path / "sys/fs/inotify/max_user_instances").write_text("128\n")
    for pid in range(1, 5):
        (tmp_path / str(pid) / "fd").mkdir(parents=True)
        (tmp_path / str(pid) / "fd" / "0").symlink_to("/dev/null")
        for number in range(1, 21):
            (tmp_path / str(pid) / "fd" / str(number)).symlink_to("anon_inode:inotify")
    return tmp_path


def test_room_for_a_small_cluster_but_not_for_a_big_one(proc) -> None:
    assert inotify.in_use(proc) == 80
    inotify.check(1, proc)
    with pytest.raises(LocalClusterError, match="128 allowed, 80 in use, a cluster of 4 nodes needs 56") as caught:
        inotify.check(4, proc)
    assert "max_user_instances=" in caught.value.hint


def test_real_instances_are_seen() -> None:
    before = inotify._instances(Path("/proc/self"))
    descriptor = ctypes.CDLL(None).inotify_init()
    after = inotify._instances(Path("/proc/self"))
    os.close(descriptor)
    assert after == before + 1
