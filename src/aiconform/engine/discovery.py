"""Discovery: what a cluster is and has, read in one lane before anything is written.

Read-only. Lists no Secret and no workload of anybody; system components are asked for by the labels their charts set.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from aiconform.engine import kinds, nodepools
from aiconform.engine.api import Api, Obj
from aiconform.engine.facts import COMPONENTS, Facts, gather
from aiconform.engine.undecidable import RefusedError

if TYPE_CHECKING:
    from aiconform.engine.allocation import Mode
    from aiconform.engine.kinds import Kind
    from aiconform.engine.lane import Lane

Answered = TypeVar("Answered")
_APP_LABELS = ("app.kubernetes.io/name", "k8s-app", "app")


async def discover(lane: Lane, allocation: Mode = "auto") -> Facts:
    """Read what the cluster is and has; ``allocation`` is the way by which accelerators are to be asked for.

    Raises:
        UndecidableError: the API server does not answer, or does not let us read its nodes.
    """
    api = Api(lane)
    version = await api.get("/version")
    nodes, _ = await api.list(kinds.NODE)
    system = await api.read(kinds.NAMESPACE, "kube-system")
    groups = await api.get("/apis")
    gaps: list[str] = []
    await _optional("the table of nodes", gaps, lambda: api.table(kinds.NODE))
    served = {group.get("name") for group in groups.get("groups", []) if isinstance(group, dict)}
    dra = "resource.k8s.io" in served
    return gather(
        version=version,
        nodes=nodes,
        system=system,
        groups=groups,
        device_classes=await _list(api, kinds.DEVICE_CLASS, gaps) if dra else [],
        slices=await _list(api, kinds.RESOURCE_SLICE, gaps) if dra else [],
        runtime_classes=await _list(api, kinds.RUNTIME_CLASS, gaps),
        workloads=await _components(api, gaps),
        node_pools=await _list(api, kinds.NODE_POOL, gaps) if nodepools.KARPENTER_API in _versions(groups) else [],
        autoscaler_status=await _autoscaler(api, gaps),
        gaps=tuple(gaps),
        allocation=allocation,
    )


async def _list(api: Api, kind: Kind, gaps: list[str], labels: str = "") -> list[Obj]:
    async def ask() -> list[Obj]:
        items, _ = await api.list(kind, selector=labels)
        return items

    return await _optional(kind.plural, gaps, ask) or []


async def _autoscaler(api: Api, gaps: list[str]) -> Obj | None:
    """What Cluster Autoscaler tells of its groups; None where it tells nothing, which is no gap."""
    namespace, name = nodepools.STATUS
    try:
        return await api.read(kinds.CONFIG_MAP, name, namespace)
    except RefusedError as refused:
        if refused.status == 403:
            gaps.append(f"{name}: {refused.status} {refused.reason}")
        elif refused.status != 404:
            raise
        return None


def _versions(groups: Obj) -> set[str]:
    found = [group for group in groups.get("groups", []) if isinstance(group, dict)]
    return {str(version.get("groupVersion")) for group in found for version in group.get("versions") or []}


async def _components(api: Api, gaps: list[str]) -> list[Obj]:
    found: dict[str, Obj] = {}
    names = ",".join(sorted(COMPONENTS))
    for label in _APP_LABELS:
        for kind in (kinds.DAEMON_SET, kinds.DEPLOYMENT):
            for item in await _list(api, kind, gaps, f"{label} in ({names})"):
                found[item["metadata"]["uid"]] = item
    return [found[uid] for uid in sorted(found)]


async def _optional(what: str, gaps: list[str], ask: Callable[[], Awaitable[Answered]]) -> Answered | None:
    """What can be read; what cannot is named in ``gaps`` and looked at by the needs of the checks."""
    try:
        return await ask()
    except RefusedError as refused:
        if refused.status in (403, 404):
            gaps.append(f"{what}: {refused.status} {refused.reason}")
            return None
        raise
