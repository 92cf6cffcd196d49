"""Pods can have fast network interfaces beside their own, whose traits the cluster knows (KAR-0010)."""

from __future__ import annotations

from aiconform.checks._kit import networks
from aiconform.engine import Check, Context

CHECK = Check(
    "high_performance_networking",
    by_hand=True,
    needs=(networks.offered,),
    limits=("What is told of such interfaces is read; none is given to a pod, and no data is sent over one.",),
    rights=("list resourceslices.resource.k8s.io",),
)


@CHECK.positive(
    "the cluster is told the traits of every network device",
    fails_if="a device of a network driver tells nothing of its type, bandwidth, RDMA, PCI address or NUMA node",
)
async def traits(ctx: Context) -> None:
    found = await networks.told(ctx)
    if not found:
        raise ctx.undecided(
            "devices of a network driver", "none", f"{networks.ATTACHMENTS} alone tells no traits; {networks.HOW}"
        )
    silent = sorted(name for name, told in found.items() if not told)
    observed = "; ".join(f"{name}: {', '.join(told) or 'nothing'}" for name, told in sorted(found.items()))
    ctx.expect(f"{len(found)} devices tell traits", observed, ok=not silent)


@CHECK.positive(
    "a pod that asks has a second interface, and two such pods exchange data over it",
    fails_if="nothing yet: it is not tried, and so undecided",
    after=traits,
)
async def used(ctx: Context) -> None:
    found = await networks.told(ctx)
    raise ctx.undecided("an interface is given to pods", f"{len(found)} devices are offered", networks.HOW)
