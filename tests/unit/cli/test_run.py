"""What surrounds a run: the local cluster goes down whatever happens, the page is written, stdout is one document."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support import runs
from tests.support.bundles import make_bundle

from aiconform import checks
from aiconform.cli import main
from aiconform.cli.signals import interruptible, undisturbed
from aiconform.engine import events, runner
from aiconform.engine.images import DEFAULT_IMAGES
from aiconform.errors import LocalClusterError, UnreachableError
from aiconform.local import cluster as clusters
from aiconform.local import start
from aiconform.local.addons import arrivals, cluster_autoscaler, installation
from aiconform.local.addons.addon import Addon
from aiconform.report import page_digest

Act = Callable[[runner.RunOptions], None]


class Stage:
    """A run and a local cluster that only remember what was asked of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        self.options: runner.RunOptions | None = None
        self.owner: int | None = 0
        self.fresh = True
        self.k0s: Path | None = None
        self.expected: list[str] = []
        self.brought: list[str] = []
        self.needs: Mapping[str, Sequence[str]] = {}
        self.there: set[str] = set()
        self.act: Act = lambda _options: None
        monkeypatch.setattr(runner, "run", self.run)
        monkeypatch.setattr(start, "up", self.up)
        monkeypatch.setattr(clusters, "down", self.down)
        monkeypatch.setattr(arrivals, "Arrivals", self.arrive)
        monkeypatch.setattr(installation, "works", lambda _cluster, addon: addon.name in self.there)

    async def run(self, options: runner.RunOptions, _checks: object, emit: Callable[[events.Event], None]) -> Any:
        self.done.append("run")
        self.options = options
        self.act(options)
        bundle = make_bundle(options.output)
        for event in [*runs.beginning(), *runs.ending()]:
            emit(event)
        return runner.RunResult(runs.VERDICTS, bundle, "9f2c41" + "0" * 58, 3)

    def up(
        self,
        name: str,
        profile: str,
        _progress: object,
        *,
        owner_pid: int | None,
        expected: Sequence[Addon],
        k0s: Path | None,
    ) -> Any:
        self.done.append(f"up {name} {profile}")
        self.owner = owner_pid
        self.k0s = k0s
        self.expected = [addon.name for addon in expected]
        return SimpleNamespace(fresh=self.fresh, kubeconfig=Path("local.kubeconfig"))

    @contextmanager
    def arrive(
        self, _cluster: object, addons: Sequence[Addon], needs: Mapping[str, Sequence[str]], _progress: object
    ) -> Iterator[Stage]:
        self.needs = needs
        self.brought = [addon.name for addon in addons]
        yield self
        self.done += ["add-ons given up"] if addons else []

    def down(self, name: str) -> bool:
        self.done.append(f"down {name}")
        return True


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stage:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path.parent / f"{tmp_path.name}-state"))
    monkeypatch.setenv("NO_COLOR", "1")
    return Stage(monkeypatch)


def invoke(*args: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(["run", *args])
    assert isinstance(left.value.code, int)
    return left.value.code


def given_up(stage: Stage) -> list[str]:
    """Before a cluster goes down, nothing may be on its way to it any more."""
    return ["add-ons given up"] if stage.brought else []


def test_a_run_brings_what_its_checks_need_and_is_not_there(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    known = dict.fromkeys(("ai_inference", "pod_autoscaling", "gpu_sharing"))
    monkeypatch.setattr(checks, "all_checks", lambda: known)
    invoke("--local", "gpu_sharing")
    assert (stage.expected, stage.brought) == ([], [])
    stage.there = {"prometheus"}
    invoke("--local", "ai_inference", "pod_autoscaling", "gang_scheduling", "--name", "mine")
    assert set(stage.expected) == {"prometheus", "prometheus-adapter", "metrics-server", "envoy-gateway"}
    assert set(stage.brought) == set(stage.expected) - {"prometheus"}
    assert stage.options is not None
    assert stage.options.arrivals is stage
    assert stage.done[-2:] == ["add-ons given up", "down mine"]


def test_a_cluster_autoscaler_takes_karpenters_place(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    own = Addon("cluster-autoscaler", "given", "", (), lambda _materials: [], lambda _api: [])
    monkeypatch.setattr(cluster_autoscaler, "given", lambda what, _progress: own if what == "image" else None)
    invoke("--local", "cluster_autoscaling")
    assert stage.brought == ["karpenter"]
    invoke("--local", "cluster_autoscaling", "--cluster-autoscaler", "image")
    assert stage.expected == stage.brought == ["cluster-autoscaler"]
    assert stage.needs["cluster_autoscaling"] == ("cluster-autoscaler",)
    stage.done.clear()
    assert invoke("cluster_autoscaling", "--cluster-autoscaler", "image") == 2
    assert stage.done == []


@pytest.mark.parametrize(
    "given", [("--k0s", "k0s"), ("--distribution", "upstream"), ("--profile", "vgpu"), ("--name", "mine")]
)
def test_what_is_said_of_a_local_cluster_never_runs_on_another(
    stage: Stage, capsys: pytest.CaptureFixture[str], given: tuple[str, str]
) -> None:
    assert invoke(*given) == 2
    assert stage.done == []
    assert f"error: {given[0]} goes with --local: a cluster of yours" in capsys.readouterr().err


def test_what_is_said_of_a_local_cluster_by_the_environment_counts_too(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AICONFORM_RUN_PROFILE", "vgpu")
    assert invoke() == 2
    assert stage.done == []
    assert invoke("--local") == 3
    assert stage.done[0] == "up run vgpu"


def test_a_local_cluster_is_started_used_and_taken_down(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke("--local", "--name", "mine", "--profile", "vgpu") == 3
    assert stage.done == ["up mine vgpu", "run", *given_up(stage), "down mine"]
    assert stage.owner == os.getpid(), "its end must be the cluster's, whatever ends us"
    assert stage.options is not None
    assert stage.options.kubeconfig == Path("local.kubeconfig")
    assert "busybox" in stage.options.images["probe"]
    err = capsys.readouterr().err
    assert err.index("is down, nothing of it is left") < err.index("Not conformant:"), "the summary comes last"


def test_a_run_plans_with_the_page_that_it_will_render(stage: Stage) -> None:
    invoke("gang_scheduling")
    assert stage.options is not None
    assert stage.options.report_sha256 == page_digest()


def test_keep_leaves_the_cluster_and_says_how_to_end_it(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    invoke("--local", "--keep")
    assert stage.done == ["up run default", "run", *given_up(stage)]
    assert stage.owner is None
    assert stage.options is not None
    assert stage.options.keep
    assert "aiconform local down --name run" in capsys.readouterr().err


def test_a_cluster_that_ran_already_is_left_running(stage: Stage) -> None:
    stage.fresh = False
    invoke("--local")
    assert stage.done == ["up run default", "run", *given_up(stage)]


@pytest.mark.parametrize("problem", [UnreachableError("gone"), RuntimeError("bug"), KeyboardInterrupt()])
def test_the_cluster_goes_down_whatever_happens(stage: Stage, problem: BaseException, tmp_path: Path) -> None:
    def fail(_options: runner.RunOptions) -> None:
        raise problem

    stage.act = fail
    code = invoke("--local")
    assert stage.done[-1] == "down run"
    assert code == {UnreachableError: 4, RuntimeError: 70, KeyboardInterrupt: 130}[type(problem)]
    assert not (tmp_path / "runs").exists(), "nothing came of it, so nothing is left"


def test_a_cluster_that_cannot_start_is_one_error(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def fail(*_args: object, **_more: object) -> None:
        raise LocalClusterError("a local cluster needs root", hint="sudo aiconform run --local")

    monkeypatch.setattr(start, "up", fail)
    assert invoke("--local") == 4
    assert capsys.readouterr().err.endswith("error: a local cluster needs root\n\nhint: sudo aiconform run --local\n")
    assert not (tmp_path / "runs").exists()


def test_bundle_archive_and_page_lie_side_by_side(stage: Stage, tmp_path: Path) -> None:
    invoke("--output", "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["bundle", "bundle.tar.gz", "report.html"]


def test_without_output_the_directory_is_named_after_the_run(stage: Stage, tmp_path: Path) -> None:
    invoke()
    assert stage.options is not None
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [stage.options.run]


def test_standard_output_is_the_document_asked_for_and_nothing_else(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    invoke("--format", "json")
    assert json.loads(capsys.readouterr().out)["release"] == "1.35"
    invoke()
    assert capsys.readouterr().out == ""


def test_a_page_that_cannot_be_written_costs_the_page_alone(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    stage.act = lambda options: (options.output / "report.html").mkdir()
    assert invoke("--output", "out") == 2
    err = capsys.readouterr().err
    assert "the bundle is sealed: " in err
    assert "Not conformant:" in err
    assert (tmp_path / "out" / "bundle.tar.gz").is_file()


def test_options_can_come_from_the_environment(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AICONFORM_RUN_RELEASE", "1.34")
    invoke("dra_support")
    assert stage.options is not None
    assert (stage.options.release, stage.options.requirements) == ("1.34", ("dra_support",))


def test_files_are_passed_by_requirement_as_they_are(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "report.yaml").write_bytes(b"kind: X\r\n")
    invoke("--import", "advanced_inference_ingress=report.yaml")
    assert stage.options is not None
    assert stage.options.imports == {"advanced_inference_ingress": b"kind: X\r\n"}


@pytest.mark.parametrize(
    ("given", "content", "words"),
    [
        ("advanced_inference_ingress", b"x", "not REQUIREMENT=FILE"),
        ("gang_scheduling=file", b"x", "no file is taken for it"),
        ("nonsense=file", b"x", "the inference extension's conformance suite"),
        ("advanced_inference_ingress=absent", b"x", "cannot read absent"),
        ("advanced_inference_ingress=file", b"", "has no bytes"),
        ("advanced_inference_ingress=file", b"x" * (1 << 20) + b"x", "more than"),
        ("advanced_inference_ingress=file", b"\xff\xfe", "no text in UTF-8"),
        ("advanced_inference_ingress=file", b"password: hunter22hunter22\n", "looks like a credential"),
    ],
)
def test_a_file_that_cannot_be_taken_ends_the_run_before_it_begins(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str], given: str, content: bytes, words: str
) -> None:
    (tmp_path / "file").write_bytes(content)
    assert invoke("--import", given) == 2
    assert words in capsys.readouterr().err
    assert stage.done == []


def test_one_file_for_each_requirement(stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_bytes(b"x")
    same = ("--import", "advanced_inference_ingress=file")
    assert invoke(*same, *same) == 2
    assert "given twice" in capsys.readouterr().err


def test_images_are_passed_by_role(stage: Stage) -> None:
    given = f"example.com/p@sha256:{'0' * 64}"
    invoke("--image", f"probe={given}", "--local")
    assert stage.options is not None
    assert stage.options.images == {**DEFAULT_IMAGES, "probe": given}


def test_images_are_taken_from_a_mirror_but_for_those_that_are_named(stage: Stage) -> None:
    invoke("--image-prefix", "example.com/mirror", "--image", "probe=mine:1", "--context", "prod")
    assert stage.options is not None
    assert stage.options.images == {
        "probe": "mine:1",
        "python": "example.com/mirror/library/python:3.11-slim",
        "ray": "example.com/mirror/rayproject/ray:2.54.0",
    }


@pytest.mark.parametrize(
    "args",
    [
        ("--image-prefix", "example.com", "--local"),
        ("--image-prefix", "https://example.com"),
        ("--image", "probe"),
        ("--image", "prob=a:1"),
        ("--image", "probe=A B"),
    ],
)
def test_images_that_cannot_be_used_are_told_before_anything_is_started(stage: Stage, args: tuple[str, ...]) -> None:
    assert invoke(*args) == 2
    assert stage.done == []


def test_the_way_to_ask_for_accelerators_is_passed_on(stage: Stage) -> None:
    invoke("gpu_sharing")
    assert stage.options is not None
    assert stage.options.options == {}
    invoke("gpu_sharing", "--allocation", "device-plugin", "--output", "again")
    assert stage.options.options == {"allocation": "device-plugin"}
    assert invoke("gpu_sharing", "--allocation", "magic") == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_ending_signal_interrupts_and_none_disturbs_a_clean_up(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with undisturbed():
        os.kill(os.getpid(), number)
    with pytest.raises(KeyboardInterrupt):
        send_interruptible(number)
    assert signal.getsignal(number) is before


def send_interruptible(number: signal.Signals) -> None:
    with interruptible():
        os.kill(os.getpid(), number)
        time.sleep(1)


def test_a_signal_ends_a_run_as_an_interrupt(stage: Stage) -> None:
    stage.act = lambda _options: os.kill(os.getpid(), signal.SIGTERM)
    assert invoke("--local") == 130
    assert stage.done[-1] == "down run"


def test_what_is_told_of_the_cluster_reaches_the_run(stage: Stage) -> None:
    invoke("--gateway-class", "envoy")
    assert stage.options is not None
    assert stage.options.options == {"gateway-class": "envoy"}


def test_a_wrong_option_is_refused_before_anything_is_started(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke("--gateway-class", "No Name") == 2
    assert stage.done == []
    assert "error: --gateway-class No Name: not NAME" in capsys.readouterr().err
