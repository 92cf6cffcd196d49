from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from aiconform.cli.local import local
from aiconform.errors import LocalClusterError, UsageError
from aiconform.local import inspection, parts, registration, seed, start
from aiconform.local.addons import records, registry
from aiconform.local.api import ApiError
from aiconform.local.images.table import IMAGES
from aiconform.local.inspection import NodeStatus, ServiceStatus, Status
from aiconform.local.profiles import PROFILES
from aiconform.local.programs import build
from aiconform.local.state import ClusterState, Home, NodeState
from aiconform.progress import Silent


def test_an_ordinary_user_gets_the_sudo_line(monkeypatch) -> None:
    monkeypatch.setattr(parts.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(sys, "argv", ["aiconform", "local", "up", "--name", "x"])
    with pytest.raises(LocalClusterError, match="needs root") as caught:
        parts.require_root()
    assert caught.value.hint.startswith("sudo ")
    assert caught.value.hint.endswith(" local up --name x")


def test_who_runs_the_module_gets_a_line_that_can_be_executed(tmp_path, monkeypatch) -> None:
    module = tmp_path / "__main__.py"
    module.touch(mode=0o644)
    monkeypatch.setattr(parts.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(sys, "argv", [str(module), "local", "up"])
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "aiconform", "local", "up"])
    with pytest.raises(LocalClusterError) as caught:
        parts.require_root()
    assert caught.value.hint.endswith(f" {sys.executable} -m aiconform local up")


@pytest.fixture
def asked_go(tmp_path, monkeypatch):
    """Modules that Go was asked for; it has them all in one directory."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    asked: list[str] = []

    def module_dir(module, _progress):
        asked.append(module)
        return tmp_path

    monkeypatch.setattr(build, "module_dir", module_dir)
    return asked


def notes(tmp_path) -> list:
    return list((tmp_path / "cache/aiconform/modules").iterdir())


def test_where_a_module_is_is_asked_once(tmp_path, asked_go) -> None:
    assert [parts.module_dir(parts.NVML[0], Silent()) for _ in range(2)] == [tmp_path] * 2
    assert asked_go == [parts.NVML[0]]
    assert [note.read_text() for note in notes(tmp_path)] == [str(tmp_path)]


@pytest.mark.parametrize("text", ["", ".", "/no/such/place", "\0\0"])
def test_a_note_that_names_no_place_is_written_anew(tmp_path, asked_go, text) -> None:
    parts.module_dir(parts.NVML[0], Silent())
    (note,) = notes(tmp_path)
    note.write_text(text)
    assert parts.module_dir(parts.NVML[0], Silent()) == tmp_path
    assert note.read_text() == str(tmp_path)


def test_a_note_is_whole_or_not_there(tmp_path, asked_go, monkeypatch) -> None:
    parts.module_dir(parts.NVML[0], Silent())
    (note,) = notes(tmp_path)
    note.unlink()
    note.with_name(f"{note.name}.new").symlink_to("/dev/full")
    assert parts.module_dir(parts.NVML[0], Silent()) == tmp_path
    assert not note.exists()


def test_profiles_without_accelerators_need_no_more_than_kubernetes() -> None:
    plain, full, vgpu = (PROFILES[name] for name in ("plain", "default", "vgpu"))
    assert parts.image_names(plain) == ["pause", "coredns", "busybox", "agnhost", "python"]
    assert "nvidia-device-plugin" not in parts.components(plain)
    assert {"nvidia-device-plugin", "dra-example-driver"} <= set(parts.components(full))
    assert "nvidia-device-plugin" in parts.image_names(vgpu)


def test_planted_images_share_content_but_no_database(tmp_path) -> None:
    stored = tmp_path / "seed"
    (stored / "content").mkdir(parents=True)
    (stored / "content" / "blob").write_text("layer")
    (stored / "meta.db").write_text("db")
    (stored / "link").symlink_to("nowhere")
    root = tmp_path / "node"
    seed.plant(stored, root)
    assert (root / "content" / "blob").stat().st_ino == (stored / "content" / "blob").stat().st_ino
    (root / "meta.db").write_text("changed")
    assert (stored / "meta.db").read_text() == "db"
    assert (root / "link").is_symlink()


def test_planting_on_no_space_is_told(tmp_path) -> None:
    (tmp_path / "seed").mkdir()
    with pytest.raises(LocalClusterError, match="cannot copy images"):
        seed.plant(tmp_path / "seed", tmp_path / "no" / "such" / "place")


def test_a_set_of_images_begins_with_the_largest_of_which_all_is_wanted(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    sets = tmp_path / "aiconform" / "containerd"
    for name, made_of in {
        "small": ["a"],
        "large": ["a", "b"],
        "other": ["a", "b", "z"],
        "gone": ["a", "b", "c"],
    }.items():
        if name != "gone":
            (sets / name).mkdir(parents=True)
            (sets / name / "from").write_text(name)
        seed._list(sets / name).write_text("\n".join(made_of))
    place = tmp_path / "new"
    assert seed._begin_with(place, {"a", "b", "c"}) == {"a", "b"}
    assert (place / "from").read_text() == "large"
    assert seed._begin_with(place, {"x"}) == set()
    assert list(place.iterdir()) == []


@pytest.fixture
def stateless(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(parts.os, "geteuid", lambda: 0)


def test_status_of_nothing(stateless) -> None:
    done = CliRunner().invoke(local, ["status"])
    assert done.exit_code == 4
    assert done.stdout == "local cluster default: absent\n"


def test_status_as_json_names_everything(stateless, monkeypatch) -> None:
    node = NodeStatus(
        "gpu-0", True, "v1.35.3", {"nvidia.com/gpu": "2", "cpu": "2"}, 7, (ServiceStatus("k", "r", 3, ""),)
    )
    found = Status("x", "running", "default", nodes=(node,), memory_bytes=2**20, problems=("bad",))
    monkeypatch.setattr(inspection, "status", lambda _name: found)
    done = CliRunner().invoke(local, ["status", "--name", "x", "-o", "json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout)["nodes"][0]["allocatable"]["nvidia.com/gpu"] == "2"
    text = CliRunner().invoke(local, ["status", "--name", "x"]).stdout
    assert "nvidia.com/gpu: 2" in text
    assert "cpu" not in text
    assert "1 MiB" in text
    assert "problem: bad" in text


def test_down_of_nothing_is_no_failure(stateless) -> None:
    done = CliRunner().invoke(local, ["down"])
    assert done.exit_code == 0
    assert "there is none" in done.stderr


def test_up_installs_what_is_named_with_what_that_requires(stateless, monkeypatch) -> None:
    asked: dict = {}

    def up(_name, _profile, _screen, *, port, addons, k0s):
        asked.update(port=port, k0s=k0s, addons=[addon.name for addon in addons])
        return SimpleNamespace(fresh=True, kubeconfig="there")

    monkeypatch.setattr(start, "up", up)
    done = CliRunner().invoke(local, ["up", "--with", "prometheus-adapter, volcano"])
    assert done.exit_code == 0
    assert asked["addons"] == ["prometheus", "prometheus-adapter", "volcano"]
    CliRunner().invoke(local, ["up", "--with", "all"])
    assert sorted(asked["addons"]) == sorted(name for name, addon in registry.ADDONS.items() if not addon.optional)
    CliRunner().invoke(local, ["up"])
    assert asked["addons"] == []


def test_an_unknown_add_on_is_told_with_those_there_are(stateless) -> None:
    done = CliRunner().invoke(local, ["up", "--with", "nonsense"])
    assert isinstance(done.exception, UsageError)
    assert "volcano" in done.exception.hint


def test_requirements_bring_the_add_ons_in_order_and_all_of_them_exist() -> None:
    every = registry.for_requirements(registry.FOR_REQUIREMENT)
    places = {addon.name: number for number, addon in enumerate(every)}
    assert all(places[needed] < places[addon.name] for addon in every for needed in addon.requires)
    assert registry.for_requirements(["dra_support"]) == ()
    assert [addon.name for addon in registry.for_requirements(["ai_service_metrics"])] == ["prometheus"]


def test_what_an_add_on_needs_is_in_the_tables() -> None:
    for addon in registry.ADDONS.values():
        assert set(addon.images) <= set(IMAGES), addon.name
        build.components_of(addon.programs)
        build.components_of(program for name in addon.images for program in IMAGES[name].programs.values())


def test_of_add_ons_the_images_that_are_built_are_there_from_the_start(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    chosen = [registry.ADDONS["kuberay"], registry.ADDONS["metrics-server"]]
    assert parts.built_images(chosen) == []
    build.place(build.COMPONENTS["kuberay"]).mkdir(parents=True)
    assert parts.built_images(chosen) == ["kuberay-operator"]
    (tmp_path / "aiconform" / "images" / "ray-1").mkdir(parents=True)
    (tmp_path / "aiconform" / "images" / "ray-1" / "image.tar").touch()
    assert parts.built_images(chosen) == ["kuberay-operator", "ray"]


def test_status_names_add_ons_and_why_one_failed(stateless, monkeypatch, tmp_path) -> None:
    home = Home.of("x")
    home.directory.mkdir(parents=True)
    home.ready_file.touch()
    home.kubeconfig.touch()
    home.write(ClusterState("x", "default", 1, "b", 1.0, ()))
    records.write(home, "kueue", records.Record("v1", records.READY))
    records.write(home, "volcano", records.Record("v2", records.FAILED, "no image"))
    monkeypatch.setattr(Home, "alive", lambda _home: True)
    monkeypatch.setattr(inspection, "Api", lambda _config: FakeApi())
    monkeypatch.setattr(type(home.cgroup), "memory_bytes", lambda _group: 0)
    found = inspection.status("x")
    assert found.addons == {"kueue": "v1", "volcano": "v2 (failed)"}
    assert found.problems == ("add-on volcano: no image",)


def test_kubectl_without_a_cluster_says_how_to_get_one(stateless) -> None:
    done = CliRunner().invoke(local, ["kubectl", "--name", "x", "--", "get", "pods"])
    assert isinstance(done.exception, LocalClusterError)
    assert done.exception.hint == "aiconform local up --name x"


class FakeApi:
    """Answers with the nodes it is given; remembers patches."""

    def __init__(self) -> None:
        self.nodes: list[dict] = []
        self.patches: list[tuple] = []
        self.fail = False

    def get(self, _path):
        if self.fail:
            raise ApiError(0, "gone")
        return {"items": self.nodes}

    def patch(self, path, change) -> None:
        self.patches.append((path, change))


class FakeCluster:
    def __init__(self, home) -> None:
        self.home = home
        self.kubeconfig = None
        self.entered: list[tuple] = []
        self.state = ClusterState("x", "default", 1, "b", 1.0, (NodeState("control", 0), NodeState("gpu-0", 1)))

    def enter(self, node, argv) -> None:
        self.entered.append((node, argv))


def node_object(name: str, ready: str) -> dict:
    return {"metadata": {"name": name}, "status": {"conditions": [{"type": "Ready", "status": ready}]}}


@pytest.fixture
def registering(tmp_path, monkeypatch):
    api = FakeApi()
    monkeypatch.setattr(registration, "Api", lambda _config: api)
    cluster = FakeCluster(Home("x", tmp_path))
    return api, cluster, registration.Registration(cluster)


def test_nodes_are_complete_once_and_ready_last(registering) -> None:
    api, _, nodes = registering
    assert not nodes.finished()
    api.nodes = [node_object("control", "True"), node_object("gpu-0", "False")]
    assert not nodes.finished()
    assert nodes.waiting() == "gpu-0"
    api.nodes[1] = node_object("gpu-0", "True")
    assert nodes.finished()
    assert [path for path, _ in api.patches] == ["/api/v1/nodes/control", "/api/v1/nodes/gpu-0"]
    assert api.patches[1][1]["spec"]["podCIDR"] == "10.244.1.0/24"
    assert "node-role.kubernetes.io/control-plane" in api.patches[0][1]["metadata"]["labels"]


def test_no_answer_is_not_ready(registering) -> None:
    api, _, nodes = registering
    api.nodes = [node_object("control", "True"), node_object("gpu-0", "True")]
    api.fail = True
    assert not nodes.finished()


def test_a_kubelet_that_does_not_register_is_started_anew(registering, monkeypatch) -> None:
    api, cluster, nodes = registering
    api.nodes = [node_object("control", "True")]
    report = cluster.home.node("gpu-0") / "report"
    report.mkdir(parents=True)
    (report / "services.json").write_text(json.dumps({"kubelet": {"pid": 42}}))
    nodes.finished()
    assert cluster.entered == []
    now = registration.time.monotonic()
    monkeypatch.setattr(registration.time, "monotonic", lambda: now + registration.PATIENCE_S + 1)
    nodes.finished()
    assert cluster.entered == [("gpu-0", ["sh", "-c", "kill 42"])]
