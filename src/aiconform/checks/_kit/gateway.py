"""The Gateway API: a class to use, and Gateways and routes of our own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiconform.checks._kit.gateway_status import Gateway, accepted, programmed, resolved, some_accepted, words
from aiconform.engine import Condition, Context, Handle, Target, kinds

Obj = dict[str, Any]

API = kinds.GATEWAY.api_version
PORT = 80
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
    """The GatewayClass to use, by name the first that is accepted and not a mesh's, once there is one.

    Raises:
        StopProbe: there is none.
    """
    seen = await ctx.until(
        Target(kinds.GATEWAY_CLASS), some_accepted, expected="a GatewayClass is accepted by its controller", within_s=60
    )
    name = next(item["metadata"]["name"] for item in seen if accepted(item))
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
