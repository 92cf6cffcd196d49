"""An AI operator, whichever it is: it is installed, and its own webhook refuses what is wrong.

What is known of one product is in its adapter (``operator_kuberay``), an :class:`Operator`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aiconform.checks._kit.operator_webhooks import Hook, attributed, own_hooks
from aiconform.engine import Choice, Condition, Context, Facts, Handle, RefusedError, State, Target, Unmet, kinds
from aiconform.engine.kinds import Kind

Obj = dict[str, Any]

READY_S = 60


@dataclass(frozen=True)
class Operator:
    """What is known of an AI operator.

    Attributes:
        name: the product's.
        kind: its main custom resource.
        definitions: kinds that it must serve.
        selectors: labels by which upstream's charts and manifests mark its Deployments, tried one after another.
        no_webhook: why a pod of it serves no webhook, in words for the page; empty if it does.
        twins: two manifests of its kind that differ by one mistake, which the schema permits: a good one, which costs
            nothing, and a wrong one.
        mistake: how a refusal names that mistake.
        start: makes an object of its kind and waits until it is reconciled.
        compute: has it do distributed work.
        disturb: destroys a part of it and waits until the operator has put it right.
        finalize: makes an object that the operator holds on to until it is done with it, and deletes it.
        remove: deletes the object, and waits until all that was made for it is gone.
        rights: what a check that tries it must be allowed, beside what all need (:mod:`aiconform.engine.rights`).
    """

    name: str
    kind: Kind
    definitions: tuple[str, ...]
    selectors: tuple[str, ...]
    no_webhook: Callable[[Obj], str]
    twins: Callable[[Context], tuple[Obj, Obj]]
    mistake: str
    start: Callable[[Context], Awaitable[None]]
    compute: Callable[[Context], Awaitable[None]]
    disturb: Callable[[Context], Awaitable[None]]
    finalize: Callable[[Context], Awaitable[None]]
    remove: Callable[[Context], Awaitable[None]]
    rights: tuple[str, ...]

    @property
    def definition(self) -> str:
        """Name of the definition of its kind."""
        return f"{self.kind.plural}.{self.kind.api_version.partition('/')[0]}"


def need(known: Sequence[Operator]) -> Callable[[Facts], Unmet | None]:
    """Some operator that is known serves its API."""

    def needed(facts: Facts) -> Unmet | None:
        if _found(facts, known):
            return None
        asked = facts.option("operator")
        wanted = [operator for operator in known if asked in ("", _option(operator))]
        names = ", ".join(f"{operator.name} ({operator.kind.api_version})" for operator in wanted)
        which = "the AI operator that is asked for" if asked else "none of the AI operators that are known"
        return Unmet("not run", f"the API server {'does not serve' if asked else 'serves'} {which}: {names}")

    return needed


def rights(known: Sequence[Operator]) -> Choice:
    """What a check must be allowed to try the one that is tried."""

    def needed(operators: Sequence[Operator]) -> tuple[str, ...]:
        named = [f"get customresourcedefinitions.apiextensions.k8s.io={one.definition}" for one in operators]
        return (*named, *(line for one in operators for line in one.rights))

    return Choice(needed(known), lambda facts: needed(_found(facts, known)[:1]))


def chosen(ctx: Context, known: Sequence[Operator]) -> Operator:
    """The operator that is tried: the first that is there. The check's need has made sure that one is."""
    return _found(ctx.facts, known)[0]


def others(ctx: Context, known: Sequence[Operator]) -> list[Operator]:
    """The operators that are there beside the one that is tried, and could be asked for instead."""
    there = [one for one in known if one.kind.api_version in ctx.facts.groups]
    return [one for one in there if one.name != chosen(ctx, known).name]


def _option(operator: Operator) -> str:
    return operator.name.lower().replace(" ", "-")


def _found(facts: Facts, known: Sequence[Operator]) -> list[Operator]:
    """The operators whose API is served; the one that was asked for, where one was."""
    asked = facts.option("operator")
    return [one for one in known if asked in ("", _option(one)) and one.kind.api_version in facts.groups]


async def installed(ctx: Context, operator: Operator) -> None:
    """Its definitions are established, its other kinds served, and its pods ready."""
    await _served(ctx, operator)
    deployments = await _deployments(ctx, operator)
    expected = f"the pods of {operator.name} are ready"
    if not deployments:
        observed = f"no Deployment labelled {' or '.join(operator.selectors)}"
        raise ctx.undecided(expected, observed, f"cannot tell which pods are {operator.name}'s")
    ctx.memo["pods"] = []
    for deployment in deployments:
        meta, labels = deployment["metadata"], deployment["spec"]["selector"].get("matchLabels") or {}
        where = Target(kinds.POD, meta["namespace"], labels)
        ctx.memo["pods"] += await ctx.until(where, _ready(meta["name"]), expected=expected, within_s=READY_S)


async def _deployments(ctx: Context, operator: Operator) -> list[Obj]:
    for selector in operator.selectors:
        if found := await ctx.list(kinds.DEPLOYMENT, selector=selector):
            return found
    return []


async def _served(ctx: Context, operator: Operator) -> None:
    group, kind = operator.kind.api_version, operator.kind
    definition = await ctx.read_named(kinds.CUSTOM_RESOURCE_DEFINITION, operator.definition)
    conditions = {item["type"]: item["status"] for item in definition.get("status", {}).get("conditions") or ()}
    ctx.expect(
        f"{kind.kind} is Established",
        f"Established {conditions.get('Established', 'not told')}, NamesAccepted {conditions.get('NamesAccepted')}",
        ok=conditions.get("Established") == conditions.get("NamesAccepted") == "True",
    )
    served = {item["kind"] for item in (await ctx.get(f"/apis/{group}")).get("resources") or ()}
    missing = [name for name in operator.definitions if name not in served]
    observed = ", ".join(sorted(served)) + (f"; not {', '.join(missing)}" if missing else "")
    ctx.expect(f"{group} serves {', '.join(operator.definitions)}", observed, ok=not missing)


def _ready(name: str) -> Condition:
    def ready(objects: list[Obj]) -> State:
        alive = [pod for pod in objects if not _is_over(pod)]
        good = [pod["metadata"]["name"] for pod in alive if is_ready(pod)]
        observed = f"{len(good)} of {len(alive)} pods of deployment {name} are ready"
        images = {c["image"] for pod in alive for c in pod["spec"]["containers"]}
        figures = (("image", ", ".join(sorted(images))),) if images else ()
        return State("met" if good and len(good) == len(alive) else "waiting", observed, figures)

    return ready


def _is_over(pod: Obj) -> bool:
    """Whether a pod goes or has ended: evicted ones stay beside those that took their places."""
    ended = pod.get("status", {}).get("phase") in ("Failed", "Succeeded")
    return ended or bool(pod["metadata"].get("deletionTimestamp"))


def is_ready(pod: Obj) -> bool:
    """Whether a pod is Ready and stays."""
    conditions = pod.get("status", {}).get("conditions") or ()
    ready = any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
    return ready and not pod["metadata"].get("deletionTimestamp")


async def refuses(ctx: Context, operator: Operator, beside: Sequence[Operator] = ()) -> None:
    """Of two objects that differ by one mistake, one is accepted and the other denied by the operator's own webhook.

    Args:
        ctx: the probe's context.
        operator: that is tried.
        beside: operators that could be tried instead, to be named where this one serves no webhook.
    """
    expected = (
        f"a validating webhook that {operator.name}'s own pods answer is called for every new {operator.kind.kind}"
    )
    hooks = await own_hooks(ctx, operator.kind, ctx.memo["pods"])
    why_none = operator.no_webhook(ctx.memo["pods"][0])
    if not hooks and why_none:
        cause = f"{operator.name} runs without its webhook{_instead(beside)}"
        raise ctx.undecided(expected, f"none is configured; {why_none}", cause)
    ctx.expect(
        expected, _listed(hooks), ok=bool(hooks), cause="" if hooks else "its pods serve one, but it is not asked"
    )
    good, wrong = operator.twins(ctx)
    twin = await _accepted(ctx, good, hooks)
    await ctx.delete(twin)
    denial = attributed(await ctx.refused(wrong), hooks)
    expected = f"denied by {' or '.join(hook.name for hook in hooks)} for {operator.mistake}"
    if denial.by == "foreign":
        cause = f"{denial.who} is not {operator.name}'s, and {operator.name}'s own word was not heard"
        raise ctx.undecided(expected, denial.message, cause)
    # products share names of webhooks (Kueue's for RayClusters is called like KubeRay's): what is denied must fit too
    right = denial.by == "own" and operator.mistake in denial.message
    cause = "" if right else f"refused by {denial.who}, not by {operator.name}'s webhook for that mistake"
    ctx.expect(expected, denial.message, ok=right, cause=cause, figures={"webhook": denial.who})


def _instead(beside: Sequence[Operator]) -> str:
    if not beside:
        return ""
    names, options = ", ".join(one.name for one in beside), " or ".join(map(_option, beside))
    return f"; found too: {names}, tried by --operator {options}"


async def make(ctx: Context, operator: str, manifest: Obj) -> Handle:
    """Create a right object; where the operator's own webhook refuses it or cannot be called, that is what is wrong.

    Raises:
        StopProbe: it is the operator's fault (failed).
        RefusedError: somebody else refused it, which says nothing about the operator.
    """
    try:
        return await ctx.create(manifest)
    except RefusedError as refusal:
        hooks = await own_hooks(ctx, kinds.of(manifest), ctx.memo.get("pods") or (), mutating=True)
        seen = attributed(refusal, hooks)
        if seen.by in ("own", "silent"):
            what = "refuses a right object" if seen.by == "own" else "cannot be called"
            name = f"{manifest['kind']} {manifest['metadata']['name']}"
            cause = f"{operator}'s own webhook {seen.who} {what}"
            ctx.expect(f"{name} is accepted", seen.message, ok=False, cause=cause)
        raise


async def _accepted(ctx: Context, manifest: Obj, hooks: Sequence[Hook]) -> Handle:
    """Create what must be accepted; where the operator's own webhook cannot be called, that is what is wrong."""
    expected = f"the same {manifest['kind']} without the mistake is accepted"
    try:
        handle = await ctx.create(manifest)
    except RefusedError as refusal:
        seen = attributed(refusal, hooks)
        if seen.by == "silent":
            ctx.expect(expected, seen.message, ok=False, cause=f"webhook {seen.who} cannot be called")
        raise
    ctx.expect(expected, f"{handle} was accepted", ok=True)
    return handle


def _listed(hooks: Sequence[Hook]) -> str:
    found = [f"{hook.name} of {hook.configuration}, by service {hook.service} ({hook.policy})" for hook in hooks]
    return "; ".join(found) or "none is configured"
