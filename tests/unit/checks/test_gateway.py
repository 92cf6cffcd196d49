"""What a Gateway's and a route's status says, and what is taken for an answer of a backend."""

from __future__ import annotations

from typing import Any

import pytest

from aiconform.checks._kit import gateway, gateway_status
from aiconform.checks._kit.gateway import Rule
from aiconform.checks._kit.gateway_status import Gateway
from aiconform.engine import Handle, State, kinds

Obj = dict[str, Any]

CONTROLLER = "example.com/gateway-controller"
FRONT = Gateway(Handle(kinds.GATEWAY, "run", "front", "uid"), CONTROLLER, "192.0.2.7", 80)


def said(kind: str, status: str = "True", reason: str = "Because", generation: int = 3) -> Obj:
    return {"type": kind, "status": status, "reason": reason, "message": "words", "observedGeneration": generation}


def class_of(name: str, *conditions: Obj, controller: str = CONTROLLER) -> Obj:
    return {
        "metadata": {"name": name, "generation": 3},
        "spec": {"controllerName": controller},
        "status": {"conditions": list(conditions)},
    }


def front(*conditions: Obj, addresses: tuple[str, ...] = ("192.0.2.7",)) -> Obj:
    return {
        "metadata": {"name": "front", "generation": 3},
        "status": {"conditions": list(conditions), "addresses": [{"value": value} for value in addresses]},
    }


def route(*conditions: Obj, parent: str = "front", controller: str = CONTROLLER) -> Obj:
    status = {"parentRef": {"name": parent}, "controllerName": controller, "conditions": list(conditions)}
    return {"metadata": {"name": "route", "generation": 3}, "status": {"parents": [status]}}


def test_an_accepted_class_is_found() -> None:
    classes = [class_of("a", said("Accepted", "Unknown")), class_of("b", said("Accepted"))]
    state = gateway_status.some_accepted()(classes)
    assert state.outcome == "met"
    assert "b is accepted" in state.observed
    assert gateway_status.some_accepted("b")(classes).outcome == "met"
    assert gateway_status.some_accepted("a")(classes).outcome == "waiting"
    assert gateway_status.some_accepted("c")(classes) == State("nothing", "no GatewayClass c, but a, b")


@pytest.mark.parametrize(
    "found",
    [
        class_of("a"),
        class_of("a", said("Accepted", "False", "InvalidParameters")),
        class_of("a", said("Accepted", generation=2)),
        class_of("a", said("SupportedVersion")),
        class_of("istio-waypoint", said("Accepted"), controller="istio.io/mesh-controller"),
    ],
)
def test_other_classes_are_not(found: Obj) -> None:
    assert gateway_status.some_accepted()([found]).outcome == "waiting"


def test_no_class_at_all_decides_nothing() -> None:
    assert gateway_status.some_accepted()([]).outcome == "nothing"


@pytest.mark.parametrize(
    ("found", "outcome"),
    [
        (front(said("Accepted"), said("Programmed")), "met"),
        (front(said("Accepted")), "waiting"),
        (front(said("Accepted"), said("Programmed", generation=2)), "waiting"),
        (front(said("Accepted", "False", "ListenersNotValid"), said("Programmed")), "waiting"),
        (front(said("Accepted"), said("Programmed", "False", "Invalid")), "waiting"),
        (front(said("Accepted"), said("Programmed", "False", "AddressNotAssigned")), "blocked"),
        (front(said("Accepted"), said("Programmed", "False", "NoResources")), "blocked"),
        (front(said("Accepted"), said("Programmed"), addresses=()), "blocked"),
    ],
)
def test_a_gateway_is_programmed_with_an_address(found: Obj, outcome: str) -> None:
    assert gateway_status.programmed([found]).outcome == outcome


def test_what_keeps_a_gateway_from_its_address_is_told() -> None:
    state = gateway_status.programmed([front(said("Accepted"), said("Programmed", "False", "AddressNotAssigned"))])
    assert state.observed == "Accepted=True; Programmed=False AddressNotAssigned: words"


@pytest.mark.parametrize(
    ("found", "outcome"),
    [
        (route(said("Accepted"), said("ResolvedRefs")), "met"),
        (route(said("Accepted")), "waiting"),
        (route(said("Accepted"), said("ResolvedRefs", generation=2)), "waiting"),
        (route(said("Accepted"), said("ResolvedRefs", "False", "BackendNotFound")), "waiting"),
        (route(said("Accepted"), said("ResolvedRefs"), parent="another"), "waiting"),
        (route(said("Accepted"), said("ResolvedRefs"), controller="example.com/somebody-else"), "waiting"),
        ({"metadata": {"name": "route", "generation": 3}}, "waiting"),
    ],
)
def test_a_route_is_resolved_in_the_words_of_the_gateways_controller(found: Obj, outcome: str) -> None:
    assert gateway_status.resolved(FRONT)([found]).outcome == outcome


@pytest.mark.parametrize(
    ("found", "outcome"),
    [
        (route(said("ResolvedRefs", "False", "BackendNotFound")), "met"),
        (route(said("ResolvedRefs", "False", "RefNotPermitted")), "waiting"),
        (route(said("ResolvedRefs", "False", "BackendNotFound", generation=2)), "waiting"),
        (route(said("ResolvedRefs")), "waiting"),
        (route(), "waiting"),
    ],
)
def test_a_route_is_unresolved_only_for_its_reason(found: Obj, outcome: str) -> None:
    assert gateway_status.unresolved(FRONT)([found]).outcome == outcome


def test_any_kind_of_address_makes_a_url() -> None:
    assert FRONT.url("/predict") == "http://[192.0.2.7]:80/predict"
    assert Gateway(FRONT.handle, CONTROLLER, "2001:db8::7", 80).url("/") == "http://[2001:db8::7]:80/"
    assert Gateway(FRONT.handle, CONTROLLER, "lb.example.com", 80, named=True).url("/") == "http://lb.example.com:80/"


def test_rules_name_their_backends_with_weights() -> None:
    rule = gateway.rules_of(Rule({"a": 80, "b": 20}, headers={"x-model": "m"}))[0]
    assert [(item["name"], item["weight"]) for item in rule["backendRefs"]] == [("a", 80), ("b", 20)]
    assert rule["matches"] == [
        {
            "path": {"type": "PathPrefix", "value": "/predict"},
            "headers": [{"type": "Exact", "name": "x-model", "value": "m"}],
        }
    ]
