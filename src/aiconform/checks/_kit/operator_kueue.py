"""Kueue as an operator: a Job that it admits, whose Workload it makes anew, and a queue that chooses nothing."""

from __future__ import annotations

from typing import Any

from aiconform.checks._kit import gang, operator, operator_batch
from aiconform.checks._kit.gang_kueue import JOB_LABEL, QUEUE_LABEL, TITLE
from aiconform.checks._kit.operator_batch import MEMBERS, Batch
from aiconform.engine import Context, Handle, State, Target, kinds
from aiconform.engine.kinds import Kind

Obj = dict[str, Any]

FINALIZER = "kueue.x-k8s.io/resource-in-use"
_POD_LABEL = "batch.kubernetes.io/job-name"


def _made(kind: Kind, name: str, spec: Obj) -> Obj:
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name}, "spec": spec}


def _queue(name: str, chooses: Obj) -> Obj:
    resources = [{"name": "cpu", "nominalQuota": "8"}, {"name": "memory", "nominalQuota": "8Gi"}]
    group = {"coveredResources": ["cpu", "memory"], "flavors": [{"name": name, "resources": resources}]}
    return _made(kinds.CLUSTER_QUEUE, name, {"namespaceSelector": chooses, "resourceGroups": [group]})


def _ours(ctx: Context) -> Obj:
    return {"matchLabels": {"kubernetes.io/metadata.name": ctx.namespace}}


def twins(ctx: Context) -> tuple[Obj, Obj]:
    """Two queues that nobody uses; one of them chooses namespaces by a label that is to be one of no values."""
    none = {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In"}]}
    return _queue(ctx.name("right"), _ours(ctx)), _queue(ctx.name("wrong"), none)


async def job(ctx: Context, template: Obj) -> Handle:
    """A suspended Job in a queue of ours, which the operator takes up."""
    name = ctx.name("batch")
    await operator.make(ctx, TITLE, _made(kinds.RESOURCE_FLAVOR, name, {}))
    await operator.make(ctx, TITLE, _queue(name, _ours(ctx)))
    queue = await operator.make(ctx, TITLE, _made(kinds.LOCAL_QUEUE, name, {"clusterQueue": name}))
    await ctx.until(queue, _active, expected=f"{TITLE} takes up {queue}", within_s=60)
    spec = {
        "suspend": True,
        "parallelism": MEMBERS,
        "completions": MEMBERS,
        "completionMode": "Indexed",
        "backoffLimit": 4,
        "template": template,
    }
    manifest = _made(kinds.JOB, name, spec)
    manifest["metadata"]["labels"] = {QUEUE_LABEL: name}
    return await operator.make(ctx, TITLE, manifest)


def _active(objects: list[Obj]) -> State:
    said = gang.condition_of(objects[0], "Active")
    text = f"Active {said.get('status', 'not told')}: {said.get('message', '')}"
    return State("met" if said.get("status") == "True" else "waiting", text)


def _workload(_ctx: Context, made: Handle) -> Target:
    return Target(kinds.WORKLOAD, made.namespace, {JOB_LABEL: made.uid})


def admitted(objects: list[Obj]) -> State:
    """The Job's one Workload says that it is admitted."""
    alive = [found for found in objects if not found["metadata"].get("deletionTimestamp")]
    said = [gang.condition_of(found, "Admitted").get("status", "not told") for found in alive]
    text = f"{len(alive)} Workload, Admitted {', '.join(said) or 'not told'}"
    return State("met" if said == ["True"] else "waiting", text)


async def victim(ctx: Context, made: Handle, members: list[Obj]) -> tuple[Handle, frozenset[str]]:
    """The Workload: without it Kueue stops the Job, makes another, and admits that."""
    [found] = await ctx.list(kinds.WORKLOAD, made.namespace, labels={JOB_LABEL: made.uid})
    return operator_batch.handle_of(found, kinds.WORKLOAD), frozenset(str(pod["metadata"]["uid"]) for pod in members)


async def fleeting(ctx: Context) -> Obj:
    """A queue, which Kueue holds by its finalizer; once it is deleted, Kueue takes that away."""
    return _queue(ctx.name("goes"), _ours(ctx))


def held(objects: list[Obj]) -> State:
    """The queue has Kueue's finalizer."""
    names = objects[0]["metadata"].get("finalizers") or []
    return State("met" if FINALIZER in names else "waiting", f"finalizers: {', '.join(names) or 'none'}")


KUEUE = operator_batch.operator(
    Batch(
        TITLE,
        kinds.CLUSTER_QUEUE,
        ("ClusterQueue", "LocalQueue", "ResourceFlavor", "Workload"),
        selectors=("app.kubernetes.io/name=kueue,control-plane=controller-manager",),
        twins=twins,
        mistake="spec.namespaceSelector.matchExpressions[0].values",
        job=job,
        labels=lambda made: {_POD_LABEL: made.name},
        runs=admitted,
        teller=_workload,
        victim=victim,
        fleeting=fleeting,
        dealt=held,
        rights=(
            "create delete get list watch jobs.batch clusterqueues.kueue.x-k8s.io",
            "create delete list watch localqueues.kueue.x-k8s.io resourceflavors.kueue.x-k8s.io",
            "delete list watch workloads.kueue.x-k8s.io",
        ),
    )
)
