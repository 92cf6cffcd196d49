"""Answers that must fail the probes of gang scheduling."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.substitutions import InJson
from tests.unit.checks.cases.contract import Case
from tests.unit.checks.cases.edits import Obj, bound, pending

GANG = "gang_scheduling"
GROUP_LABEL = "aiconform.dev/gang"


def not_ready(deployment: Obj) -> None:
    deployment["status"].pop("readyReplicas", None)


def phase(name: str) -> Callable[[Obj], None]:
    def edit(pod_group: Obj) -> None:
        pod_group.get("status", {})["phase"] = name

    return edit


def of_somebody_else(pod_group: Obj) -> None:
    for one in pod_group["metadata"].get("ownerReferences") or []:
        one["uid"] = "another"


def for_one_member(workload: Obj) -> None:
    for one in (workload.get("status", {}).get("admission") or {}).get("podSetAssignments", []):
        one["count"] = 1


def says(kind: str, status: str, reason: str) -> Callable[[Obj], None]:
    def edit(found: Obj) -> None:
        for one in found.get("status", {}).get("conditions") or []:
            if one["type"] == kind:
                one.update(status=status, reason=reason)

    return edit


def members(edit: Callable[[Obj], None], *, of: str, but_first: bool = False) -> Callable[[Obj], None]:
    """A change to the pods of groups whose names begin so; to all but the first that is seen."""
    first: list[str] = []

    def edited(pod: Obj) -> None:
        meta = pod.get("metadata", {})
        if not (meta.get("labels") or {}).get(GROUP_LABEL, "").startswith(of):
            return
        first.append(meta["name"])
        if not (but_first and meta["name"] == first[0]):
            edit(pod)

    return edited


def refused(pod: Obj) -> None:
    pending(pod)
    words = {"reason": "Unschedulable", "message": "0/3 nodes are available: 1 Insufficient nvidia.com/gpu."}
    pod["status"]["conditions"] = [{"type": "PodScheduled", "status": "False", **words}]


def one_after_another() -> Callable[[Obj], None]:
    """Each pod ran, and had ended a year before the next one began."""
    seen: list[str] = []

    def edit(pod: Obj) -> None:
        name = pod["metadata"]["name"]
        if name not in seen:
            seen.append(name)
        year = 2001 + seen.index(name)
        spell = {"startedAt": f"{year}-01-01T00:00:00Z", "finishedAt": f"{year}-01-01T00:00:06Z"}
        for container in pod.get("status", {}).get("containerStatuses") or []:
            container["state"] = {"terminated": spell}

    return edit


def failed(job: Obj) -> None:
    job["status"] = {"conditions": [{"type": "Failed", "status": "True", "message": "a member failed"}]}


def aborted(job: Obj) -> None:
    job["status"] = {"state": {"phase": "Aborted"}}


def lane(probe: str) -> str:
    return f"{GANG}/{probe}"


def _case(probe: str, path: str, edit: Callable[[Obj], None], reason: str, outcome: str = "failed") -> Case:
    return Case(InJson(lane(probe), path, edit), reason, "undecided" if outcome == "undecided" else "failed")


CASES = (
    _case("together", "/deployments", not_ready, "not ready: "),
    _case("together", "/podgroups", of_somebody_else, "belongs to something else"),
    _case("together", "/workloads", for_one_member, "1 places"),
    _case("together", "/pods", members(refused, of="volcano", but_first=True), "started in part"),
    _case("together", "/pods", members(one_after_another(), of="kueue"), "not at the same time"),
    _case("together", "/batch.volcano.sh/", aborted, "vcjob Aborted"),
    _case("together", "/batch/v1/", failed, "Job failed"),
    _case("plain_in_part", "/pods", members(bound, of="plain"), "somebody else", "undecided"),
    _case("plain_in_part", "/pods", members(refused, of="plain"), "somebody else", "undecided"),
    _case("too_big", "/podgroups", phase("Running"), "PodGroup Running"),
    _case("too_big", "/workloads", says("QuotaReserved", "True", "Admitted"), "Workload"),
    _case("too_big", "/pods", members(bound, of="volcano", but_first=True), "starts the group as one or not at all"),
    _case("too_big", "/pods", members(pending, of="filler"), "keep the room scarce", "undecided"),
    _case("too_big", "/pods", members(refused, of="plain"), "somebody else", "undecided"),
    _case("room_appears", "/podgroups", phase("Inqueue"), "PodGroup Inqueue"),
    _case("room_appears", "/workloads", for_one_member, "1 places"),
    _case("given_back", "/pods", members(refused, of="filler", but_first=True), "does not fit", "undecided"),
)
