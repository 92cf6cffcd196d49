from __future__ import annotations

from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from tests.support.scripted import Scripted

from aiconform.checks._kit import nodepools
from aiconform.checks._kit.nodepools import Watched
from aiconform.engine import Handle, kinds
from aiconform.engine.nodepools import UNNAMED, NodePool


def pool(name: str = "gpus", stuck: str = "", simulated: str = "") -> NodePool:
    return NodePool(
        "Karpenter", name, ("pool", name), ("a",), "nvidia.com/gpu", 1, 0, 3, ("gpus-only",), stuck, simulated
    )


def facts(*pools: NodePool, gaps: tuple[str, ...] = (), unknown: tuple[str, ...] = ()) -> Any:
    return SimpleNamespace(pools=pools, gaps=gaps, chosen=(), unknown=unknown, refused=())


def node(name: str, uid: str = "", ready: str = "True", gpus: str = "1", **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "uid": uid or name},
        "spec": spec,
        "status": {"conditions": [{"type": "Ready", "status": ready}], "allocatable": {"nvidia.com/gpu": gpus}},
    }


def test_a_pool_with_room_is_looked_at() -> None:
    found = facts(pool("gpus"), pool("fixed", stuck="its minimum and its maximum are both 1"))
    assert nodepools.grows(found) is None
    assert nodepools.chosen(found).name == "gpus"
    assert nodepools.held(found) == {"pool/gpus"}


def test_a_fixed_pool_proves_nothing() -> None:
    unmet = nodepools.grows(facts(pool(stuck="its minimum and its maximum are both 1")))
    assert unmet is not None
    assert unmet.outcome == "not run"
    assert "nothing would be proved: gpus (Karpenter): its minimum and its maximum are both 1" in unmet.reason
    assert nodepools.held(facts()) == frozenset()


@pytest.mark.parametrize("gap", ["nodepools: 500 InternalError", "cluster-autoscaler-status: 403 Forbidden"])
def test_a_fixed_pool_beside_pools_that_cannot_be_read_is_undecided(gap: str) -> None:
    fixed = pool(stuck="its minimum and its maximum are both 1")
    unmet = nodepools.grows(facts(fixed, gaps=(gap,)))
    assert unmet is not None
    assert unmet.outcome == "undecided"
    assert gap in unmet.reason
    assert "gpus (Karpenter): its minimum" in unmet.reason
    others = nodepools.grows(facts(fixed, gaps=("nodepools: 404 NotFound", "runtimeclasses: 403 Forbidden")))
    assert others is not None
    assert others.outcome == "not run"


def test_hardware_that_is_not_known_is_undecided_with_what_to_show() -> None:
    unmet = nodepools.grows(facts(unknown=("1 acme.example/npu on a",)))
    assert unmet is not None
    assert unmet.outcome == "undecided"
    assert "show by hand: a pending pod with accelerators" in unmet.reason


def test_no_autoscaler_is_not_run_and_no_permission_is_undecided() -> None:
    unmet = nodepools.grows(facts())
    assert unmet is not None
    assert unmet.outcome == "not run"
    unmet = nodepools.grows(facts(gaps=("nodepools: 403 Forbidden",)))
    assert unmet is not None
    assert (unmet.outcome, "403" in unmet.reason) == ("undecided", True)


def test_patience_is_for_clouds() -> None:
    assert Watched(pool(), 1).up_s == nodepools.UP_S
    assert Watched(pool(simulated="of ours"), 1).down_s == nodepools.SIMULATED_S < nodepools.DOWN_S


def test_nothing_is_watched_for_longer_than_it_takes_to_come() -> None:
    assert Watched(pool(), 1).quiet_s == nodepools.QUIET_S
    assert Watched(pool(), 1, came_after_s=301).quiet_s == 452
    assert Watched(pool(simulated="of ours"), 1, came_after_s=5).quiet_s == nodepools.QUIET_SIMULATED_S


@pytest.mark.parametrize(
    "shut",
    [
        node("a", ready="False"),
        node("a", ready="Unknown"),
        node("a", unschedulable=True),
        node("a", taints=[{"key": "karpenter.sh/unregistered", "effect": "NoExecute"}]),
        node("a", taints=[{"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}]),
        {**node("a"), "metadata": {"name": "a", "uid": "a", "deletionTimestamp": "2026-01-01T00:00:00Z"}},
    ],
)
def test_a_node_that_takes_no_pods_is_not_counted(shut) -> None:
    watched = Watched(pool(), 1, {"a": "a"})
    assert not nodepools.usable(shut)
    assert watched.lost([shut]) == ["a"]
    watched.note(SimpleNamespace(now=1.0), [shut, node("b")])  # type: ignore[arg-type]
    assert watched.points == [(1.0, 1.0)]


def test_a_node_made_anew_under_the_same_name_is_another_one() -> None:
    watched = Watched(pool(), 1, {"a": "first"})
    again = node("a", uid="second")
    assert watched.new([again]) == [again]
    assert watched.lost([again]) == ["a"]


def test_the_number_of_nodes_is_told_when_it_changes() -> None:
    watched = Watched(pool(), 1)
    for now, nodes in ((1.0, [node("a")]), (2.0, [node("a")]), (3.0, [node("a"), node("b")])):
        watched.note(SimpleNamespace(now=now), nodes)  # type: ignore[arg-type]
    assert watched.points == [(1.0, 1.0), (3.0, 2.0)]


@pytest.mark.parametrize("nodes", [[], [node("a", gpus="2")], [node("a"), node("b", gpus="0")]])
def test_nodes_that_differ_or_none_do_not_all_offer_the_same(nodes) -> None:
    assert nodepools.all_offer(Watched(pool(), 1), nodes).outcome == "waiting"
    assert nodepools.all_offer(Watched(pool(), 1), [node("a"), node("b")]).outcome == "met"


def event(reporter: str, reason: str, note: str = "so", *, legacy: bool = False) -> dict[str, Any]:
    source = {"deprecatedSource": {"component": reporter}} if legacy else {"reportingController": reporter}
    return {"reason": reason, "note": note, **source}


async def words(*events: dict[str, Any], reasons: tuple[str, ...] = (), autoscaler: str = "Karpenter") -> list[str]:
    async def listed(_kind: object, _namespace: str, *, fields: str) -> list[dict[str, Any]]:
        assert fields == "regarding.name=x"
        return list(events)

    mine = replace(pool(), autoscaler=autoscaler)
    ctx: Any = SimpleNamespace(list=listed)
    return await nodepools.words(ctx, mine, {"metadata": {"name": "x"}}, "default", reasons)


def test_only_the_pool_s_own_autoscaler_is_taken_at_its_word() -> None:
    told = (event("karpenter", "Nominated"), event("cluster-autoscaler", "TriggeredScaleUp", legacy=True))
    scheduler = event("default-scheduler", "FailedScheduling")
    assert anyio.run(words, *told, scheduler) == ["karpenter: Nominated: so"]
    assert anyio.run(words, event("eks-auto-mode/compute", "Nominated")) == ["eks-auto-mode/compute: Nominated: so"]
    by_the_other = partial(words, *told, scheduler, autoscaler="Cluster Autoscaler", reasons=nodepools.ACTED)
    assert anyio.run(by_the_other) == ["cluster-autoscaler: TriggeredScaleUp: so"]


def test_a_refusal_is_no_word_that_it_acted() -> None:
    refusal = event("karpenter", "FailedScheduling")
    assert anyio.run(partial(words, refusal, reasons=nodepools.ACTED)) == []
    assert anyio.run(partial(words, refusal, reasons=nodepools.REFUSED)) == ["karpenter: FailedScheduling: so"]


def test_events_that_repeat_a_status_say_nothing() -> None:
    assert anyio.run(words, event("karpenter", "Ready", "Status condition transitioned, Type: Ready")) == []


def test_of_a_pool_known_by_a_label_any_autoscaler_that_is_known_may_speak() -> None:
    ctx = Scripted()
    for number, reporter in enumerate(("cluster-autoscaler", "karpenter", "default-scheduler")):
        said = {"reason": "TriggeredScaleUp", "note": f"by {reporter}", "reportingController": reporter}
        ctx.has(kinds.EVENT, {"metadata": {"name": f"e{number}"}, **said})
    told = replace(pool(), autoscaler=UNNAMED)
    about = Handle(kinds.POD, "ours", "pod", "uid")
    heard = anyio.run(partial(nodepools.words, ctx, told, about, "ours", nodepools.ACTED))  # type: ignore[arg-type]
    assert heard == [
        "cluster-autoscaler: TriggeredScaleUp: by cluster-autoscaler",
        "karpenter: TriggeredScaleUp: by karpenter",
    ]
