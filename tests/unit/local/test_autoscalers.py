from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from aiconform.errors import UsageError
from aiconform.local.addons import autoscalers, cluster_autoscaler, records, registry
from aiconform.local.addons.addon import Addon
from aiconform.local.addons.karpenter import KARPENTER
from aiconform.local.images import image_program
from aiconform.local.pool import cloud as pool_cloud
from aiconform.local.state import Home
from aiconform.progress import Silent


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Of a cluster that runs."""
    made = Home("x", tmp_path / "x")
    made.directory.mkdir()
    made.ready_file.touch()
    return made


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(pool_cloud, "library", lambda: None)
    made = tmp_path / "scaler"
    made.write_text("#!/bin/sh\n")
    made.chmod(0o755)
    return made


def given(program: Path) -> Addon:
    return cluster_autoscaler.given(str(program), Silent())


def test_karpenter_unless_another_is_given_or_there(home: Home, program: Path) -> None:
    assert autoscalers.choose(home, "", Silent()) is KARPENTER
    chosen = autoscalers.choose(home, str(program), Silent())
    assert chosen is not None
    assert (chosen.name, chosen.version) == ("cluster-autoscaler", f"Cluster Autoscaler of {program}")
    records.write(home, cluster_autoscaler.NAME, records.Record("v", records.READY))
    assert autoscalers.choose(home, "", Silent()) is None


def test_never_two(home: Home, program: Path) -> None:
    records.write(home, KARPENTER.name, records.Record("v", records.FAILED))
    with pytest.raises(UsageError, match=r"local cluster x has Karpenter: .* one autoscaler") as caught:
        autoscalers.choose(home, str(program), Silent())
    assert "--name" in caught.value.hint


def test_what_an_ended_cluster_had_does_not_count(home: Home, program: Path) -> None:
    records.write(home, KARPENTER.name, records.Record("v", records.READY))
    home.ready_file.unlink()
    assert autoscalers.choose(home, str(program), Silent()) is not None


def test_all_add_ons_have_the_one_that_was_given(program: Path) -> None:
    every = registry.chosen("all")
    assert autoscalers.together(every, KARPENTER, every=True) == every
    assert KARPENTER not in autoscalers.together(every, None, every=True)
    own = given(program)
    assert autoscalers.together(every, own, every=True)[-1] is own
    assert autoscalers.together((), own, every=False) == (own,)
    with pytest.raises(UsageError, match="--with karpenter"):
        autoscalers.together(registry.chosen("karpenter"), own, every=False)


def test_a_check_waits_for_the_one_there_will_be(program: Path) -> None:
    asked = ["gang_scheduling", "cluster_autoscaling"]
    own = given(program)
    assert [addon.name for addon in registry.for_requirements(asked)] == ["volcano", "kueue", "karpenter"]
    assert registry.for_requirements(asked, own)[-1] is own
    assert [addon.name for addon in registry.for_requirements(asked, None)] == ["volcano", "kueue"]
    assert own not in registry.for_requirements(["gang_scheduling"], own)
    assert registry.needs(own)["cluster_autoscaling"] == ("cluster-autoscaler",)
    assert registry.needs(None)["cluster_autoscaling"] == ()
    assert registry.needs()["pod_autoscaling"] == registry.FOR_REQUIREMENT["pod_autoscaling"]


@pytest.mark.parametrize(("name", "problem"), [("/nowhere/scaler", "no such file"), (".", "is a directory")])
def test_a_path_that_leads_nowhere(program: Path, name: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        cluster_autoscaler.given(name, Silent())


def test_an_archive_and_a_reference_are_images(program: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []
    monkeypatch.setattr(image_program, "program", lambda image, name, _: asked.append((image, name)) or program)
    archive = tmp_path / "image.tar"
    archive.write_bytes(b"")
    images = [str(archive), "example.com/autoscaling/cluster-autoscaler:v1"]
    for image in images:
        cluster_autoscaler.given(image, Silent())
    assert asked == [(image, "cluster-autoscaler") for image in images]


def test_it_is_ended_where_it_does_not_come_up(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(cluster_autoscaler.nodes, "accompany", lambda _c, *what: done.append(" ".join(what[1:])))
    monkeypatch.setattr(cluster_autoscaler.nodes, "dismiss", lambda _c, name: done.append(f"end {name}"))
    companion = given(program).companion
    assert companion is not None
    cluster = SimpleNamespace(name="x")
    with companion(cluster):  # type: ignore[arg-type]
        pass
    assert done == [f"aiconform.local.pool.cloud x {program}"]
    with pytest.raises(RuntimeError), companion(cluster):  # type: ignore[arg-type]
        raise RuntimeError
    assert done[-1] == "end autoscaler"
