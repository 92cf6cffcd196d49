"""Workloads whose pods nobody lets their controller make: that is told of, and decides nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest
from tests.support.scripted import Scripted

from aiconform.checks._kit import autoscale, inference_metrics, traffic, workloads
from aiconform.checks._kit.gateway_status import Gateway
from aiconform.checks._kit.workloads import Workload
from aiconform.engine import Context, Handle, RefusedError, State, StopProbe, kinds

Obj = dict[str, Any]

REFUSAL = 'pods "app-1" is forbidden: unable to validate against any security context constraint'
FRONT = Gateway(Handle(kinds.GATEWAY, "ours", "front", "uid"), "example.com/controller", "192.0.2.7", 80)


def refused(made: Obj, *, status: str = "True", reason: str = "FailedCreate") -> None:
    """A Deployment whose ReplicaSet may make no pod."""
    if made["kind"] == "Deployment":
        said = {"type": "ReplicaFailure", "status": status, "reason": reason, "message": REFUSAL}
        made["status"] = {"conditions": [{"type": "Available", "status": "False"}, said]}


def backends(ctx: Scripted) -> Any:
    return traffic.scene(cast("Context", ctx), FRONT)


def service(ctx: Scripted) -> Any:
    return inference_metrics.service(cast("Context", ctx), "inference")


def replicas(ctx: Scripted) -> Any:
    async def work() -> None:
        made = await workloads.serve(cast("Context", ctx), "queue")
        await autoscale.running(cast("Context", ctx), made, cast("Any", SITE), 1)

    return work()


class Site:
    words = "gpu-1"
    resource = "nvidia.com/gpu"
    nodes = ("gpu-1",)


SITE = Site()


@pytest.mark.parametrize("work", [backends, service, replicas])
def test_where_no_pod_may_be_made_it_is_undecided_with_the_controllers_words(work: Callable[[Scripted], Any]) -> None:
    ctx = Scripted()
    ctx.on_create = refused
    with pytest.raises(StopProbe):
        asyncio.run(work(ctx))
    outcome, text = ctx.told[-1]
    assert outcome == "undecided"
    assert text.endswith(f"no pod yet; its pods cannot be made: {REFUSAL}")


@pytest.mark.parametrize("work", [backends, service, replicas])
def test_where_there_is_no_pod_and_no_word_why_there_is_nothing_to_judge(work: Callable[[Scripted], Any]) -> None:
    ctx = Scripted()
    with pytest.raises(StopProbe):
        asyncio.run(work(ctx))
    assert ctx.told[-1][0] == "undecided"
    assert ctx.told[-1][1].endswith("no pod yet")


def explained(state: State, **failure: str) -> State:
    ctx = Scripted()
    ctx.on_create = lambda made: refused(made, **failure)
    context = cast("Context", ctx)

    async def work() -> State:
        made: Workload = await workloads.serve(context, "queue")
        return await workloads.why_no_pods(context, made)(state)

    return asyncio.run(work())


def test_a_second_replica_that_may_not_be_made_is_undecided_too() -> None:
    state = explained(State("waiting", "1 of 2 ready"))
    assert (state.outcome, state.observed[:12]) == ("blocked", "1 of 2 ready")


@pytest.mark.parametrize("failure", [{"status": "False"}, {"reason": "FailedDelete"}])
def test_pods_that_are_made_and_do_not_run_fail_as_before(failure: dict[str, str]) -> None:
    state = State("waiting", "0 of 1 ready")
    assert explained(state, **failure) == state


def test_what_is_wrong_stays_wrong() -> None:
    state = State("wrong", "queue-1 failed")
    assert explained(state) == state


def test_where_the_deployment_cannot_be_read_what_was_seen_counts() -> None:
    ctx, state = Scripted(), State("waiting", "0 of 1 ready")
    ctx.objects["deployments.apps/v1"] = cast("Any", RefusedError("list deployments", 403, "Forbidden", "no"))
    made = Workload(*[Handle(kinds.DEPLOYMENT, "ours", "app", "uid")] * 2, "app")
    assert asyncio.run(workloads.why_no_pods(cast("Context", ctx), made)(state)) == state
