from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from aiconform.errors import LocalClusterError
from aiconform.local.addons import imports, installation, records
from aiconform.local.addons.addon import Addon
from aiconform.local.api import ApiError
from aiconform.local.images.table import ImageFile
from aiconform.local.state import Home

DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "things.example.io"},
}
THING = {"apiVersion": "example.io/v1", "kind": "Thing", "metadata": {"name": "t", "namespace": "n"}}
LOST = {
    "metadata": {"namespace": "n", "name": "p"},
    "status": {"containerStatuses": [{"name": "c", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]},
}


class Notes:
    """A progress that remembers."""

    def __init__(self) -> None:
        self.waited: list[str] = []
        self.done: list[str] = []

    def update(self, _what, _done=0, _total=0, waiting="") -> None:
        self.waited.append(waiting)

    def finished(self, what, _detail="") -> None:
        self.done.append(what)


class FakeCluster:
    """Takes what is applied after refusing it as often as told; answers for pods, events and definitions."""

    name = "x"
    kubeconfig = None

    def __init__(self, home: Home) -> None:
        self.home = home
        self.refusals: list[str] = []
        self.applied: list[list[str]] = []
        self.pods: list[dict] = []
        self.api = self

    def kubectl(self, *_arguments, stdin) -> str:
        if self.refusals:
            raise LocalClusterError("kubectl failed", details=[self.refusals.pop(0)])
        self.applied.append([item["kind"] for item in json.loads(stdin)["items"]])
        return ""

    def get(self, path):
        if path.endswith("customresourcedefinitions"):
            ready = {"conditions": [{"type": "Established", "status": "True"}]}
            return {"items": [{**DEFINITION, "status": ready}]}
        return {"items": self.pods if path.endswith("pods") else []}


@pytest.fixture
def cluster(tmp_path, monkeypatch) -> FakeCluster:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    home = Home("x", tmp_path / "x")
    home.directory.mkdir()
    home.ready_file.touch()
    made = FakeCluster(home)
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(installation, "Api", lambda _config: made)
    monkeypatch.setattr(installation, "prepare", lambda _addon, _progress: (None, []))
    monkeypatch.setattr(installation.time, "monotonic", lambda: clock.now)
    monkeypatch.setattr(installation.time, "sleep", lambda seconds: setattr(clock, "now", clock.now + seconds))
    return made


def addon(*still: list[str], **changes) -> Addon:
    """One that misses this, then that, then nothing."""
    answers = list(still)

    def missing(_api) -> list[str]:
        return answers.pop(0) if len(answers) > 1 else (answers or [[]])[0]

    made = Addon("thing", "v1", "", (), lambda _materials: [THING, DEFINITION], missing, namespaces=("n",))
    return replace(made, **changes)


def condition(cluster: FakeCluster) -> tuple[str, str]:
    found = records.read(cluster.home)["thing"]
    return found.condition, found.cause


def test_definitions_come_before_what_they_define_and_readiness_last(cluster) -> None:
    notes = Notes()
    installation.install_one(cluster, addon(["its webhook"], []), notes)
    assert cluster.applied == [["Namespace", "CustomResourceDefinition"], ["Thing"]]
    assert notes.waited == ["its webhook"]
    assert notes.done == ["thing ready"]
    assert condition(cluster) == ("ready", "")
    assert installation.works(cluster, addon())
    assert not installation.works(cluster, addon(["its webhook"]))
    assert not installation.works(cluster, addon(version="v2"))


def test_what_is_refused_while_a_webhook_comes_up_is_tried_again(cluster) -> None:
    cluster.refusals = ["failed calling webhook: connection refused"] * 5
    installation.install_one(cluster, addon(), Notes())
    assert cluster.applied[-1] == ["Thing"]


def test_what_is_wrong_is_not_tried_for_long(cluster) -> None:
    cluster.refusals = ['The Service "x" is invalid: ports'] * 9
    with pytest.raises(LocalClusterError, match="thing cannot be applied") as caught:
        installation.install_one(cluster, addon(), Notes())
    assert caught.value.details == ('The Service "x" is invalid: ports',)
    assert len(cluster.refusals) == 6
    assert condition(cluster) == ("failed", "thing cannot be applied")


def test_one_that_is_never_ready_says_what_its_pods_say(cluster) -> None:
    cluster.pods = [{"metadata": {"namespace": "n", "name": "p"}, "status": {"phase": "Pending"}}]
    with pytest.raises(LocalClusterError, match="thing is not ready after 30 s") as caught:
        installation.install_one(cluster, addon(["its webhook"], limit_s=30), Notes())
    assert caught.value.details == ("missing: its webhook", "pod n/p is not ready, phase Pending")


def test_one_whose_image_never_comes_is_given_up_early(cluster) -> None:
    cluster.pods = [LOST]
    with pytest.raises(LocalClusterError, match="after 15 s") as caught:
        installation.install_one(cluster, addon(["its webhook"], limit_s=600), Notes())
    assert "ImagePullBackOff" in caught.value.details[1]


def test_no_answer_is_not_ready(cluster) -> None:
    def missing(_api):
        raise ApiError(503, "nobody answers")

    notes = Notes()
    with pytest.raises(LocalClusterError):
        installation.install_one(cluster, addon(missing=missing, limit_s=1), notes)
    assert notes.waited[0] == "nobody answers"


def test_who_is_stopped_touches_nothing_more(cluster) -> None:
    with pytest.raises(LocalClusterError, match="given up"):
        installation.install_one(cluster, addon(), Notes(), lambda: True)
    assert cluster.applied == []


def test_a_cluster_that_ended_is_not_waited_for(cluster) -> None:
    cluster.home.ready_file.unlink()
    cluster.refusals = ["connection refused"] * 99
    with pytest.raises(LocalClusterError, match="'x' ended meanwhile"):
        installation.install_one(cluster, addon(), Notes())
    assert len(cluster.refusals) == 99


def test_a_companion_is_there_first_and_left_only_where_the_installation_fails(cluster) -> None:
    seen: list[str] = []

    @contextlib.contextmanager
    def companion(_cluster):
        seen.append(f"begun, {len(cluster.applied)} applied")
        try:
            yield
        finally:
            seen.append("left")

    installation.install_one(cluster, addon(companion=companion), Notes())
    assert seen == ["begun, 0 applied"]
    with pytest.raises(LocalClusterError):
        installation.install_one(cluster, addon(["it"], companion=companion, limit_s=1), Notes())
    assert seen[2:] == ["left"]


def test_only_images_that_a_node_lacks_are_imported(tmp_path) -> None:
    archive = tmp_path / "image.tar"
    archive.write_bytes(b"tar")
    entered: list[list[str]] = []

    def enter(_node, argv, stdin=None):
        entered.append([*argv[2:], *([stdin.read().decode()] if stdin else [])])
        listed = "REF TYPE DIGEST\nexample.io/there:1 t sha256:a x\nexample.io/old:1 t sha256:old x\n"
        return SimpleNamespace(returncode=0, stdout=listed, stderr="")

    wanted = [ImageFile(archive, f"example.io/{name}:1", digest) for name, digest in _IMAGES.items()]
    imports.import_on(SimpleNamespace(enter=enter), "gpu-0", wanted, Notes())
    assert entered == [["images", "list"], *[["images", "import", "--local", "-", "tar"]] * 2]


_IMAGES = {"there": "sha256:a", "old": "sha256:new", "absent": "sha256:c"}


def test_an_image_that_a_node_refuses_is_told(tmp_path) -> None:
    archive = tmp_path / "image.tar"
    archive.touch()
    done = SimpleNamespace(returncode=1, stdout="", stderr="no space left")
    cluster = SimpleNamespace(enter=lambda *_args, **_options: done)
    with pytest.raises(LocalClusterError, match="gpu-0 does not take") as caught:
        imports.import_on(cluster, "gpu-0", [ImageFile(archive, "a:1", "d")], Notes())
    assert caught.value.details == ("no space left",)


def test_what_its_helper_said_last_is_part_of_the_cause(cluster) -> None:
    cluster.home.logs.mkdir()
    (cluster.home.logs / "helper.log").write_text("first\n" + "x" * 300 + "\n\ncannot reach anybody\n")
    with pytest.raises(LocalClusterError, match="is not ready after") as caught:
        installation.install_one(cluster, addon(["its status"], companion_log="helper"), Notes())
    assert caught.value.details[-1] == "helper.log: cannot reach anybody"
    assert all(len(line) <= 240 for line in caught.value.details)
    with pytest.raises(LocalClusterError) as caught:
        installation.install_one(cluster, addon(["its status"], companion_log="other"), Notes())
    assert caught.value.details == ("missing: its status",)
