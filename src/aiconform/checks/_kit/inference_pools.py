"""The Gateway API's inference extension: pools of ours, and what implementations say of them."""

from __future__ import annotations

from typing import Any

from aiconform.checks._kit import conformance_report, gateway
from aiconform.checks._kit.conformance_report import SuiteReport
from aiconform.checks._kit.gateway import Class
from aiconform.checks._kit.gateway_status import Gateway
from aiconform.engine import Condition, Context, Facts, Handle, State, Unmet, kinds

Obj = dict[str, Any]

API = kinds.INFERENCE_POOL.api_version
_GROUPS = ("inference.networking.k8s.io", "inference.networking.x-k8s.io")
_BUNDLE = f"{_GROUPS[0]}/bundle-version"
_GATEWAY_BUNDLE = "gateway.networking.k8s.io/bundle-version"
_NEVER = frozenset({"InvalidKind", "HTTPRouteNotAccepted", "NotSupportedByParent", "UnsupportedValue"})
"""Reasons by which an implementation says that it knows no pools."""

HOW = (
    "run the suite in a clone of kubernetes-sigs/gateway-api-inference-extension at the release of this cluster's "
    "definitions, from where the Gateways' addresses are reached: go test ./conformance -timeout 40m -args "
    "-gateway-class NAME -report-output report.yaml (and -organization, -project, -version, -url, -contact); where "
    "it says that the installed CRDs are of another version, first: go get sigs.k8s.io/gateway-api@RELEASE and, from "
    "v1.5.0 on, sigs.k8s.io/gateway-api/conformance@RELEASE; then: aiconform run advanced_inference_ingress "
    "--release 1.36 --gateway-class NAME --import advanced_inference_ingress=report.yaml"
)
"""How somebody comes by what is missing."""


def served(facts: Facts) -> Unmet | None:
    """The extension's pools are served, in their stable version."""
    if API in facts.groups:
        return None
    older = sorted(group for group in facts.groups if group.partition("/")[0] in _GROUPS)
    if older:
        return Unmet("undecided", f"the API server serves {', '.join(older)}, and not {API}: {HOW}")
    return Unmet("not run", f"the API server does not serve {API}: no inference extension is installed")


async def create(ctx: Context, of: Gateway) -> tuple[Handle, Handle]:
    """Create a pool, and a route from a Gateway of ours to it; returns both.

    Nothing serves: the Service that is to pick endpoints has none. Only what the implementation says is looked at.
    """
    picker, app = ctx.name("picker"), ctx.name("model")
    labels = {"app.kubernetes.io/name": picker}
    port = {"port": 9002, "targetPort": 9002, "appProtocol": "http2"}
    await ctx.create(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": picker},
            "spec": {"selector": labels, "ports": [port]},
        }
    )
    spec = {
        "selector": {"matchLabels": {"app.kubernetes.io/name": app}},
        "targetPorts": [{"number": 8000}],
        "endpointPickerRef": {"name": picker, "port": {"number": 9002}},
    }
    pool = await ctx.create(
        {"apiVersion": API, "kind": "InferencePool", "metadata": {"name": ctx.name("pool")}, "spec": spec}
    )
    backend = {"group": _GROUPS[0], "kind": "InferencePool", "name": pool.name}
    name = ctx.name("to-pool")
    route = await ctx.create(
        {
            "apiVersion": gateway.API,
            "kind": "HTTPRoute",
            "metadata": {"name": name},
            "spec": {
                "parentRefs": [{"name": of.handle.name}],
                "hostnames": [f"{name}.test"],
                "rules": [{"backendRefs": [backend]}],
            },
        }
    )
    return pool, route


def resolved(of: Gateway) -> Condition:
    """A condition: the Gateway's controller resolves the route's pool; wrong once it says that it knows no pools."""

    def condition(objects: list[Obj]) -> State:
        said = [_condition(parent, "ResolvedRefs") for parent in _parents(objects[0], of)]
        return _judged(said, "the route")

    return condition


def accepted(of: Gateway) -> Condition:
    """A condition: the pool is accepted for the Gateway."""

    def condition(objects: list[Obj]) -> State:
        said = [_condition(parent, "Accepted") for parent in _parents(objects[0], of)]
        return _judged(said, "the pool")

    return condition


def _parents(found: Obj, of: Gateway) -> list[Obj]:
    parents = found.get("status", {}).get("parents") or []
    return [parent for parent in parents if parent.get("parentRef", {}).get("name") == of.handle.name]


def _condition(parent: Obj, kind: str) -> Obj:
    return next((one for one in parent.get("conditions") or [] if one.get("type") == kind), {})


def _judged(said: list[Obj], what: str) -> State:
    for one in said:
        words = f"{what}: {one.get('type')} {one.get('status')} ({one.get('reason')}): {one.get('message', '')}"
        if one.get("status") == "True":
            return State("met", words)
        if one.get("reason") in _NEVER:
            return State("wrong", words)
        if one:
            return State("waiting", words)
    return State("waiting", f"the implementation says nothing of {what}")


async def report(ctx: Context) -> SuiteReport:
    """The report that the user gave.

    Raises:
        StopProbe: none was given, or it cannot be read as one (undecided).
    """
    expected = "a report of the inference extension's conformance suite"
    data = await ctx.imported()
    if data is None:
        raise ctx.undecided(expected, "none was given", HOW)
    try:
        return conformance_report.parse(data)
    except ValueError as problem:
        raise ctx.undecided(expected, f"a file of {len(data)} bytes", f"it is no such report: {problem}") from problem


async def is_of_this_cluster(ctx: Context, found: SuiteReport, of: Class) -> None:
    """The report is of the releases that are installed here, and of the class' implementation.

    Raises:
        StopProbe: it is not, or does not say (undecided).
    """
    pools = await _annotation(ctx, "inferencepools.inference.networking.k8s.io", _BUNDLE)
    api = await _annotation(ctx, "gateways.gateway.networking.k8s.io", _GATEWAY_BUNDLE)
    same = bool(pools and api) and (found.suite, found.gateway_api) == (pools, api) and found.is_of(of.controller)
    expected = f"a report of {pools or 'an unnamed release'} on Gateway API {api or 'unnamed'}, by {of.controller}"
    observed = f"{found}; on Gateway API {found.gateway_api}"
    if not same:
        raise ctx.undecided(expected, observed, "the report is of something else than is installed here")
    ctx.expect(expected, observed, ok=True, figures={"GatewayClass": of.name})


async def _annotation(ctx: Context, definition: str, key: str) -> str:
    found = await ctx.read_named(kinds.CUSTOM_RESOURCE_DEFINITION, definition)
    return str((found["metadata"].get("annotations") or {}).get(key, ""))
