"""What pods are given on clusters where something has to be named first, or nothing says how devices are shared."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from tests.support.hardware import facts, node
from tests.support.scripted import Scripted

from aiconform.catalog import accelerators
from aiconform.checks._kit import (
    advertised,
    autoscale,
    devices,
    installed,
    isolation,
    metrics_devices,
    pods,
    script,
    workloads,
)
from aiconform.checks._kit.metrics_exporters import Device, Door, Page
from aiconform.engine import AcceleratorNode, Context, StopProbe, needs

Obj = dict[str, Any]

NVIDIA = accelerators.by_resource("nvidia.com/gpu")
assert NVIDIA is not None
ONE_EACH = {"nvidia.com/gpu.count": "2", "nvidia.com/gpu.replicas": "1"}


def accelerator(number: int = 2, labels: dict[str, str] | None = None, name: str = "a") -> AcceleratorNode:
    (found,) = facts(node(name, {"nvidia.com/gpu": str(number)}, labels)).accelerators
    return found


def context(*classes: str, options: dict[str, str] | None = None, gaps: tuple[str, ...] = ()) -> Scripted:
    ctx = Scripted()
    ctx.facts = replace(ctx.facts, runtime_classes=classes, options=options or {}, gaps=gaps)
    ctx.on_create = lambda made: made.update(status={"phase": "Running"}, spec={**made["spec"], "nodeName": "a"})
    return ctx


def of(function: Any, *arguments: Any, **more: Any) -> Any:
    async def work() -> Any:
        return await function(*arguments, **more)

    return anyio.run(work)


class TestRuntimeClass:
    """k3s and RKE2 leave runc the default: a pod that names no RuntimeClass is given no device."""

    def by_class(self, name: str) -> Any:
        return lambda pod: f"devices={1 if pod['spec'].get('runtimeClassName') == name else 0}"

    def report(self, ctx: Scripted) -> Any:
        probing = of(devices.holding_pod, ctx, "holder", accelerator(), devices.list_nodes(NVIDIA))  # type: ignore[arg-type]
        return of(devices.report, ctx, probing, expected="a pod runs")

    def test_pods_that_ask_for_devices_name_what_was_told(self) -> None:
        ctx = context("nvidia", options={"runtime-class": "nvidia"})
        ctx.logs = self.by_class("nvidia")
        assert devices.count(self.report(ctx)) == 1
        of(devices.plain_pod, ctx, "plain", accelerator(), "true")
        asks, plain = ctx.made
        assert asks["spec"]["runtimeClassName"] == "nvidia"
        assert "runtimeClassName" not in plain["spec"]
        told = cast("Context", ctx)
        asking = workloads.python_container(told, "x", "", limits={"nvidia.com/gpu": "1"})
        assert workloads.pod_spec(told, asking)["runtimeClassName"] == "nvidia"
        assert "runtimeClassName" not in workloads.pod_spec(told, workloads.python_container(told, "x", ""))

    def test_a_device_that_comes_by_a_class_alone_is_undecided_with_the_option(self) -> None:
        ctx = context("gvisor", "nvidia")
        ctx.logs = self.by_class("nvidia")
        with pytest.raises(StopProbe):
            self.report(ctx)
        outcome, text = ctx.told[-1]
        assert (outcome, "run with --runtime-class nvidia" in text) == ("undecided", True)
        assert [made["spec"].get("runtimeClassName") for made in ctx.made] == [None, "nvidia"]

    @pytest.mark.parametrize("classes", [(), ("gvisor",), ("nvidia",)])
    def test_a_device_that_never_comes_is_for_the_check_to_judge(self, classes: tuple[str, ...]) -> None:
        ctx = context(*classes)
        ctx.logs = lambda _pod: "devices=0"
        assert devices.count(self.report(ctx)) == 0
        assert len(ctx.made) == 1 + ("nvidia" in classes)
        assert len(ctx.gone) == 2 * ("nvidia" in classes)

    def test_a_class_whose_pods_do_not_run_gives_nothing(self) -> None:
        ctx = context("nvidia")
        ctx.logs = lambda _pod: "devices=0"
        runs = ctx.on_create
        ctx.on_create = lambda made: None if made["spec"].get("runtimeClassName") else runs(made)
        assert devices.count(self.report(ctx)) == 0

    def test_what_classes_there_are_may_not_be_known(self) -> None:
        ctx = context(gaps=("runtimeclasses: 403 Forbidden",))
        ctx.logs = lambda _pod: "devices=0"
        with pytest.raises(StopProbe):
            self.report(ctx)
        assert ctx.told[-1][0] == "undecided"

    @pytest.mark.parametrize(("name", "outcome"), [("nvidia", "undecided"), ("other", "failed")])
    def test_replicas_without_a_device_are_tried_by_class_too(self, name: str, outcome: str) -> None:
        ctx = context("nvidia")
        ctx.logs = self.by_class(name)
        ctx.answers = lambda _path, _query: {"devices": []}
        workload = of(workloads.serve, ctx, "x", limits={"nvidia.com/gpu": "1"})
        with pytest.raises(StopProbe):
            of(autoscale.hold_their_own, ctx, workload, autoscale.Site((accelerator(2, ONE_EACH),)), ["a", "b"])
        assert ctx.told[-1][0] == outcome
        assert workload.deployment.name in ctx.gone

    def test_of_a_pod_that_asks_for_nothing_none_is_expected(self) -> None:
        ctx = context("nvidia")
        ctx.logs = lambda _pod: "devices=0"
        probing = of(devices.plain_pod, ctx, "plain", accelerator(), "true")
        assert devices.count(of(devices.report, ctx, probing, expected="runs")) == 0
        assert len(ctx.made) == 1


class TestWhereTheToolIs:
    def test_it_is_found_where_the_table_says(self, tmp_path: Path) -> None:
        tool = tmp_path / "a-tool"
        tool.write_text("#!/bin/sh\necho found by $LD_LIBRARY_PATH\n")
        tool.chmod(0o755)
        paths = {"PATH": str(tmp_path), "LD_LIBRARY_PATH": "/x/lib"}
        kind = accelerators.AcceleratorKind(name="x", tool="a-tool", paths=paths)
        text = "\n".join([*devices.look_in(kind), devices.has_tool(kind), devices.ask_tool("uuid", "a-tool")])
        told = [{}, {"LD_LIBRARY_PATH": "/own"}]
        seen = [self.run(text, {"PATH": os.environ["PATH"], **more}) for more in told]
        assert [found.one("tool") for found in seen] == [str(tool)] * 2
        assert [found.one("uuid") for found in seen] == ["found by /x/lib", "found by /own:/x/lib"]

    def run(self, text: str, env: dict[str, str]) -> Any:
        done = subprocess.run(["sh", "-c", text], env=env, capture_output=True, text=True, check=True)
        return script.parse(done.stdout.splitlines())

    def test_where_it_is_known_to_be_on_the_path_nothing_is_said(self) -> None:
        assert devices.look_in(accelerators.AcceleratorKind(name="x")) == ()


class TestSharing:
    """Without labels a device plugin may offer each device several times, and nobody says so."""

    @pytest.mark.parametrize(
        ("labels", "told"),
        [
            ({}, False),
            (ONE_EACH, True),
            ({"nvidia.com/gpu.count": "2"}, True),
            ({"cloud.google.com/gke-max-shared-clients-per-gpu": "2"}, True),
        ],
    )
    def test_is_told_by_labels(self, labels: dict[str, str], told: bool) -> None:
        assert accelerator(2, labels).sharing_told is told

    def test_of_gke_is_sharing(self) -> None:
        shared = accelerator(4, {"cloud.google.com/gke-max-shared-clients-per-gpu": "2"})
        assert (needs.shared(shared), shared.physical, shared.replicas) == (True, 2, 2)

    def intruded(self, labels: dict[str, str]) -> tuple[str, str]:
        ctx = context()
        ctx.logs = lambda _pod: "own=c3:0\nown_mknod=made\nown_open=opened\nother_mknod=made\nother_open=opened"
        found = accelerator(2, labels)
        held = isolation.Held(devices.Probing(None, script.Script("", "")), "c3:0", "GPU-A", "0:1")  # type: ignore[arg-type]
        with pytest.raises(StopProbe):
            of(isolation.intrude, ctx, found, held)
        return ctx.told[-1]

    def test_the_same_device_twice_is_a_hole_only_where_devices_are_known_to_be_exclusive(self) -> None:
        assert self.intruded(ONE_EACH)[0] == "failed"
        outcome, text = self.intruded({})
        assert (outcome, "nothing on the node says" in text) == ("undecided", True)

    @pytest.mark.parametrize(
        ("labels", "pages", "outcome"),
        [(ONE_EACH, 1, "failed"), ({}, 1, "undecided"), ({}, 0, "failed"), ({}, 3, "failed"), ({}, 2, "passed")],
    )
    def test_fewer_devices_than_are_offered_may_be_shared_ones(
        self, labels: dict[str, str], pages: int, outcome: str
    ) -> None:
        ctx, found = context(), accelerator(2, labels)
        values = {"DCGM_FI_DEV_GPU_UTIL": 1.0, "DCGM_FI_DEV_FB_USED": 1.0, "DCGM_FI_DEV_FB_FREE": 1.0}
        told = {f"GPU-{number}": Device(f"GPU-{number}", {}, values) for number in range(pages)}
        door = Door(found, "x/y", "/", frozenset(), {})
        if outcome == "passed":
            metrics_devices.inventory(cast("Context", ctx), door, Page("text", told, 0))
        else:
            with pytest.raises(StopProbe):
                metrics_devices.inventory(cast("Context", ctx), door, Page("text", told, 0))
        assert ctx.told[-1][0] == outcome


class TestManyNodes:
    def test_of_each_product_one_node_is_held(self) -> None:
        of_t4 = {"nvidia.com/gpu.product": "T4", **ONE_EACH}
        shared = {**of_t4, "nvidia.com/gpu.replicas": "2"}
        of_l4 = {**of_t4, "nvidia.com/gpu.product": "L4"}
        labels = {"a": of_t4, "b": of_t4, "c": of_l4, "d": shared}
        nodes = [accelerator(2, told, name) for name, told in labels.items()]
        doors = [Door(found, "x/y", "/", frozenset(), {}) for found in nodes]
        assert [door.node.node for door in metrics_devices.one_of_each(doors)] == ["a", "c", "d"]

    def test_nodes_are_looked_into_some_at_a_time_and_given_back(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(installed, "AT_A_TIME", 2)
        monkeypatch.setattr(advertised, "by", _nothing)
        monkeypatch.setattr(advertised, "same", lambda *_: None)
        ctx = context()
        there: list[int] = []
        runs = ctx.on_create
        ctx.on_create = lambda made: (there.append(len(ctx.made) - len(ctx.gone)), runs(made))[1]
        ctx.logs = lambda _pod: "devices=1\ntool=/bin/x\ndriver_exit=0"
        nodes = tuple(accelerator(2, ONE_EACH, name) for name in "abcde")
        of(installed.compare, ctx, nodes)
        assert there == [0, 1, 0, 1, 0]
        assert len(ctx.gone) == 5


async def _nothing(*_: object) -> dict[str, object]:
    return {}


def test_pods_without_devices_have_no_class_whatever_was_told() -> None:
    ctx = context(options={"runtime-class": "nvidia"})
    container = pods.Container("c", script.Script("true", ""), limits={"memory": "1Gi"})
    assert "runtimeClassName" not in pods.pod(cast("Context", ctx), "plain", container)["spec"]
