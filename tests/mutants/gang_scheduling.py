"""Broken gang scheduling: systems that are away, that start groups in part, and rooms that others meddle with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from threading import Event
from typing import Any

from tests.mutants.breaking import applied, patched, scaled_to_zero
from tests.mutants.contract import Kill, Mutant
from tests.mutants.nodes import binds_anyway, meanwhile

from aiconform.local import Cluster
from aiconform.local.addons import kueue, volcano
from aiconform.local.api import Api
from aiconform.local.images.table import IMAGES

NODE, RESOURCE = "gpu-1", "nvidia.com/gpu"
VOLCANO, KUEUE = volcano.NAMESPACE, kueue.NAMESPACE
SCHEDULER, MANAGER = "volcano-scheduler", "kueue-controller-manager"
SETTINGS, SETTINGS_KEY = "configmap/volcano-scheduler-configmap", "volcano-scheduler.conf"
GANG = "  - name: gang\n    enablePreemptable: false\n"

Obj = dict[str, Any]
Work = Callable[[Api, Event], None]


def _room(api: Api) -> dict[str, list[Obj]]:
    """The check's pods by whose they are; groups by the name of their system."""
    found: dict[str, list[Obj]] = {}
    for pod in api.get("/api/v1/pods?labelSelector=aiconform.dev/gang-room")["items"]:
        found.setdefault(pod["metadata"]["labels"]["aiconform.dev/gang"].partition("-")[0], []).append(pod)
    return found


def _thief() -> Obj:
    """A pod of somebody else that takes a slot of the room."""
    container = {
        "name": "thief",
        "image": IMAGES["busybox"].reference,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sleep", "600"],
        "resources": {"limits": {RESOURCE: "1"}},
    }
    spec = {
        "nodeSelector": {"kubernetes.io/hostname": NODE},
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
    }
    meta = {"name": "thief", "namespace": "default"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


@contextmanager
def once(
    cluster: Cluster, when: Callable[[dict[str, list[Obj]]], bool], then: AbstractContextManager[None]
) -> Iterator[None]:
    """Something that is entered once the room looks so, and left at the end."""
    happened = Event()
    with ExitStack() as stack:

        def look(api: Api, ended: Event) -> None:
            if not happened.is_set() and when(_room(api)) and not ended.is_set():
                happened.set()
                stack.enter_context(then)

        stack.enter_context(meanwhile(look, cluster))
        yield


class Seen:
    """Whether plain pods were there already: what comes after them is the group that does not fit."""

    def __init__(self, then: Callable[[dict[str, list[Obj]]], bool]) -> None:
        self._then = then
        self._plain = False

    def __call__(self, room: dict[str, list[Obj]]) -> bool:
        self._plain = self._plain or "plain" in room
        return self._plain and "plain" not in room and self._then(room)


def _waiting(room: dict[str, list[Obj]]) -> bool:
    """Volcano's group has been refused."""
    conditions = [one for pod in room.get("volcano", []) for one in pod.get("status", {}).get("conditions") or []]
    return any(one.get("reason") == "Unschedulable" for one in conditions)


def _begun(room: dict[str, list[Obj]]) -> bool:
    """Both groups run or have ended: who waits for a slot from now on gets the first that they leave."""
    groups = [room.get("volcano", []), room.get("kueue", [])]
    return all(group and all(pod["status"]["phase"] in ("Running", "Succeeded") for pod in group) for group in groups)


def _running(room: dict[str, list[Obj]]) -> bool:
    """Both groups run."""
    groups = [room.get("volcano", []), room.get("kueue", [])]
    return all(group and all(pod["status"]["phase"] == "Running" for pod in group) for group in groups)


@contextmanager
def restarted(
    cluster: Cluster, change: AbstractContextManager[None], namespace: str, deployment: str
) -> Iterator[None]:
    """A change that takes effect when a Deployment's pods start anew; undone in the same way."""
    rollout = ("-n", namespace, "rollout")

    def start_anew() -> None:
        cluster.kubectl(*rollout, "restart", f"deployment/{deployment}")
        cluster.kubectl(*rollout, "status", f"deployment/{deployment}", "--timeout=120s")

    with change:
        start_anew()
        yield
    start_anew()


def without_gang(cluster: Cluster) -> AbstractContextManager[None]:
    """Volcano's scheduler without the plugin that makes groups of pods."""
    found = json.loads(cluster.kubectl("-n", VOLCANO, "get", SETTINGS, "-o", "json"))["data"][SETTINGS_KEY]
    assert GANG in found
    change = patched(cluster, {"data": {SETTINGS_KEY: found.replace(GANG, "")}}, "-n", VOLCANO, SETTINGS)
    return restarted(cluster, change, VOLCANO, SCHEDULER)


def by_quota_alone(cluster: Cluster) -> AbstractContextManager[None]:
    """Kueue without topology-aware scheduling: it does not look at nodes any more."""
    found = json.loads(cluster.kubectl("-n", KUEUE, "get", "deployment", MANAGER, "-o", "json"))
    [container] = found["spec"]["template"]["spec"]["containers"]
    arguments = [*container["args"], "--feature-gates=TopologyAwareScheduling=false"]
    changed = {"spec": {"template": {"spec": {"containers": [{**container, "args": arguments}]}}}}
    change = patched(cluster, changed, "-n", KUEUE, f"deployment/{MANAGER}")
    return restarted(cluster, change, KUEUE, MANAGER)


def resumed(cluster: Cluster) -> AbstractContextManager[None]:
    """Somebody who resumes the Job that Kueue keeps suspended."""
    seen = Seen(_waiting)

    def resume(api: Api, _ended: Event) -> None:
        if not seen(_room(api)):
            return
        for job in api.get("/apis/batch/v1/jobs?labelSelector=aiconform.dev/run")["items"]:
            meta = job["metadata"]
            if job["spec"].get("suspend") and kueue.QUEUE_LABEL in meta["labels"]:
                api.patch(
                    f"/apis/batch/v1/namespaces/{meta['namespace']}/jobs/{meta['name']}", {"spec": {"suspend": False}}
                )

    return meanwhile(resume, cluster)


def without_binding(cluster: Cluster) -> AbstractContextManager[None]:
    """Volcano's scheduler may not bind pods any more."""
    role = json.loads(cluster.kubectl("get", "clusterrole", SCHEDULER, "-o", "json"))
    rules = [rule for rule in role["rules"] if "pods/binding" not in rule["resources"]]
    assert rules != role["rules"]
    return patched(cluster, {"rules": rules}, f"clusterrole/{SCHEDULER}")


@contextmanager
def both(first: AbstractContextManager[object], second: AbstractContextManager[object]) -> Iterator[None]:
    """Broken in two ways at the same time."""
    with first, second:
        yield


@contextmanager
def all_stopped(cluster: Cluster) -> Iterator[None]:
    """No system is left."""
    with scaled_to_zero(cluster, VOLCANO, SCHEDULER), scaled_to_zero(cluster, KUEUE, MANAGER):
        yield


def _mutant(what: str, broken: Callable[[Cluster], AbstractContextManager[object]], **kills: Kill) -> Mutant:
    return Mutant("gang_scheduling", what, broken, kills)


MUTANTS = (
    Mutant(
        "gang_scheduling",
        "Volcano's webhooks are stopped, Kueue works",
        partial(scaled_to_zero, namespace=VOLCANO, deployment="volcano-admission"),
        told="set aside: Volcano v1.14.1: not ready: volcano-system/volcano-admission",
    ),
    Mutant(
        "gang_scheduling",
        "Kueue is stopped, Volcano works",
        partial(scaled_to_zero, namespace=KUEUE, deployment=MANAGER),
        told="not ready: kueue-system/kueue-controller-manager",
    ),
    _mutant(
        "Volcano's scheduler and Kueue are stopped",
        all_stopped,
        together=Kill("failed", "not ready: volcano-system/volcano-scheduler"),
    ),
    Mutant(
        "gang_scheduling",
        "Volcano's scheduler may not bind pods, Kueue works",
        without_binding,
        told="set aside: Volcano v1.14.1: left a group that fits waiting",
    ),
    _mutant(
        "Volcano's scheduler may not bind pods, Kueue is stopped",
        lambda cluster: both(without_binding(cluster), scaled_to_zero(cluster, KUEUE, MANAGER)),
        together=Kill("failed", "Volcano v1.14.1: left a group that fits waiting"),
    ),
    Mutant(
        "gang_scheduling",
        "Kueue admits by quota alone and does not look at nodes, Volcano works",
        by_quota_alone,
        told="admitted by quota alone",
    ),
    _mutant(
        "Kueue admits by quota alone and does not look at nodes, Volcano is stopped",
        lambda cluster: both(by_quota_alone(cluster), scaled_to_zero(cluster, VOLCANO, SCHEDULER)),
        together=Kill("undecided", "admitted by quota alone"),
    ),
    _mutant(
        "somebody takes a slot after the first groups",
        lambda cluster: once(cluster, _begun, applied(cluster, _thief())),
        plain_in_part=Kill("undecided", "somebody else takes or leaves room"),
    ),
    _mutant(
        "Volcano schedules without its gang plugin: each pod for itself",
        without_gang,
        too_big=Kill("failed", "PodGroup Running"),
    ),
    _mutant(
        "somebody binds a member of a group that Volcano refuses",
        lambda cluster: binds_anyway(cluster, "volcano-", NODE),
        too_big=Kill("failed", "as one or not at all"),
    ),
    _mutant(
        "somebody resumes the Job that Kueue keeps suspended",
        resumed,
        too_big=Kill("failed", "as one or not at all"),
    ),
    _mutant(
        "somebody takes the place that would be left while the groups wait",
        lambda cluster: once(cluster, Seen(_waiting), applied(cluster, _thief())),
        too_big=Kill("undecided", "somebody else takes"),
    ),
    _mutant(
        "Volcano's scheduler stops while a group waits",
        lambda cluster: once(cluster, Seen(_waiting), scaled_to_zero(cluster, VOLCANO, SCHEDULER)),
        room_appears=Kill("failed", "PodGroup Inqueue"),
    ),
    _mutant(
        "somebody waits for what the groups give back, and takes it",
        lambda cluster: once(cluster, Seen(_running), applied(cluster, _thief())),
        given_back=Kill("undecided", "does not fit"),
    ),
)
