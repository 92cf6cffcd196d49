"""What the status of the Gateway API's objects says.

A condition counts for the generation it was observed at, and a route's only if the Gateway's own controller set it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiconform.engine import Condition, Handle, State

Obj = dict[str, Any]

MESH = frozenset({"istio.io/mesh-controller", "istio.io/unmanaged-gateway"})
"""Controllers of classes whose Gateways take no requests from outside a mesh, or are not deployed by them."""

_NOT_OURS = frozenset({"AddressNotAssigned", "AddressNotUsable", "NoResources"})
"""Reasons for not being programmed that speak of what the cluster is on, not of its Gateway API."""


_NO_ADDRESS = frozenset({"AddressNotAssigned", "AddressNotUsable"})
_NO_PORT = frozenset({"PortUnavailable", "UnsupportedPort"})
"""Reasons of a listener that a class does not take because of its port; the second is older."""


@dataclass(frozen=True)
class Gateway:
    """A programmed Gateway of ours, and where it takes requests.

    Attributes:
        settle_s: how long a change of its routes may take until requests show it.
        named: whether the address is a host's name, and not an IP address.
    """

    handle: Handle
    controller: str
    address: str
    port: int
    settle_s: int = 60
    named: bool = False

    def url(self, path: str) -> str:
        """The URL of a path at its address, whatever host is asked for.

        An IP address is in brackets, of either family: what we see of it is a pseudonym. Who asks takes them off.
        """
        host = self.address if self.named else f"[{self.address}]"
        return f"http://{host}:{self.port}{path}"


def some_accepted(named: str = "") -> Condition:
    """A condition: a class of a gateway (not of a mesh) is accepted; of this name, if one is given."""

    def condition(objects: list[Obj]) -> State:
        meant = [found for found in objects if named in ("", found["metadata"]["name"])]
        if not meant:
            there = ", ".join(found["metadata"]["name"] for found in objects)
            return State("nothing", f"no GatewayClass {named}, but {there}" if there else "no GatewayClass")
        for found in meant:
            if accepted(found):
                return State("met", f"{found['metadata']['name']} is accepted by {found['spec']['controllerName']}")
        said = "; ".join(f"{found['metadata']['name']}: {words(found, 'Accepted')}" for found in meant)
        return State("waiting", said)

    return condition


def programmed(objects: list[Obj]) -> State:
    """A condition: the Gateway is accepted and programmed, at its current generation, and has an address.

    What keeps the cluster from giving it an address or a place to run says nothing about the Gateway API.
    """
    found = objects[0]
    if refused := port_refused(found):
        return State("wrong", refused)
    addresses = [str(item.get("value", "")) for item in found.get("status", {}).get("addresses") or []]
    observed = f"{words(found, 'Accepted')}; {words(found, 'Programmed')}"
    said = _condition(found, "Programmed")
    if not (_true(found, "Accepted") and _true(found, "Programmed")):
        return State("blocked" if said.get("reason") in _NOT_OURS else "waiting", observed)
    if not addresses:
        return State("blocked", f"{observed}; no address")
    return State("met", f"{observed}; address {', '.join(addresses)}")


def port_refused(found: Obj) -> str:
    """Why a Gateway's class does not take its listener's port, in its own words; empty if it does."""
    for listener in found.get("status", {}).get("listeners") or []:
        said = _condition({"metadata": found["metadata"], "status": listener}, "Accepted")
        if said.get("status") == "False" and said.get("reason") in _NO_PORT:
            return f"listener {listener.get('name')}: {said['reason']}: {said.get('message', '')}"
    return ""


def only_address_lacks(found: Obj) -> bool:
    """Whether a Gateway is accepted, and nothing but an address keeps it from being programmed or used."""
    said = _condition(found, "Programmed")
    return _true(found, "Accepted") and (said.get("status") == "True" or said.get("reason") in _NO_ADDRESS)


def resolved(gateway: Gateway) -> Condition:
    """A condition: the Gateway's controller accepts the route and resolves its backends, at its current generation."""

    def condition(objects: list[Obj]) -> State:
        parent = _parent(objects[0], gateway)
        met = _true(parent, "Accepted") and _true(parent, "ResolvedRefs")
        observed = f"{words(parent, 'Accepted')}; {words(parent, 'ResolvedRefs')}"
        generation = objects[0]["metadata"].get("generation")
        return State("met" if met else "waiting", f"{observed}, of generation {generation}" if met else observed)

    return condition


def unresolved(gateway: Gateway) -> Condition:
    """A condition: the Gateway's controller says that a backend of the route does not exist."""

    def condition(objects: list[Obj]) -> State:
        parent = _parent(objects[0], gateway)
        said = _condition(parent, "ResolvedRefs")
        met = said.get("status") == "False" and said.get("reason") == "BackendNotFound"
        return State("met" if met else "waiting", words(parent, "ResolvedRefs"))

    return condition


def _parent(found: Obj, gateway: Gateway) -> Obj:
    """What the Gateway's controller says about a route, in the form of an object with a status of its own."""
    for parent in found.get("status", {}).get("parents") or []:
        named = parent.get("parentRef", {}).get("name") == gateway.handle.name
        if named and parent.get("controllerName") == gateway.controller:
            return {"metadata": found["metadata"], "status": parent}
    return {"metadata": found["metadata"]}


def accepted(found: Obj) -> bool:
    """Whether a GatewayClass is accepted, and not one of a mesh."""
    return _true(found, "Accepted") and found.get("spec", {}).get("controllerName") not in MESH


def _condition(found: Obj, kind: str) -> Obj:
    """The condition of this type, if it was observed at the current generation; else empty."""
    for said in found.get("status", {}).get("conditions") or []:
        if said.get("type") == kind and said.get("observedGeneration") == found["metadata"].get("generation"):
            return dict(said)
    return {}


def _true(found: Obj, kind: str) -> bool:
    return _condition(found, kind).get("status") == "True"


def words(found: Obj, kind: str) -> str:
    """A condition in words."""
    said = _condition(found, kind)
    if not said:
        return f"no {kind} of the current generation"
    if said["status"] == "True":
        return f"{kind}=True"
    return f"{kind}={said['status']} {said.get('reason', '')}: {said.get('message', '')}"
