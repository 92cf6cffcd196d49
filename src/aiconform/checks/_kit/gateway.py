"""The Gateway API: a class to use, and Gateways and routes of our own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiconform.checks._kit import gateway_service
from aiconform.checks._kit.gateway_status import (
    Gateway,
    accepted,
    only_address_lacks,
    port_refused,
    programmed,
    resolved,
    some_accepted,
    words,
)
from aiconform.engine import Condition, Context, Handle, State, StopProbe, Target, kinds

Obj = dict[str, Any]

API = kinds.GATEWAY.api_version
PORTS = (80, 8080, 8000)
"""Ports of a listener, tried one after another until the class takes one: some classes take few."""
PROGRAMMED_S = 180
SETTLE_S = (60, 300)
"""How long a change of routes may take until requests show it, at least and at most."""
SLOWNESS = 10
"""So many times longer than the Gateway took to be programmed: who needs minutes for that needs minutes for a route."""
_BUNDLE = "gateway.networking.k8s.io/bundle-version"
_CHANNEL = "gateway.networking.k8s.io/channel"


@dataclass(frozen=True)
class Class:
    """An accepted GatewayClass."""

    name: str
    controller: str


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
    """The GatewayClass to use: the one asked for, or by name the first that is accepted and not a mesh's.

    Raises:
        StopProbe: there is none.
    """
    asked = ctx.option("gateway-class")
    expected = f"{f'GatewayClass {asked}' if asked else 'a GatewayClass'} is accepted by its controller"
    seen = await ctx.until(Target(kinds.GATEWAY_CLASS), some_accepted(asked), expected=expected, within_s=60)
    name = next(item["metadata"]["name"] for item in seen if asked in ("", item["metadata"]["name"]) and accepted(item))
    release = await _release(ctx)
    found = await ctx.read_named(kinds.GATEWAY_CLASS, name)
    chosen = Class(name, str(found["spec"]["controllerName"]))
    ctx.expect(
        f"GatewayClass {name} is accepted, at its current generation",
        f"{words(found, 'Accepted')}, by {chosen.controller}",
        ok=accepted(found),
        figures={"GatewayClass": name, "controller": chosen.controller, "Gateway API": release},
    )
    return chosen


async def _release(ctx: Context) -> str:
    """Which release and channel of the Gateway API is installed, as its definitions say."""
    found = await ctx.read_named(kinds.CUSTOM_RESOURCE_DEFINITION, "gatewayclasses.gateway.networking.k8s.io")
    said = found["metadata"].get("annotations") or {}
    return f"{said.get(_BUNDLE, 'release not named')}, {said.get(_CHANNEL, 'not named')} channel"


async def create(ctx: Context, hint: str, of: Class) -> Gateway:
    """Create a Gateway with one HTTP listener for routes of its own namespace, and wait until it is programmed.

    Raises:
        StopProbe: it is not, or has no address.
    """
    asked = ctx.option("gateway-port")
    ports = [int(asked)] if asked else list(PORTS)
    for port in ports:
        handle = await ctx.create(_manifest(ctx.name(hint), of, port))
        expected, begun = f"{handle} is programmed and has an address", ctx.now
        state, seen = await ctx.seen(handle, programmed, expected=expected, within_s=PROGRAMMED_S)
        if not (seen and port_refused(seen[0])) or port == ports[-1]:
            break
        await ctx.delete(handle)
    took_s = ctx.now - begun
    if ctx.option("gateway-address") == "in-cluster":
        address = await _in_cluster(ctx, handle, seen, state)
        return Gateway(handle, of.controller, address, port, _settle_s(took_s, named=False))
    if state.outcome == "blocked" and seen and only_address_lacks(seen[0]):
        raise await _without_address(ctx, handle, expected, state.observed)
    ctx.conclude(state, expected=expected, took_s=took_s, within_s=PROGRAMMED_S)
    address = seen[0]["status"]["addresses"][0]
    named = (address.get("type") or "IPAddress") != "IPAddress"
    return Gateway(handle, of.controller, str(address["value"]), port, _settle_s(took_s, named=named), named)


def _settle_s(took_s: float, *, named: bool) -> int:
    """How long a change of routes may take on a Gateway that was programmed in so many seconds."""
    if named:
        # a load balancer's name is told at once, and takes minutes until it is known everywhere and its targets answer
        return SETTLE_S[1]
    return min(max(SETTLE_S[0], math.ceil(SLOWNESS * took_s)), SETTLE_S[1])


def _manifest(name: str, of: Class, port: int) -> Obj:
    listener = {
        "name": "http",
        "protocol": "HTTP",
        "port": port,
        "allowedRoutes": {"namespaces": {"from": "Same"}},
    }
    return {
        "apiVersion": API,
        "kind": "Gateway",
        "metadata": {"name": name},
        "spec": {"gatewayClassName": of.name, "listeners": [listener]},
    }


async def _in_cluster(ctx: Context, handle: Handle, seen: list[Obj], state: State) -> str:
    """The address of the Gateway's Service in the cluster, as asked for; its own address is then not needed.

    Raises:
        StopProbe: the Gateway is not accepted, or no Service of it was found.
    """
    found = await gateway_service.find(ctx, handle)
    expected = f"{handle} is accepted, and has a Service in the cluster, where requests go as asked for"
    where = f"Service {found.name} at {found.address}" if found else "no Service of it was found"
    accepts = bool(seen) and only_address_lacks(seen[0])
    if accepts and not found:
        raise ctx.undecided(expected, f"{state.observed}; {where}", "its Service carries no label that is known")
    ctx.expect(expected, f"{state.observed}; {where}", ok=accepts)
    return found.address if found else ""


async def _without_address(ctx: Context, handle: Handle, expected: str, observed: str) -> StopProbe:
    """State that no address came, and what there is in the cluster instead; the caller raises what this returns."""
    cause = (
        f"no address within {PROGRAMMED_S} s, which is the load balancer's to give: see that there is one, try another "
        "class with --gateway-class, or send requests to its Service with --gateway-address in-cluster"
    )
    stop = ctx.undecided(expected, observed, cause)
    found = await gateway_service.find(ctx, handle)
    where = f"Service {found.name} at {found.address}" if found else "none with a label that is known"
    ctx.expect(f"the Service of {handle} in the cluster, for --gateway-address in-cluster", where, ok=True)
    return stop


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
        expected = f"{handle} is not resolved: BackendNotFound"
        await ctx.until(handle, until(gateway), expected=expected, within_s=gateway.settle_s)
    return handle, host


async def settled(ctx: Context, handle: Handle, gateway: Gateway) -> None:
    """Wait until a route is accepted and resolved as it is now."""
    expected = f"{handle} is accepted and its backends resolved, at its current generation"
    await ctx.until(handle, resolved(gateway), expected=expected, within_s=gateway.settle_s)


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
