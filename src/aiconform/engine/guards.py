"""Guard rails: what bounds a run on somebody's cluster even if we never come back.

- Every namespace of ours has a quota, default limits and a network policy.
- Every pod and Job has a deadline of its own.
- What has none (Deployments, RayClusters, Gateways ...), and everything else that a check makes in a namespace, belongs
  to the check's guard: a Job without pods, which the cluster ends at its deadline and removes with all that it owns.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiconform.engine import kinds, pod_security
from aiconform.engine.api import Api, Handle, Obj, owner
from aiconform.engine.model import State
from aiconform.engine.ownership import CHECK_LABEL, OBJECT_LABEL, marked
from aiconform.engine.undecidable import RefusedError, UndecidableError
from aiconform.engine.waits import Target, watch
from aiconform.evidence.records import NoteData

if TYPE_CHECKING:
    from aiconform.engine.lane import Lane

DEADLINE_S = 900
"""What is left runs no longer than this, or than its check may take where that is longer."""
TTL_S = 300
"""How long a Job of a check stays after its end, so that it can be looked at."""
SPARE_S = 120
"""What a check may need beside its probes."""

NETWORK_LABEL = "aiconform.dev/network"
NETWORK_NEEDED = "needed"
"""Label of pods that serve or ask: every other pod of ours talks to nobody."""
_CONTROLLERS_PODS = ("gateway.networking.k8s.io/gateway-name", "ray.io/cluster")
"""Labels of pods that controllers make in our namespaces, and that talk to others."""

QUOTA = {
    "pods": "150",
    "services": "50",
    "services.loadbalancers": "5",
    "persistentvolumeclaims": "0",
    "count/deployments.apps": "30",
    "count/jobs.batch": "50",
    "count/resourceclaims.resource.k8s.io": "50",
}
"""Several times what all checks make at the same time; for what would make more than that without end."""
_QUOTA_WITHIN_S = 30.0
_NAME = "aiconform"
NO_GUARD = "no guard for"


def fences(namespace: str) -> list[Obj]:
    """Manifests of what bounds a namespace, without the marks of a run."""
    limits = {
        "type": "Container",
        "default": {"cpu": "4", "memory": "4Gi"},
        "defaultRequest": {"cpu": "10m", "memory": "16Mi"},
    }
    loners = [
        {"key": NETWORK_LABEL, "operator": "NotIn", "values": [NETWORK_NEEDED]},
        *({"key": key, "operator": "DoesNotExist"} for key in _CONTROLLERS_PODS),
    ]
    policy = {"podSelector": {"matchExpressions": loners}, "policyTypes": ["Ingress", "Egress"]}
    return [
        _manifest(kinds.RESOURCE_QUOTA, namespace, {"hard": dict(QUOTA)}),
        _manifest(kinds.LIMIT_RANGE, namespace, {"limits": [limits]}),
        _manifest(kinds.NETWORK_POLICY, namespace, policy),
    ]


async def fence(api: Api, run: str, namespace: str) -> None:
    """Bound a namespace. What cannot be made is written down; the run goes on without it."""
    for manifest in fences(namespace):
        try:
            created = await api.create(marked(manifest, run))
        except UndecidableError as problem:
            api.lane.write(NoteData(text=f"no {manifest['kind']} in {namespace}: {problem.cause}"))
            continue
        if manifest["kind"] == "ResourceQuota":
            await _counted(api, Handle(kinds.RESOURCE_QUOTA, namespace, _NAME, created["metadata"]["uid"]))


async def _counted(api: Api, quota: Handle) -> None:
    """Wait until a quota counts: before that it refuses every pod. One that does not is taken away."""

    def counts(objects: list[Obj]) -> State:
        hard = [set((obj.get("status") or {}).get("hard") or {}) for obj in objects]
        return State("met" if hard == [set(QUOTA)] else "waiting", "the quota counts")

    target = Target(quota.kind, quota.namespace, {}, f"metadata.name={quota.name}")
    limit = api.lane.now + _QUOTA_WITHIN_S
    try:
        end = await watch(api, target, counts, limit=limit, waiting_for=f"{quota} to count", tell=lambda _: None)
        why_not = "nothing counts it" if end.limit_reached else ""
    except UndecidableError as problem:
        why_not = f"whether it counts cannot be seen: {problem.cause}"
    if why_not:
        api.lane.write(NoteData(text=await _without(api, quota, why_not)))


async def _without(api: Api, quota: Handle, why_not: str) -> str:
    """Delete a quota; returns what is to be written down of it."""
    try:
        await api.delete(quota)
    except UndecidableError as problem:
        return f"a ResourceQuota in {quota.namespace} may refuse every pod: {why_not}; it stays: {problem.cause}"
    return f"no ResourceQuota in {quota.namespace}: {why_not}"


class Guard:
    """The Job that everything of a check belongs to. Made with the first object of the check.

    Args:
        requirement: whose.
        namespace: where the objects of the check go.
        within_s: how long the check may take.
        image: any image reference that the cluster accepts; it is never pulled.
    """

    def __init__(self, requirement: str, namespace: str, within_s: float, image: str) -> None:
        self.namespace = namespace
        self._requirement = requirement
        self._deadline_s = max(DEADLINE_S, round(within_s) + SPARE_S)
        self._image = image
        self._settled = False
        self._told = False
        self.handle: Handle | None = None

    async def stand(self, lane: Lane, versions: dict[str, int]) -> Handle | None:
        """Make the guard if there is none; returns it when it was made just now.

        Where it cannot be made, that is written down once; where that may change (a webhook that does not answer yet)
        the next object tries again.
        """
        if self._settled:
            return None
        # not with the probe's own requests: no observation rests on this one
        api = Api(lane, versions)
        manifest = marked(self._job(lane.run), lane.run, {CHECK_LABEL: self._requirement, OBJECT_LABEL: "guard"})
        try:
            created = await api.create(manifest)
        except UndecidableError as problem:
            self._settled = isinstance(problem, RefusedError) and problem.status < 500
            if not self._told:
                lane.write(NoteData(text=f"{NO_GUARD} {self._requirement}: {problem.cause}"))
            self._told = True
            return None
        self._settled = True
        meta = created["metadata"]
        self.handle = Handle(kinds.JOB, self.namespace, meta["name"], meta["uid"])
        if (created.get("spec") or {}).get("suspend"):
            lane.write(NoteData(text=f"the cluster suspends {self.handle}: it guards nothing"))
        return self.handle

    def owning(self, manifest: Obj) -> Obj:
        """The manifest, as a possession of the guard's where there is one in its namespace.

        One that says that nobody owns it (``ownerReferences: []``) stays so: schedulers that group pods by their owner
        would take the guard for it. Such a pod still has a deadline of its own.
        """
        meta = dict(manifest["metadata"])
        if meta.get("ownerReferences") == []:
            del meta["ownerReferences"]
            return {**manifest, "metadata": meta}
        if self.handle is None or meta.get("namespace") != self.namespace:
            return manifest
        return {**manifest, "metadata": {**meta, "ownerReferences": [owner(self.handle)]}}

    def _job(self, run: str) -> Obj:
        name = hashlib.sha256(f"{run}/{self._requirement}/guard".encode()).hexdigest()[:10]
        container = {
            "name": "nothing",
            "image": self._image,
            "command": ["true"],
            "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}, "limits": {"cpu": "1m", "memory": "1Mi"}},
            "securityContext": pod_security.CONTAINER,
        }
        pod = {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
        }
        spec = {
            # no pods: it never completes, and its deadline still counts
            "parallelism": 0,
            "completions": 1,
            "backoffLimit": 0,
            "activeDeadlineSeconds": self._deadline_s,
            "ttlSecondsAfterFinished": 0,
            "template": {"spec": pod},
        }
        made = _manifest(kinds.JOB, self.namespace, spec)
        return {**made, "metadata": {**made["metadata"], "name": f"guard-{name}"}}


def bounded(manifest: Obj) -> Obj:
    """The manifest with a deadline where its kind can have one and it has none."""
    kind, spec = str(manifest["kind"]), manifest.get("spec")
    wanted = _DEADLINES.get((str(manifest["apiVersion"]).rpartition("/")[0], kind))
    if wanted is None or not isinstance(spec, dict):
        return manifest
    return {**manifest, "spec": {**wanted, **spec}}


_DEADLINES: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("", "Pod"): {"activeDeadlineSeconds": DEADLINE_S},
    ("batch", "Job"): {"activeDeadlineSeconds": DEADLINE_S, "ttlSecondsAfterFinished": TTL_S},
    ("batch.volcano.sh", "Job"): {"ttlSecondsAfterFinished": TTL_S},
    ("ray.io", "RayJob"): {"activeDeadlineSeconds": DEADLINE_S},
}
"""Fields by API group and kind. Pods of Jobs have deadlines by their templates; a RayJob that is suspended has none."""


def _manifest(kind: kinds.Kind, namespace: str, spec: Mapping[str, Any]) -> Obj:
    meta = {"name": _NAME, "namespace": namespace}
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta, "spec": dict(spec)}
