"""Which of the gang scheduling systems found are tried: those that run; one of them is enough."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.support.scripted import Scripted

from aiconform.checks._kit import gang_kueue, gang_volcano, gangs
from aiconform.checks._kit.gang import Aside
from aiconform.checks._kit.gang_room import Room
from aiconform.engine import RefusedError, StopProbe, kinds

Obj = dict[str, Any]

ROOM = Room("room", "gpu-1", "nvidia.com/gpu", 4, 0, "4 on gpu-1")


def deployment(name: str, ready: int) -> Obj:
    template = {"spec": {"containers": [{"image": f"registry.test/{name}:v1.2"}]}}
    return {"metadata": {"name": name}, "spec": {"template": template}, "status": {"readyReplicas": ready}}


def volcano(ctx: Scripted) -> Any:
    return asyncio.run(gang_volcano.Volcano().ready(ctx, ROOM))  # type: ignore[arg-type]


def kueue(ctx: Scripted) -> Any:
    return asyncio.run(gang_kueue.Kueue().ready(ctx, ROOM))  # type: ignore[arg-type]


def test_volcano_runs_where_its_deployments_are_ready() -> None:
    ctx = Scripted()
    ctx.has(kinds.DEPLOYMENT, deployment("volcano-scheduler", 1))
    assert volcano(ctx).words == "Volcano v1.2"
    ctx.has(kinds.DEPLOYMENT, deployment("volcano-controllers", 0))
    assert volcano(ctx) == Aside("Volcano v1.2", "not ready: ours/volcano-controllers")


@pytest.mark.parametrize("spoken", [False, True])
def test_a_scheduler_of_which_no_deployment_is_known_must_speak(spoken: bool) -> None:
    ctx = Scripted()

    def speak(made: Obj) -> None:
        assert made["spec"]["schedulerName"] == "volcano"
        if spoken:
            made["status"] = {"conditions": [{"type": "PodScheduled", "status": "False"}]}

    ctx.on_create = speak
    looked = volcano(ctx)
    assert isinstance(looked, Aside) is not spoken
    assert len(ctx.gone) == 1, "the pod that asked must leave the room"


def active(made: Obj) -> None:
    if made["kind"] == "LocalQueue":
        made["status"] = {"conditions": [{"type": "Active", "status": "True", "message": "ready"}]}


def test_kueue_runs_where_it_takes_our_queue_up() -> None:
    ctx = Scripted()
    ctx.on_create = active
    assert kueue(ctx).queue == "gang-1"
    idle = kueue(Scripted())
    assert idle == Aside("Kueue", "our queue is not taken up in 30 s: LocalQueue: no word of it yet")


@pytest.mark.parametrize(("status", "outcome"), [(403, "undecided"), (500, "failed")])
def test_what_may_not_be_made_cannot_be_looked_at(status: int, outcome: str) -> None:
    ctx = Scripted()

    def refuse(_made: Obj) -> None:
        raise RefusedError("create Topology", status, "Why", "the webhook is away")

    ctx.on_create = refuse
    looked = kueue(ctx)
    assert isinstance(looked, Aside)
    assert (looked.outcome, "the webhook is away" in looked.reason) == (outcome, True)


class System:
    def __init__(self, words: str, aside: Aside | None = None) -> None:
        self.words = words
        self._aside = aside

    async def ready(self, _ctx: Any, _room: Room) -> Any:
        return self._aside or self


def running(ctx: Scripted, *systems: System) -> Any:
    return asyncio.run(gangs._running(ctx, ROOM, systems))  # type: ignore[arg-type]


def test_one_that_runs_is_enough_and_the_others_are_told() -> None:
    ctx, good = Scripted(), System("Kueue")
    assert running(ctx, System("Volcano", Aside("Volcano", "not ready: x")), good) == (good,)
    [(outcome, text)] = ctx.told
    assert outcome == "passed"
    assert "Kueue; set aside: Volcano: not ready: x" in text


@pytest.mark.parametrize(
    ("first", "second", "outcome"),
    [
        ("failed", "failed", "failed"),
        ("failed", "undecided", "failed"),
        ("undecided", "undecided", "undecided"),
    ],
)
def test_where_none_runs_the_check_does_not_pass(first: Any, second: Any, outcome: str) -> None:
    ctx = Scripted()
    with pytest.raises(StopProbe):
        running(ctx, System("A", Aside("A", "x", first)), System("B", Aside("B", "y", second)))
    assert [told for told, _ in ctx.told] == [outcome]
