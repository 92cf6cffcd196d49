"""A run that is killed at any write, before it is sent or before it is answered: one clean-up removes it all."""

from __future__ import annotations

import contextlib
import copy
from pathlib import Path

import anyio
import pytest
from tests.unit.engine.test_guards import quota_controller
from tests.unit.engine.test_record_and_replay import FACTS, POD, RUN, Recorded, check_of
from tests.unit.engine.test_sweep import decoys

from aiconform.cluster.http import RawRequest
from aiconform.engine import Context
from aiconform.engine.conduct import _prepared
from aiconform.engine.examine import Examination, examine
from aiconform.engine.ownership import namespaces
from aiconform.engine.sweep import find, remove_left
from aiconform.engine.unrecorded import UnrecordedLane

WRITES = ("POST", "PATCH", "DELETE")


class KilledError(BaseException):
    """Stands for the end of the process."""


async def make_things(ctx: Context) -> None:
    """A pod, which is changed and deleted, and an object of the whole cluster."""
    pod = await ctx.create({**POD, "metadata": {"name": ctx.name("probe")}})
    queue = {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "ClusterQueue", "metadata": {"name": ctx.name("gang")}}
    await ctx.create(queue)
    await ctx.patch(pod, {"spec": {"nodeName": "worker-1"}})
    await ctx.delete(pod)
    ctx.expect("made", "made", ok=True)


class Whole(Recorded):
    """A run from its first write to its last, on a cluster with objects of others."""

    def __init__(self, tmp_path: Path) -> None:
        super().__init__(tmp_path, check_of(make_things))
        self.api.on_create = quota_controller
        self.others = {}
        for number, decoy in enumerate(decoys()):
            decoy["metadata"] |= {
                "name": f"{decoy['metadata']['name']}-{number}",
                "resourceVersion": "7",
                "uid": f"decoy-{number}",
            }
            plural = {"Namespace": "api/v1/namespaces"}.get(decoy["kind"], "apis/kueue.x-k8s.io/v1beta2/clusterqueues")
            self.others[f"/{plural}/{decoy['metadata']['name']}"] = decoy
        for name in namespaces(RUN).values():
            meta = {"name": "default", "namespace": name, "uid": f"sa-{name}", "resourceVersion": "1"}
            path = f"/api/v1/namespaces/{name}/serviceaccounts/default"
            self.api.objects[path] = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}
        self.api.objects |= copy.deepcopy(self.others)
        self.writes = 0
        self.dead = False

    def killed_at(self, write: int, *, done: bool) -> None:
        """End the process at this write; ``done`` says whether the server still got it."""
        real = self.api.send

        async def send(request: RawRequest) -> object:
            last = request.method in WRITES and self.writes == write
            self.writes += request.method in WRITES
            if last and done:
                await real(request)
            self.dead = self.dead or last
            if self.dead:
                raise KilledError
            return await real(request)

        self.api.send = send  # type: ignore[method-assign,assignment]

    async def work(self) -> None:
        made = await _prepared(self.stage, self.plan, {"restricted", "baseline"})
        run = Examination(self.stage, FACTS, namespaces(RUN), {}, lambda _: None, root=made[0])
        await examine(run, self.check, self.planned, FACTS)


def writes_of_a_whole_run(tmp_path: Path) -> int:
    run = Whole(tmp_path)
    run.killed_at(-1, done=True)
    anyio.run(run.work)
    return run.writes


@pytest.mark.parametrize("done", [False, True], ids=["before it is sent", "before it is answered"])
def test_whenever_a_run_is_killed_one_clean_up_removes_it_all_and_nothing_else(tmp_path: Path, done: bool) -> None:
    number = writes_of_a_whole_run(tmp_path / "whole")
    assert number >= 15
    for write in range(number):
        run = Whole(tmp_path / str(write))
        run.killed_at(write, done=done)
        with contextlib.suppress(KilledError, BaseExceptionGroup):
            anyio.run(run.work)
        assert run.dead, write
        assert cleaned(run) == [], write
        left = {path: obj for path, obj in run.api.objects.items() if "serviceaccounts" not in path}
        assert left == run.others, write


def cleaned(run: Whole) -> list[str]:
    """Clean up without a journal; returns what is left."""
    run.api.send = type(run.api).send.__get__(run.api)  # type: ignore[method-assign]

    async def work() -> list[str]:
        lane = UnrecordedLane(run.api, "cleanup-test")  # type: ignore[arg-type]
        return [
            name for left in (await find(lane)).runs for name in (await remove_left(lane, left, lambda _: None)).left
        ]

    return anyio.run(work)
