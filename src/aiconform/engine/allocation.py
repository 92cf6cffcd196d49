"""By which way a run asks for accelerators: by claims (DRA) or by extended resources (device plugin).

The rule. For each kind of accelerator in the vendor tables one way is chosen, once for a run:

* DRA can be used where :mod:`aiconform.engine.slices` finds devices that containers see as device nodes. The example
  driver's devices are none: they serve ``dra_support`` alone and never stand in for another vendor's accelerators.
* A device plugin can be used where a Ready node that takes our pods has the resource allocatable, unless a DeviceClass
  names that resource in ``spec.extendedResourceName``: then a DRA driver would answer. If the DeviceClasses cannot be
  listed, nobody knows, and no device plugin is used.
* ``auto`` takes DRA where it can be used, else the device plugin; the other modes take their own way or nothing.

What is seen and not used is recorded with its reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from aiconform.engine.nodeviews import Obj, name
from aiconform.engine.offers import AcceleratorNode

Mode = Literal["auto", "dra", "device-plugin"]


def mode(options: Mapping[str, str]) -> Mode:
    """The way that a run was told to take (option ``allocation``), or auto."""
    told = options.get("allocation", "auto")
    return "dra" if told == "dra" else "device-plugin" if told == "device-plugin" else "auto"


@dataclass(frozen=True)
class Chosen:
    """What a run uses.

    Attributes:
        by_resource, by_claim: accelerators that are used, by the way they are asked for.
        ways: in words, which way for which kind.
        unused: what is not used, and why.
        refused: of these, what a device plugin offers and may not be asked for.
    """

    by_resource: tuple[AcceleratorNode, ...]
    by_claim: tuple[AcceleratorNode, ...]
    ways: tuple[str, ...]
    unused: tuple[str, ...]
    refused: tuple[str, ...]


def choose(
    mode: Mode,
    plugin: Sequence[AcceleratorNode],
    dra: Sequence[AcceleratorNode],
    classes: Sequence[Obj],
    *,
    unreadable: str = "",
) -> Chosen:
    """Choose for each kind.

    Args:
        mode: what was asked for.
        plugin: what device plugins offer.
        dra: what DRA drivers offer.
        classes: DeviceClass objects.
        unreadable: why they cannot be read; empty if they can.
    """
    answered = _answered(classes)
    by_resource: list[AcceleratorNode] = []
    by_claim: list[AcceleratorNode] = []
    ways: list[str] = []
    unused: list[str] = []
    refused: list[str] = []
    for kind in sorted({found.kind.words for found in (*plugin, *dra)}):
        claims = [found for found in dra if found.kind.words == kind]
        offers = [found for found in plugin if found.kind.words == kind]
        if claims and mode != "device-plugin":
            by_claim += claims
            ways.append(f"{kind} by DRA ({', '.join(sorted({found.resource for found in claims}))})")
            unused += [f"{found.words}: {kind} devices are asked for by DRA" for found in offers]
            continue
        unused += [f"{found.words}: --allocation device-plugin" for found in claims]
        if mode == "dra":
            unused += [f"{found.words}: --allocation dra" for found in offers]
            continue
        barred = [(found, why) for found in offers if (why := _barred(found, answered, unreadable))]
        refused += [f"{found.words}: {why}" for found, why in barred]
        allowed = [found for found in offers if not _barred(found, answered, unreadable)]
        by_resource += allowed
        if allowed:
            ways.append(f"{kind} by device plugin ({', '.join(sorted({found.resource for found in allowed}))})")
    order = {id(found): number for number, found in enumerate(plugin)}
    by_resource.sort(key=lambda found: order[id(found)])
    return Chosen(tuple(by_resource), tuple(by_claim), tuple(ways), (*unused, *refused), tuple(refused))


def _answered(classes: Iterable[Obj]) -> Mapping[str, str]:
    """DeviceClass by extended resource that DRA answers for."""
    found = ((str((item.get("spec") or {}).get("extendedResourceName", "")), name(item)) for item in classes)
    return {resource: item for resource, item in found if resource}


def _barred(found: AcceleratorNode, answered: Mapping[str, str], unreadable: str) -> str:
    if unreadable:
        return f"whether DRA would answer is not known: {unreadable}"
    if found.resource in answered:
        return f"DeviceClass {answered[found.resource]} makes DRA answer for it"
    return ""
