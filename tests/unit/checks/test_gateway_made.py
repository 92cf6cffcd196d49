"""Making a Gateway: a port that the class takes, an address of its own or in the cluster, and patience."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import pytest
from tests.support.scripted import Scripted

from aiconform.checks._kit import gateway, gateway_status
from aiconform.checks._kit.gateway_status import Gateway
from aiconform.engine import Handle, StopProbe, kinds

Obj = dict[str, Any]

CLASS = gateway.Class("envoy", "example.com/controller")


def said(kind: str, status: str = "True", reason: str = "Because") -> Obj:
    return {"type": kind, "status": status, "reason": reason, "message": "words", "observedGeneration": 1}


def programmed(made: Obj, *, address: str = "192.0.2.7", after: str = "True", reason: str = "Programmed") -> None:
    conditions = [said("Accepted"), said("Programmed", after, reason)]
    made["status"] = {"conditions": conditions, "addresses": [{"value": address}] if address else []}


def make(ctx: Scripted) -> Any:
    return asyncio.run(gateway.create(ctx, "gateway", CLASS))  # type: ignore[arg-type]


def test_the_first_port_that_the_class_takes_is_used() -> None:
    ctx = Scripted()

    def answer(made: Obj) -> None:
        programmed(made)
        if made["spec"]["listeners"][0]["port"] == 80:
            refusal = said("Accepted", "False", "PortUnavailable")
            made["status"]["listeners"] = [{"name": "http", "conditions": [refusal]}]

    ctx.on_create = answer
    made = make(ctx)
    assert (made.port, made.address, made.settle_s) == (8080, "192.0.2.7", 60)
    assert ctx.gone == ["gateway-1"], "the one that was refused is not left"


def test_a_class_that_takes_no_port_fails_in_its_own_words() -> None:
    ctx = Scripted()

    def answer(made: Obj) -> None:
        programmed(made)
        made["status"]["listeners"] = [{"name": "http", "conditions": [said("Accepted", "False", "PortUnavailable")]}]

    ctx.on_create = answer
    with pytest.raises(StopProbe):
        make(ctx)
    assert len(ctx.made) == len(gateway.PORTS)
    [(outcome, text)] = ctx.told
    assert (outcome, text.endswith("an address: listener http: PortUnavailable: words")) == ("failed", True)


def test_a_port_that_was_told_is_the_only_one_tried() -> None:
    ctx = Scripted(options={"gateway-port": "8888"})
    ctx.on_create = programmed
    assert make(ctx).port == 8888


def waiting(made: Obj) -> None:
    programmed(made, address="", after="False", reason="AddressNotAssigned")


def test_an_address_that_never_comes_is_undecided_and_the_one_in_the_cluster_is_offered() -> None:
    ctx = Scripted()
    ctx.on_create = waiting
    marked = {"metadata": {"name": "front", "labels": {"gateway.networking.k8s.io/gateway-name": "gateway-1"}}}
    ctx.has(kinds.SERVICE, {**marked, "spec": {"clusterIP": "192.0.2.9"}})
    with pytest.raises(StopProbe):
        make(ctx)
    [(outcome, cause), (_, offered)] = ctx.told
    assert (outcome, "--gateway-address in-cluster" in cause) == ("undecided", True)
    assert "Service ours/front at 192.0.2.9" in offered


@pytest.mark.parametrize("answer", [waiting, programmed])
def test_the_service_in_the_cluster_is_used_where_that_is_asked_for(answer: Any) -> None:
    ctx = Scripted(options={"gateway-address": "in-cluster"})
    ctx.on_create = answer
    labels = {
        "gateway.envoyproxy.io/owning-gateway-namespace": "ours",
        "gateway.envoyproxy.io/owning-gateway-name": "gateway-1",
    }
    spec = {"clusterIP": "192.0.2.9"}
    ctx.has(kinds.SERVICE, {"metadata": {"name": "envoy", "namespace": "system", "labels": labels}, "spec": spec})
    headless = {"name": "peers", "labels": {"gateway.networking.k8s.io/gateway-name": "gateway-1"}}
    ctx.has(kinds.SERVICE, {"metadata": headless, "spec": {"clusterIP": "None"}})
    assert make(ctx).address == "192.0.2.9"
    assert ctx.told[-1][0] == "passed"


def test_a_gateway_that_is_not_accepted_is_not_used_in_the_cluster_either() -> None:
    ctx = Scripted(options={"gateway-address": "in-cluster"})

    def answer(made: Obj) -> None:
        programmed(made)
        made["status"]["conditions"] = [said("Accepted", "False", "Invalid"), said("Programmed")]

    ctx.on_create = answer
    with pytest.raises(StopProbe):
        make(ctx)
    assert ctx.told[-1][0] == "failed"


def test_without_a_service_that_is_known_there_is_nowhere_to_send_requests() -> None:
    ctx = Scripted(options={"gateway-address": "in-cluster"})
    ctx.on_create = programmed
    with pytest.raises(StopProbe):
        make(ctx)
    assert ctx.told[-1][0] == "undecided"


@pytest.mark.parametrize(("took_s", "settle_s"), [(1.0, 60), (12.0, 120), (170.0, 300)])
def test_who_takes_long_to_program_a_gateway_is_given_time_for_routes(took_s: float, settle_s: int) -> None:
    class Slow(Scripted):
        async def seen(self, *args: Any, **more: Any) -> Any:
            self.now += took_s
            return await super().seen(*args, **more)

    ctx = Slow()
    ctx.on_create = programmed
    assert make(ctx).settle_s == settle_s


@pytest.mark.parametrize(
    ("address", "settle_s"),
    [
        ({"value": "ip-1"}, 60),
        ({"value": "ip-1", "type": "IPAddress"}, 60),
        ({"value": "name-1.elb.example.com", "type": "Hostname"}, 300),
    ],
)
def test_a_load_balancer_with_a_name_is_given_time_for_the_name_to_be_known(address: Obj, settle_s: int) -> None:
    ctx = Scripted()

    def answer(made: Obj) -> None:
        programmed(made)
        made["status"]["addresses"] = [address]

    ctx.on_create = answer
    assert make(ctx).settle_s == settle_s


@pytest.mark.parametrize("until", [None, gateway_status.unresolved])
def test_who_is_given_time_is_given_it_for_the_status_of_routes_too(until: Any) -> None:
    class Patient(Scripted):
        limits: ClassVar[list[float]] = []

        async def until(self, *_: Any, within_s: float, **__: Any) -> list[Obj]:
            self.limits.append(within_s)
            return []

    ctx = Patient()
    front = Gateway(Handle(kinds.GATEWAY, "ours", "front", "uid"), CLASS.controller, "192.0.2.7", 80, 120)
    asyncio.run(gateway.route(ctx, "route", front, gateway.Rule({"champion": 1}), until=until))  # type: ignore[arg-type]
    assert ctx.limits.pop() == 120
