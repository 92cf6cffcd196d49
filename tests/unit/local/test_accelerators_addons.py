from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from aiconform.errors import LocalClusterError
from aiconform.local.addons import dra, nvidia
from aiconform.local.addons.advertised import missing
from aiconform.local.addons.charts import render
from aiconform.local.addons.install import charts, manifests
from aiconform.local.profiles import PROFILES, Accelerators, NodeSpec, Profile

T4 = Accelerators("Tesla T4", count=2, dra=True)
SHARED = Accelerators("Tesla T4", count=1, time_slices=4)
SPECS = (NodeSpec("control"), NodeSpec("gpu-0", accelerators=T4), NodeSpec("gpu-1", accelerators=SHARED))


def _node(name: str, allocatable: str, *, labelled: bool = True) -> dict[str, Any]:
    labels = {"nvidia.com/gpu.product": "Tesla-T4"} if labelled else {}
    return {"metadata": {"name": name, "labels": labels}, "status": {"allocatable": {"nvidia.com/gpu": allocatable}}}


def _slice(node: str, driver: str = dra.DRIVER) -> dict[str, Any]:
    return {"spec": {"driver": driver, "nodeName": node}}


def test_nothing_is_missing_when_all_is_advertised() -> None:
    assert missing(SPECS, [_node("gpu-0", "2"), _node("gpu-1", "4")], [_slice("gpu-0")]) == []


def test_everything_is_missing_at_first() -> None:
    assert missing(SPECS, [], []) == [
        "nvidia.com/gpu on gpu-0 (0 of 2)",
        "labels of gpu-0",
        "DRA devices of gpu-0",
        "nvidia.com/gpu on gpu-1 (0 of 4)",
        "labels of gpu-1",
    ]


@pytest.mark.parametrize(
    ("nodes", "slices", "what"),
    [
        ([_node("gpu-0", "1"), _node("gpu-1", "4")], [_slice("gpu-0")], "nvidia.com/gpu on gpu-0 (1 of 2)"),
        ([_node("gpu-0", "2"), _node("gpu-1", "1")], [_slice("gpu-0")], "nvidia.com/gpu on gpu-1 (1 of 4)"),
        ([_node("gpu-0", "2", labelled=False), _node("gpu-1", "4")], [_slice("gpu-0")], "labels of gpu-0"),
        ([_node("gpu-0", "2"), _node("gpu-1", "4")], [_slice("gpu-1")], "DRA devices of gpu-0"),
        ([_node("gpu-0", "2"), _node("gpu-1", "4")], [_slice("gpu-0", "other")], "DRA devices of gpu-0"),
    ],
)
def test_each_part_is_missed(nodes: list[dict[str, Any]], slices: list[dict[str, Any]], what: str) -> None:
    assert missing(SPECS, nodes, slices) == [what]


def test_only_the_charts_that_are_needed() -> None:
    assert [chart.release for chart in charts(PROFILES["default"])] == ["nvidia-device-plugin", "dra-example-driver"]
    assert charts(PROFILES["plain"]) == ()
    without = Profile("x", (NodeSpec("a", accelerators=SHARED),))
    assert [chart.release for chart in charts(without)] == ["nvidia-device-plugin"]


def test_each_node_finds_its_plugin_configuration() -> None:
    configs = nvidia.device_plugin([T4, SHARED]).values["config"]["map"]
    assert "sharing" not in json.loads(configs["exclusive"])
    resources = json.loads(configs["time-sliced-4"])["sharing"]["timeSlicing"]["resources"]
    assert resources == [{"name": "nvidia.com/gpu", "replicas": 4}]


@pytest.fixture
def helm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands in for helm: prints its arguments, notes each call."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    program = tmp_path / "helm"
    program.write_text(f'#!/bin/sh\necho call >> {tmp_path}/calls\necho "# $@"\ncat\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


@pytest.fixture
def module(tmp_path: Path) -> Path:
    directory = tmp_path / "module" / dra.EXAMPLE_DRIVER.path
    directory.mkdir(parents=True)
    (directory / "Chart.yaml").write_text("name: x\n")
    return tmp_path / "module"


def _calls(helm: Path) -> int:
    return len((helm.parent / "calls").read_text().splitlines())


def test_a_chart_is_rendered_once(helm: Path, module: Path) -> None:
    first = render(dra.EXAMPLE_DRIVER, helm=helm, module=module)
    assert render(dra.EXAMPLE_DRIVER, helm=helm, module=module) == first
    assert _calls(helm) == 1
    assert '"numDevices": 4' in first
    assert "--no-hooks" in first


def test_a_changed_chart_is_rendered_again(helm: Path, module: Path) -> None:
    render(dra.EXAMPLE_DRIVER, helm=helm, module=module)
    (module / dra.EXAMPLE_DRIVER.path / "Chart.yaml").write_text("name: y\n")
    render(dra.EXAMPLE_DRIVER, helm=helm, module=module)
    assert _calls(helm) == 2


def test_helms_refusal_is_told(helm: Path, module: Path) -> None:
    helm.write_text("#!/bin/sh\necho 'no such value' >&2\nexit 1\n")
    with pytest.raises(LocalClusterError, match="dra-example-driver") as refused:
        render(dra.EXAMPLE_DRIVER, helm=helm, module=module)
    assert refused.value.details == ("no such value",)


def test_namespaces_come_before_what_is_in_them(helm: Path, module: Path) -> None:
    text = manifests([dra.EXAMPLE_DRIVER], helm=helm, module_dir=lambda _: module)
    assert text.index("RuntimeClass") < text.index('"Namespace"') < text.index("template dra-example-driver")
