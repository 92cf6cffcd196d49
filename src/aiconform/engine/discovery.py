"""Discovery: what a cluster is and has, read in one lane before anything is written.

Read-only. Lists no Secret and no workload of anybody; system components are asked for by the labels their charts set.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from aiconform.engine import capabilities, kinds, nodepools
from aiconform.engine.api import Api, Obj
from aiconform.engine.capabilities import Answers
from aiconform.engine.facts import COMPONENTS, Facts, gather
from aiconform.engine.paging import every
from aiconform.engine.undecidable import RefusedError

if TYPE_CHECKING:
    from aiconform.engine.kinds import Kind
    from aiconform.engine.lane import Lane

Answered = TypeVar("Answered")
# what of a node is never looked at, and is most of its size: of a large cluster all nodes are held at once
_NEVER = frozenset({"images", "volumesAttached", "volumesInUse"})
_PROMETHEUS_APPS = ("kube-prometheus-stack-prometheus", "prometheus", "prometheus-server")
_APP_LABELS = ("app.kubernetes.io/name", "k8s-app", "app")


async def discover(lane: Lane, options: Mapping[str, str]) -> Facts:
    """Read what the cluster is and has; ``options`` are the plan's.

    Raises:
        UndecidableError: the API server does not answer, or does not let us read its nodes. Whatever else it refuses,
            for want of a right or because a kind cannot be converted, is a gap.
    """
    api = Api(lane)
    version = await api.get("/version")
    nodes = await every(api, kinds.NODE, without=_NEVER)
    system = await api.read(kinds.NAMESPACE, "kube-system")
    groups = await api.get("/apis")
    gaps: list[str] = []
    await _optional("the table of nodes", gaps, lambda: api.table(kinds.NODE))
    served = {group.get("name") for group in groups.get("groups", []) if isinstance(group, dict)}
    dra = "resource.k8s.io" in served
    runtime_classes = await _list(api, kinds.RUNTIME_CLASS, gaps)
    workloads = await _components(api, gaps)
    pools = await _list(api, kinds.NODE_POOL, gaps) if nodepools.KARPENTER_API in _versions(groups) else []
    autoscaler_status = await _autoscaler(api, gaps)
    facts = gather(
        version=version,
        nodes=nodes,
        system=system,
        groups=groups,
        device_classes=await _list(api, kinds.DEVICE_CLASS, gaps) if dra else [],
        slices=await _list(api, kinds.RESOURCE_SLICE, gaps) if dra else [],
        runtime_classes=runtime_classes,
        workloads=workloads,
        node_pools=pools,
        autoscaler_status=autoscaler_status,
        gaps=tuple(gaps),
        options=options,
    )
    answers = await _further(api, _versions(groups))
    answers = dataclasses.replace(
        answers, workloads=workloads, runtime_classes=runtime_classes, autoscaler_status=autoscaler_status
    )
    return dataclasses.replace(facts, capabilities=capabilities.find(facts, answers))


async def _further(api: Api, served: set[str]) -> Answers:
    """What is asked for capabilities alone: no need of a check rests on it, so a refusal is no gap."""
    refused: list[tuple[str, str]] = []

    async def objects(kind: Kind, selector: str = "") -> list[Obj] | None:
        if "/" in kind.api_version and kind.api_version not in served:
            return []
        problems: list[str] = []

        async def ask() -> list[Obj]:
            items, _ = await api.list(kind, selector=selector)
            return items

        found = await _optional(f"list {kind.plural}", problems, ask)
        refused.extend((kind.plural, problem) for problem in problems)
        return found

    async def monitoring_kinds() -> Obj:
        return await api.get(f"/apis/{kinds.PROMETHEUS.api_version}")

    kinds_served = None
    if kinds.PROMETHEUS.api_version in served:
        kinds_served = await _optional("kinds of monitoring", [], monitoring_kinds)
    services = await objects(kinds.SERVICE, f"app.kubernetes.io/name in ({','.join(_PROMETHEUS_APPS)})")
    return Answers(
        gateway_classes=await objects(kinds.GATEWAY_CLASS),
        prometheuses=await objects(kinds.PROMETHEUS),
        services=services,
        cluster_policies=await objects(kinds.CLUSTER_POLICY),
        monitoring_kinds=frozenset(str(one.get("kind")) for one in (kinds_served or {}).get("resources") or ()),
        refused=tuple(refused),
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
        if refused.status != 404:
            gaps.append(_gap(name, refused))
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
        gaps.append(_gap(what, refused))
        return None


def _gap(what: str, refused: RefusedError) -> str:
    return f"{what}: {refused.status} {refused.reason or 'error'}"
