"""Fast networks beside the cluster's own: who offers them, and what the cluster is told of their devices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aiconform.engine import Context, DraDriver, Facts, Unmet, kinds

Obj = dict[str, Any]

DRIVERS: Mapping[str, str] = {
    "dra.net": "DRANET",
    "sriovnetwork.k8snetworkplumbingwg.io": "the SR-IOV network DRA driver",
    "dra.cni.dev": "the CNI DRA driver",
}
"""DRA drivers whose devices are network interfaces."""

ATTACHMENTS = "k8s.cni.cncf.io/v1"
"""API of NetworkAttachmentDefinitions (Multus and others)."""

TRAITS = (
    "type",
    "encapsulation",
    "linkType",
    "mtu",
    "speed",
    "bandwidth",
    "rdma",
    "pciAddress",
    "pcieRoot",
    "numaNode",
)
"""Endings of attribute names that tell a workload which network it gets."""

_BY_HAND = (
    "show by hand: a pod that asks has a second interface (ip link); its type, bandwidth, RDMA, PCI address or NUMA "
    "node can be asked of the cluster; a pod that asks for what no node has stays pending; two pods exchange data over "
    "it, seen by the bytes of that interface (ip -s link)"
)
HOW = f"it was not tried: this version knows no addresses of such networks, and moves no interface; {_BY_HAND}"


def offered(facts: Facts) -> Unmet | None:
    """Something offers pods further network interfaces.

    Whether workloads need any is not to be seen; so that nothing offers them is no reason for ``n/a``.
    """
    if drivers(facts) or ATTACHMENTS in facts.groups:
        return None
    known = ", ".join(DRIVERS)
    gaps = f" ({'; '.join(facts.gaps)})" if facts.gaps else ""
    return Unmet(
        "undecided",
        f"nothing that is known offers pods further interfaces: no devices of {known}, and {ATTACHMENTS} is not served"
        f"{gaps}; n/a only if the platform's workloads need none, which you have to say yourself; else {_BY_HAND}",
    )


def drivers(facts: Facts) -> list[DraDriver]:
    """Network drivers with devices that pods can reach."""
    return [driver for driver in facts.dra if driver.name in DRIVERS]


async def told(ctx: Context) -> dict[str, list[str]]:
    """Names of traits by device, of all devices of network drivers."""
    wanted = {driver.name for driver in drivers(ctx.facts)}
    slices = [item["spec"] for item in await ctx.list(kinds.RESOURCE_SLICE)]
    devices = [
        (f"{spec['driver']}/{spec['pool']['name']}/{device['name']}", device)
        for spec in slices
        if spec["driver"] in wanted
        for device in spec.get("devices") or []
    ]
    return {name: sorted(_traits(device.get("attributes") or {})) for name, device in devices}


def _traits(attributes: Mapping[str, Obj]) -> Iterable[str]:
    for name in attributes:
        last = name.rpartition("/")[2]
        if any(last.lower() == trait.lower() for trait in TRAITS):
            yield last
