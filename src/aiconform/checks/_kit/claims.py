"""Claims of Dynamic Resource Allocation: making them, and what a granted one shows (KEP-4381)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from aiconform.catalog import accelerators
from aiconform.checks._kit import pods, script
from aiconform.checks._kit.script import Script
from aiconform.engine import (
    Choice,
    Context,
    DraDriver,
    Explain,
    Facts,
    Handle,
    RefusedError,
    State,
    Unmet,
    kinds,
    needs,
)

Obj = dict[str, Any]

_RIGHTS = (
    "create delete list watch resourceclaimtemplates.resource.k8s.io",
    "?list resourceclaims.resource.k8s.io events.events.k8s.io",
)
RIGHTS = Choice(_RIGHTS, lambda facts: _RIGHTS if _claimed(facts) else ())
"""What a check needs where its pods get accelerators by claims."""
_DEVICES = ("list resourceslices.resource.k8s.io",)
DEVICES = Choice(_DEVICES, lambda facts: _DEVICES if _claimed(facts) else ())
"""What one needs, beside that, that looks again at what drivers offer."""
KINDS = ("DeviceClass", "ResourceClaim", "ResourceClaimTemplate", "ResourceSlice")
VERBS = ("create", "delete", "get", "list", "patch", "update")

GROUP = "resource.k8s.io"
VERSIONS = ("v1", "v1beta2", "v1beta1")
"""Versions of the API, newest first. Releases before 1.34 serve betas alone, and only where somebody asked for them."""

WITH = "claims"
WITHOUT = "claims-not"

_SEEN = 'env | sort | sed "s/=/ is /; s/^/seen=/"; for d in /dev/*; do echo "seen=$d"; done'


@dataclass(frozen=True)
class ClaimingPod:
    """A pod with a claim, and a second container that does not use it. ``claim`` is set where it is a standing one."""

    handle: Handle
    script: Script
    claim: Handle | None = None


@dataclass(frozen=True)
class Granted:
    """A claim that was allocated: the pod, the claim made for it, and the device as driver/pool/name."""

    pod: ClaimingPod
    claim: Handle
    device: str


def _claimed(facts: Facts) -> bool:
    """Whether accelerators are asked for by claims: those that are there, or those of nodes that a pool would bring."""
    return bool(facts.claimable) or any(pool.device_class for pool in facts.pools)


def version(facts: Facts) -> str:
    """The newest version of the API that is served, such as ``resource.k8s.io/v1``; empty if none is."""
    return next((f"{GROUP}/{one}" for one in VERSIONS if f"{GROUP}/{one}" in facts.groups), "")


def served(facts: Facts) -> Unmet | None:
    """The API is served in some version."""
    return None if version(facts) else needs.api(f"{GROUP}/{VERSIONS[0]}")(facts)


def claimable(facts: Facts) -> Unmet | None:
    """Devices can be claimed by us: in the stable version, of a driver that offers some."""
    if version(facts) == f"{GROUP}/{VERSIONS[0]}":
        return needs.dra(facts)
    return Unmet(
        "undecided",
        f"{version(facts)} is served, a beta, by which nothing is claimed here; show by hand that a claim of that "
        "version is allocated to one pod, and given back",
    )


async def served_kinds(ctx: Context) -> dict[str, tuple[str, ...]]:
    """The kinds of the API's newest version that are served, with their verbs."""
    listed = await ctx.get(f"/apis/{version(ctx.facts)}")
    found = {
        str(item.get("kind")): tuple(sorted(item.get("verbs") or []))
        for item in listed.get("resources") or []
        if "/" not in str(item.get("name"))
    }
    return {kind: found[kind] for kind in KINDS if kind in found}


def missing_verbs(served: dict[str, tuple[str, ...]]) -> str:
    """What is missing of the four kinds and their verbs, in words; empty if nothing."""
    gaps = [f"{kind} is not served" for kind in KINDS if kind not in served]
    for kind, verbs in served.items():
        lacking = [verb for verb in VERBS if verb not in verbs]
        if lacking:
            gaps.append(f"{kind} lacks {', '.join(lacking)}")
    return "; ".join(gaps)


async def claiming_pod(ctx: Context, hint: str, *, expression: str = "") -> ClaimingPod:
    """Create a template and a pod that claims one device through it; ``expression`` narrows the device by CEL."""
    name = await template(ctx, hint, _driver(ctx).device_class, expression=expression)
    return await _pod(ctx, hint, {"resourceClaimTemplateName": name})


async def template(ctx: Context, hint: str, device_class: str, number: int = 1, *, expression: str = "") -> str:
    """Create a template for claims of so many devices of a class; returns its name."""
    name = ctx.name(hint)
    await ctx.create(
        {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "ResourceClaimTemplate",
            "metadata": {"name": name},
            "spec": {"spec": _devices(device_class, number, expression)},
        }
    )
    return name


async def standing_claim(ctx: Context, hint: str) -> Handle:
    """Create a claim that belongs to no pod, so it outlives the pods that use it."""
    meta, spec = {"name": ctx.name(hint)}, _devices(_driver(ctx).device_class)
    return await ctx.create(
        {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "metadata": meta, "spec": spec}
    )


async def pod_on(ctx: Context, hint: str, claim: Handle) -> ClaimingPod:
    """Create a pod that uses a standing claim."""
    pod = await _pod(ctx, hint, {"resourceClaimName": claim.name})
    return replace(pod, claim=claim)


def _devices(device_class: str, number: int = 1, expression: str = "") -> Obj:
    request: Obj = {"deviceClassName": device_class, "allocationMode": "ExactCount", "count": number}
    if expression:
        request["selectors"] = [{"cel": {"expression": expression}}]
    return {"devices": {"requests": [{"name": "device", "exactly": request}]}}


async def _pod(ctx: Context, hint: str, source: dict[str, str]) -> ClaimingPod:
    look = script.script(ctx, _SEEN)
    manifest = pods.pod(
        ctx,
        hint,
        pods.Container(WITH, look, claims=("device",)),
        pods.Container(WITHOUT, look),
        claims={"device": source},
    )
    return ClaimingPod(await ctx.create(manifest), look)


def _driver(ctx: Context) -> DraDriver:
    driver = needs.dra_driver(ctx.facts)
    if driver is None:
        raise ctx.undecided("a DRA driver with devices", "none", "no driver offers a device that pods can reach")
    return driver


async def granted(ctx: Context, pod: ClaimingPod) -> Granted:
    """Wait until the pod runs, and hold its claim against what its containers see."""
    driver = _driver(ctx)
    seen = await ctx.until(
        pod.handle,
        pods.running,
        expected=f"{pod.handle} runs with its claim",
        within_s=120,
        explain=who_holds(ctx, pod.handle, driver.name, driver.ids),
    )
    await ctx.show([pod.handle])
    claim = await (ctx.read(pod.claim) if pod.claim else _made_for(ctx, pod, seen[0]))
    status, results = claim.get("status") or {}, _results(claim)
    reserved = [user.get("uid") for user in status.get("reservedFor") or []]
    devices = [f"{found['driver']}/{found['pool']}/{found['device']}" for found in results]
    ctx.expect(
        f"one device of {_driver(ctx).name} allocated, reserved for the pod",
        f"allocated: {', '.join(devices) or 'nothing'}; reserved for {len(reserved)}",
        ok=len(results) == 1 and results[0]["driver"] == _driver(ctx).name and reserved == [pod.handle.uid],
    )
    await _sees_its_device(ctx, pod, str(results[0]["device"]))
    meta = claim["metadata"]
    handle = Handle(kinds.RESOURCE_CLAIM, pod.handle.namespace, meta["name"], meta["uid"])
    return Granted(pod, handle, devices[0])


async def _made_for(ctx: Context, pod: ClaimingPod, seen: Obj) -> Obj:
    """The claim that was made for this pod, and not one of the same name from another time."""
    names = [found.get("resourceClaimName") for found in seen["status"].get("resourceClaimStatuses") or []]
    if len(names) != 1 or not names[0]:
        raise ctx.undecided("one claim made for the pod", f"{len(names)}", "the claim was never made")
    claim = await ctx.read_named(kinds.RESOURCE_CLAIM, str(names[0]), pod.handle.namespace)
    owners = [owner.get("uid") for owner in claim["metadata"].get("ownerReferences") or []]
    if owners != [pod.handle.uid]:
        raise ctx.undecided("a claim that belongs to the pod", f"{len(owners)} owners", "not the pod's own claim")
    return claim


async def _sees_its_device(ctx: Context, pod: ClaimingPod, device: str) -> None:
    """What the claiming container has that its sibling, same pod, same image, has not."""
    mine = set((await script.report(ctx, pod.handle, WITH, pod.script)).all("seen"))
    sibling = set((await script.report(ctx, pod.handle, WITHOUT, pod.script)).all("seen"))
    more = sorted(mine - sibling)
    kind = accelerators.by_driver(_driver(ctx).name)
    variable = kind.dra.variable if kind and kind.dra else ""
    named = [line for line in more if variable and re.fullmatch(f"{variable} is {re.escape(device)}", line)]
    nodes = [line for line in more if line.startswith("/dev/")]
    ctx.expect(
        "the claiming container sees its device, its sibling does not",
        f"only the claiming container has: {'; '.join(named + nodes) or 'nothing'}",
        ok=bool(sibling) and bool(named or nodes),
        figures={
            WITH: f"{len(mine)} variables and device nodes",
            WITHOUT: f"{len(sibling)} variables and device nodes",
        },
    )


def who_holds(ctx: Context, pod: Handle, driver: str, devices: Sequence[str]) -> Explain:
    """Look further where a pod with a claim does not run.

    Devices that are all allocated to others say nothing about the requirement; a device that is free and was not
    allocated does, and so does a driver that does not prepare what was allocated. ``devices`` are those that the pod
    could be given, as pool/name.
    """

    async def look(state: State) -> State:
        if _NO_DEVICE in state.observed:
            return await _allocations(ctx, state, driver, devices)
        if state.outcome == "blocked":
            events = await ctx.list(kinds.EVENT, pod.namespace, fields=f"regarding.name={pod.name}")
            told = [str(event.get("note")) for event in events if event.get("reason") == _NOT_PREPARED]
            if told:
                return State("wrong", f"{state.observed}; {_NOT_PREPARED}: {told[-1]}")
        return state

    return look


_NO_DEVICE = "cannot allocate all claims"
_NOT_PREPARED = "FailedPrepareDynamicResources"


async def _allocations(ctx: Context, state: State, driver: str, devices: Sequence[str]) -> State:
    try:
        found = await ctx.list(kinds.RESOURCE_CLAIM)
    except RefusedError as refused:
        return State("blocked", f"{state.observed}; who holds devices of {driver} cannot be read: {refused.cause}")
    held = {
        device: f"{claim['metadata'].get('namespace')}/{claim['metadata']['name']}"
        for claim in found
        for result in _results(claim)
        if result["driver"] == driver and (device := f"{result['pool']}/{result['device']}") in devices
    }
    holders = ", ".join(f"{device} by {claim}" for device, claim in sorted(held.items())) or "none"
    told = f"{state.observed}; {len(held)} of {len(devices)} devices of {driver} are allocated: {holders}"
    return State("blocked" if len(held) >= len(devices) else "waiting", told)


def _results(claim: Obj) -> list[Obj]:
    allocation = (claim.get("status") or {}).get("allocation") or {}
    return list((allocation.get("devices") or {}).get("results") or [])


async def unallocated(ctx: Context, pod: ClaimingPod) -> None:
    """The claim made for a pod holds no device."""
    claim = await _made_for(ctx, pod, await ctx.read(pod.handle))
    allocation = (claim.get("status") or {}).get("allocation")
    ctx.expect("its claim holds no device", "no allocation" if not allocation else "an allocation", ok=not allocation)


def free(objects: list[Obj]) -> State:
    """A standing claim is there and holds no device for anybody."""
    if not objects:
        return State("nothing", "no claim to look at")
    status = objects[0].get("status") or {}
    if status.get("allocation") or status.get("reservedFor"):
        return State("waiting", f"{objects[0]['metadata']['name']} is still allocated")
    return State("met", f"{objects[0]['metadata']['name']} is there and holds no device")
