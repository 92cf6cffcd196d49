from __future__ import annotations

import pytest

from aiconform.errors import LocalClusterError
from aiconform.local.node import cgroups
from aiconform.local.node.cgroups import Group, Hierarchy

V1 = """\
30 25 0:26 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
33 30 0:29 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
34 30 0:30 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,release_agent=/x/agent,name=systemd
35 30 0:28 / /elsewhere/memory rw,relatime - cgroup cgroup rw,memory
"""


def test_version_1_has_a_hierarchy_per_mount(tmp_path) -> None:
    (tmp_path / "mountinfo").write_text(V1)
    found = cgroups.hierarchies(tmp_path / "mountinfo")
    assert [(str(h.mount_point), h.options) for h in found] == [
        ("/sys/fs/cgroup/cpu,cpuacct", "cpu,cpuacct"),
        ("/sys/fs/cgroup/memory", "memory"),
        ("/sys/fs/cgroup/pids", "pids"),
        ("/sys/fs/cgroup/systemd", "none,name=systemd"),
    ]


def test_version_2_tells_its_controllers(tmp_path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    (tmp_path / "mountinfo").write_text(f"30 25 0:26 / {tmp_path} rw - cgroup2 cgroup2 rw,nsdelegate\n")
    (only,) = cgroups.hierarchies(tmp_path / "mountinfo")
    assert only.kind == "cgroup2"
    assert only.options == ""
    assert "memory" in only.controllers


def test_missing_controllers_are_named(tmp_path) -> None:
    (tmp_path / "mountinfo").write_text("\n".join(line for line in V1.splitlines() if "memory" not in line))
    with pytest.raises(LocalClusterError, match="memory") as caught:
        cgroups.hierarchies(tmp_path / "mountinfo")
    assert caught.value.hint


@pytest.fixture
def version2(tmp_path, monkeypatch):
    """A directory tree with the files of a version 2 hierarchy; made ones get theirs as the kernel would."""

    def furnish(directory):
        (directory / "cgroup.controllers").write_text("cpu memory pids")
        (directory / "cgroup.subtree_control").write_text("")
        return directory

    made = cgroups.Path.mkdir

    def mkdir(self, *args, **kwargs):
        made(self, *args, **kwargs)
        furnish(self)

    furnish(tmp_path)
    monkeypatch.setattr(cgroups.Path, "mkdir", mkdir)
    monkeypatch.setattr(cgroups, "hierarchies", lambda: (Hierarchy(tmp_path, "cgroup2", ""),))
    return tmp_path


def test_version_2_leaves_the_direct_parent_without_controllers(version2) -> None:
    Group("cluster/node/system").create()
    assert "+" in (version2 / "cgroup.subtree_control").read_text()
    assert "+" in (version2 / "cluster/cgroup.subtree_control").read_text()
    assert (version2 / "cluster/node/cgroup.subtree_control").read_text() == ""
    Group("cluster/node").share_controllers()
    assert "+" in (version2 / "cluster/node/cgroup.subtree_control").read_text()


def test_memory_is_usage_less_idle_cache(version2) -> None:
    group = Group("cluster")
    group.create()
    (version2 / "cluster/memory.current").write_text("1000\n")
    (version2 / "cluster/memory.stat").write_text("anon 5\ninactive_file 300\n")
    assert group.memory_bytes() == 700


def test_weight_is_in_the_kernel_s_range(version2) -> None:
    group = Group("cluster")
    group.create()
    (version2 / "cluster/cpu.weight").write_text("100")
    group.weigh(4)
    assert (version2 / "cluster/cpu.weight").read_text() == "400"
    group.weigh(1000)
    assert (version2 / "cluster/cpu.weight").read_text() == "10000"


def test_no_controllers_to_create_in_is_told_with_a_hint(monkeypatch) -> None:
    monkeypatch.setattr(cgroups, "hierarchies", lambda: (Hierarchy(cgroups.Path("/proc/nowhere"), "cgroup", "cpu"),))
    with pytest.raises(LocalClusterError, match="cannot create the cgroup x") as caught:
        Group("x").create()
    assert "root" in caught.value.hint
