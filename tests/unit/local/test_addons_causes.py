from __future__ import annotations

from aiconform.local.addons import causes
from aiconform.local.api import ApiError


def pod(name: str, **status) -> dict:
    return {"metadata": {"namespace": "n", "name": name}, "status": status}


def container(**fields) -> dict:
    return {"containerStatuses": [{"name": "c", "ready": False, **fields}]}


WAITS = pod("a", **container(state={"waiting": {"reason": "ImagePullBackOff", "message": "no such host"}}))


def test_a_pod_that_is_ready_or_done_says_nothing() -> None:
    assert causes.unready(pod("a", conditions=[{"type": "Ready", "status": "True"}])) == []
    assert causes.unready(pod("a", phase="Succeeded")) == []


def test_reasons_of_pods() -> None:
    assert causes.unready(WAITS) == ["pod n/a, container c: ImagePullBackOff: no such host"]
    crash = container(
        state={"waiting": {"reason": "CrashLoopBackOff"}},
        lastState={"terminated": {"exitCode": 2, "reason": "Error", "message": "no flag\n -x"}},
    )
    assert causes.unready(pod("a", **crash)) == [
        "pod n/a, container c: CrashLoopBackOff; ended before with exit code 2, Error: no flag -x"
    ]
    unscheduled = [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}]
    assert causes.unready(pod("a", conditions=unscheduled)) == ["pod n/a is not scheduled: 0/3 nodes are available"]
    assert causes.unready(pod("a", **container(state={"running": {}}))) == [
        "pod n/a, container c: runs, and is not ready"
    ]
    assert causes.unready(pod("a", phase="Pending")) == ["pod n/a is not ready, phase Pending"]


def test_only_images_that_never_come_are_never_pulled() -> None:
    assert causes.never_pulled(WAITS)
    assert not causes.never_pulled(pod("a", **container(state={"waiting": {"reason": "ContainerCreating"}})))


def test_the_last_warnings_newest_first() -> None:
    events = [
        {
            "type": kind,
            "reason": f"R{n}",
            "message": "m",
            "lastTimestamp": f"2026-01-01T00:00:0{n}Z",
            "involvedObject": {"kind": "Pod", "name": "p"},
        }
        for n, kind in enumerate(["Warning"] * 7 + ["Normal"])
    ]
    found = causes.warnings(events)
    assert found[0] == "pod p: R6: m"
    assert len(found) == 4


class FakeApi:
    def get(self, path):
        if "gone" in path:
            raise ApiError(404, "not there")
        return {"items": [WAITS] if path.endswith("pods") else []}


def test_causes_name_what_cannot_be_looked_into() -> None:
    assert causes.causes(FakeApi(), ["n", "gone"]) == [
        "pod n/a, container c: ImagePullBackOff: no such host",
        "cannot look into namespace gone: not there",
    ]
