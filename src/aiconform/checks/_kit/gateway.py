"""The Gateway API: Gateways and routes as manifests, and what their status says.

A condition counts for the generation it was observed at, and a route's only if the Gateway's own controller set it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiconform.engine import Condition, Context, Handle, RefusedError, State, Target, kinds

Obj = dict[str, Any]

API = kinds.GATEWAY.api_version
PORT = 80
MESH = frozenset({"istio.io/mesh-controller", "istio.io/unmanaged-gateway"})
"""Controllers of classes whose Gateways take no requests from outside a mesh, or are not deployed by them."""

_NOT_OURS = frozenset({"AddressNotAssigned", "AddressNotUsable", "NoResources"})
"""Reasons for not being programmed that speak of what the cluster is on, not of its Gateway API."""

_BUNDLE = "gateway.networking.k8s.io/bundle-version"
_CHANNEL = "gateway.networking.k8s.io/channel"


@dataclass(frozen=True)
class Class:
    """An accepted GatewayClass."""

    name: str
    controller: str


@dataclass(frozen=True)
class Gateway:
    """A programmed Gateway of ours, and where it takes requests."""

    handle: Handle
    controller: str
    address: str
    port: int

    def url(self, path: str) -> str:
        """The URL of a path at its address, whatever host is asked for."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"http://{host}:{self.port}{path}"


@dataclass(frozen=True)
class Rule:
    """A rule of a route.

    Attributes:
        backends: Services by name, with their weights.
        path: prefix that it is for.
        headers: exact values that it is for.
    """

    backends: Mapping[str, int]
    path: str = "/predict"
    headers: Mapping[str, str] | None = None


async def accepted_class(ctx: Context) -> Class:
    """The GatewayClass to use, by name the first that is accepted and not a mesh's, once there is one.

    Raises:
        StopProbe: there is none.
    """
    seen = await ctx.until(
        Target(kinds.GATEWAY_CLASS), some_accepted, expected="a GatewayClass is accepted by its controller", within_s=60
    )
    name = next(item["metadata"]["name"] for item in seen if _accepted(item))
    release = await _release(ctx)
    found = await ctx.read_named(kinds.GATEWAY_CLASS, name)
    chosen = Class(name, str(found["spec"]["controllerName"]))
    ctx.expect(
        f"GatewayClass {name} is accepted, at its current generation",
        f"{_words(found, 'Accepted')}, by {chosen.controller}",
        ok=_accepted(found),
        figures={"GatewayClass": name, "controller": chosen.controller, "Gateway API": release},
    )
    return chosen


def some_accepted(objects: list[Obj]) -> State:
    """A condition: a class of a gateway (not of a mesh) is accepted."""
    if not objects:
        return State("nothing", "no GatewayClass")
    for found in objects:
        if _accepted(found):
            return State("met", f"{found['metadata']['name']} is accepted by {found['spec']['controllerName']}")
    return State("waiting", "; ".join(f"{found['metadata']['name']}: {_words(found, 'Accepted')}" for found in objects))


async def _release(ctx: Context) -> str:
    """Which release and channel of the Gateway API is installed, as its definitions say."""
    try:
        found = await ctx.read_named(kinds.CUSTOM_RESOURCE_DEFINITION, "gatewayclasses.gateway.networking.k8s.io")
    except RefusedError as refused:
        return f"not readable: {refused.reason}"
    said = found["metadata"].get("annotations") or {}
    return f"{said.get(_BUNDLE, 'release not named')}, {said.get(_CHANNEL, 'not named')} channel"


async def create(ctx: Context, hint: str, of: Class) -> Gateway:
    """Create a Gateway with one HTTP listener for routes of its own namespace, and wait until it is programmed.

    Raises:
        StopProbe: it is not, or has no address.
    """
    listener = {
        "name": "http",
        "protocol": "HTTP",
        "port": PORT,
        "allowedRoutes": {"namespaces": {"from": "Same"}},
    }
    handle = await ctx.create(
        {
            "apiVersion": API,
            "kind": "Gateway",
            "metadata": {"name": ctx.name(hint)},
            "spec": {"gatewayClassName": of.name, "listeners": [listener]},
        }
    )
    seen = await ctx.until(handle, programmed, expected=f"{handle} is programmed and has an address", within_s=180)
    return Gateway(handle, of.controller, str(seen[0]["status"]["addresses"][0]["value"]), PORT)


def programmed(objects: list[Obj]) -> State:
    """A condition: the Gateway is accepted and programmed, at its current generation, and has an address.

    What keeps the cluster from giving it an address or a place to run says nothing about the Gateway API.
    """
    found = objects[0]
    addresses = [str(item.get("value", "")) for item in found.get("status", {}).get("addresses") or []]
    observed = f"{_words(found, 'Accepted')}; {_words(found, 'Programmed')}"
    said = _condition(found, "Programmed")
    if not (_true(found, "Accepted") and _true(found, "Programmed")):
        return State("blocked" if said.get("reason") in _NOT_OURS else "waiting", observed)
    if not addresses:
        return State("blocked", f"{observed}; no address")
    return State("met", f"{observed}; address {', '.join(addresses)}")


async def route(
    ctx: Context, hint: str, gateway: Gateway, *rules: Rule, until: Callable[[Gateway], Condition] | None = None
) -> tuple[Handle, str]:
    """Create a route with a host of its own, and wait until its status is as it should be; returns it and the host.

    Args:
        ctx: the probe's context.
        hint: beginning of its name.
        gateway: what it belongs to.
        rules: its rules.
        until: makes the condition from the Gateway; :func:`resolved` if none is given.

    Raises:
        StopProbe: its status is otherwise.
    """
    name = ctx.name(hint)
    host = f"{name}.test"
    handle = await ctx.create(
        {
            "apiVersion": API,
            "kind": "HTTPRoute",
            "metadata": {"name": name},
            "spec": {
                "parentRefs": [{"name": gateway.handle.name, "sectionName": "http"}],
                "hostnames": [host],
                "rules": rules_of(*rules),
            },
        }
    )
    if until is None:
        await settled(ctx, handle, gateway)
    else:
        await ctx.until(handle, until(gateway), expected=f"{handle} is not resolved: BackendNotFound", within_s=60)
    return handle, host


async def settled(ctx: Context, handle: Handle, gateway: Gateway) -> None:
    """Wait until a route is accepted and resolved as it is now."""
    expected = f"{handle} is accepted and its backends resolved, at its current generation"
    await ctx.until(handle, resolved(gateway), expected=expected, within_s=60)


async def change(ctx: Context, handle: Handle, gateway: Gateway, *rules: Rule) -> None:
    """Give a route other rules, and wait until they are accepted and resolved."""
    await ctx.patch(handle, {"spec": {"rules": rules_of(*rules)}})
    await settled(ctx, handle, gateway)


def rules_of(*rules: Rule) -> list[Obj]:
    """Rules as a route's spec has them."""
    return [_rule(found) for found in rules]


def _rule(rule: Rule) -> Obj:
    match: Obj = {"path": {"type": "PathPrefix", "value": rule.path}}
    if rule.headers:
        match["headers"] = [
            {"type": "Exact", "name": name, "value": value} for name, value in sorted(rule.headers.items())
        ]
    backends = [{"name": name, "port": 80, "weight": weight} for name, weight in rule.backends.items()]
    return {"matches": [match], "backendRefs": backends}


def resolved(gateway: Gateway) -> Condition:
    """A condition: the Gateway's controller accepts the route and resolves its backends, at its current generation."""

    def condition(objects: list[Obj]) -> State:
        parent = _parent(objects[0], gateway)
        met = _true(parent, "Accepted") and _true(parent, "ResolvedRefs")
        observed = f"{_words(parent, 'Accepted')}; {_words(parent, 'ResolvedRefs')}"
        generation = objects[0]["metadata"].get("generation")
        return State("met" if met else "waiting", f"{observed}, of generation {generation}" if met else observed)

    return condition


def unresolved(gateway: Gateway) -> Condition:
    """A condition: the Gateway's controller says that a backend of the route does not exist."""

    def condition(objects: list[Obj]) -> State:
        parent = _parent(objects[0], gateway)
        said = _condition(parent, "ResolvedRefs")
        met = said.get("status") == "False" and said.get("reason") == "BackendNotFound"
        return State("met" if met else "waiting", _words(parent, "ResolvedRefs"))

    return condition


def _parent(found: Obj, gateway: Gateway) -> Obj:
    """What the Gateway's controller says about a route, in the form of an object with a status of its own."""
    for parent in found.get("status", {}).get("parents") or []:
        named = parent.get("parentRef", {}).get("name") == gateway.handle.name
        if named and parent.get("controllerName") == gateway.controller:
            return {"metadata": found["metadata"], "status": parent}
    return {"metadata": found["metadata"]}


def _accepted(found: Obj) -> bool:
    return _true(found, "Accepted") and found.get("spec", {}).get("controllerName") not in MESH


def _condition(found: Obj, kind: str) -> Obj:
    """The condition of this type, if it was observed at the current generation; else empty."""
    for said in found.get("status", {}).get("conditions") or []:
        if said.get("type") == kind and said.get("observedGeneration") == found["metadata"].get("generation"):
            return dict(said)
    return {}


def _true(found: Obj, kind: str) -> bool:
    return _condition(found, kind).get("status") == "True"


def _words(found: Obj, kind: str) -> str:
    said = _condition(found, kind)
    if not said:
        return f"no {kind} of the current generation"
    if said["status"] == "True":
        return f"{kind}=True"
    return f"{kind}={said['status']} {said.get('reason', '')}: {said.get('message', '')}"
