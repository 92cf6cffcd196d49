"""Whose webhook refused an object: the operator's own, somebody else's, or no webhook at all."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from aiconform.checks._kit import selectors
from aiconform.engine import Context, RefusedError, kinds
from aiconform.engine.kinds import Kind

Obj = dict[str, Any]

_DENIED = re.compile(r'admission webhook "([^"]+)" denied the request')
_SILENT = re.compile(r'failed calling webhook "([^"]+)"')


@dataclass(frozen=True)
class Hook:
    """A webhook that is called for an operator's objects and answered by the operator's own pods."""

    name: str
    configuration: str
    service: str
    policy: str


@dataclass(frozen=True)
class Refusal:
    """Who refused an object, and in which words.

    ``own``: a webhook of the operator's. ``silent``: such a webhook could not be called. ``foreign``: another webhook.
    ``other``: the schema, authorization, a policy, or a webhook of somebody else's that could not be called.
    """

    by: Literal["own", "silent", "foreign", "other"]
    who: str
    message: str


async def own_hooks(ctx: Context, kind: Kind, pods: Sequence[Obj], *, mutating: bool = False) -> list[Hook]:
    """The webhooks called when an object of this kind is made whose Service selects these pods.

    Args:
        ctx: the probe's context.
        kind: of the object.
        pods: the operator's.
        mutating: with those that change objects; else those alone that judge them.
    """
    if not pods:
        return []
    namespace = pods[0]["metadata"]["namespace"]
    labels = [pod["metadata"].get("labels") or {} for pod in pods if pod["metadata"]["namespace"] == namespace]
    services = {
        service["metadata"]["name"]
        for service in await ctx.list(kinds.SERVICE, namespace)
        if any(_leads(service, one) for one in labels)
    }
    configurations = await ctx.list(kinds.VALIDATING_WEBHOOKS)
    if mutating:
        configurations += await ctx.list(kinds.MUTATING_WEBHOOKS)
    return [hook for found in configurations for hook in hooks_of(found, kind, namespace, services)]


def hooks_of(configuration: Obj, kind: Kind, namespace: str, services: Container[str]) -> Iterable[Hook]:
    """The webhooks of a configuration that are called for new objects of a kind and answered by one of the Services."""
    for hook in configuration.get("webhooks") or ():
        service = hook.get("clientConfig", {}).get("service") or {}
        own = service.get("namespace") == namespace and service.get("name", "") in services
        # the API server then also calls a webhook that names another version of the kind
        any_version = hook.get("matchPolicy") == "Equivalent"
        if own and any(_covers(rule, kind, any_version=any_version) for rule in hook.get("rules") or ()):
            name = f"{namespace}/{service['name']}"
            yield Hook(hook["name"], configuration["metadata"]["name"], name, hook.get("failurePolicy", "Fail"))


def attributed(refusal: RefusedError, own: Sequence[Hook]) -> Refusal:
    """Who refused, by the API server's own words."""
    names = {hook.name for hook in own}
    denied, silent = _DENIED.search(refusal.message), _SILENT.search(refusal.message)
    if denied:
        return Refusal("own" if denied[1] in names else "foreign", denied[1], refusal.message)
    if silent and silent[1] in names:
        return Refusal("silent", silent[1], refusal.message)
    return Refusal("other", f"{refusal.status} {refusal.reason or 'error'}", refusal.message)


def _leads(service: Obj, labels: Mapping[str, str]) -> bool:
    wanted = service["spec"].get("selector")
    return bool(wanted) and selectors.matches({"matchLabels": wanted}, labels)


def _covers(rule: Obj, kind: Kind, *, any_version: bool) -> bool:
    group, _, version = kind.api_version.rpartition("/")
    return (
        _names(rule.get("apiGroups"), group)
        and (any_version or _names(rule.get("apiVersions"), version))
        and _names(rule.get("resources"), kind.plural)
        and _names(rule.get("operations"), "CREATE")
    )


def _names(listed: Iterable[str] | None, wanted: str) -> bool:
    return any(item in ("*", "*/*", wanted) for item in listed or ())
