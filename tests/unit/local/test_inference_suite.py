"""The suite in a pod: what it is told, what it leaves, and what comes of its end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest

from aiconform.errors import LocalClusterError
from aiconform.local import Cluster, inference_suite
from aiconform.progress import Silent

REPORT = "kind: ConformanceReport\n"


class Fake:
    """As much of a cluster as the runner asks: the pod's states one after another."""

    def __init__(self, *states: dict[str, Any]) -> None:
        self.states = list(states)
        self.asked: list[str] = []
        self.applied: list[dict[str, Any]] = []
        self.api = self

    def get(self, _path: str) -> dict[str, Any]:
        state = self.states.pop(0)
        phase = "Running" if "running" in state else "Succeeded"
        return {"status": {"phase": phase, "containerStatuses": [{"state": state}]}}

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        self.asked.append(arguments[0])
        if stdin:
            self.applied += json.loads(stdin)["items"]
        return "--- FAIL: x\npanic" if arguments[0] == "logs" else ""


@pytest.fixture(autouse=True)
def _no_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference_suite, "ensure_images", lambda *_: {})
    monkeypatch.setattr(inference_suite.imports, "bring", lambda *_: None)
    monkeypatch.setattr(inference_suite.time, "sleep", lambda _: None)


def ran(cluster: Fake, log: Path, **options: Any) -> bytes:
    return inference_suite.run(cast("Cluster", cluster), log, Silent(), **options)


def test_the_report_is_what_the_pod_leaves_when_it_ends(tmp_path: Path) -> None:
    cluster = Fake({"running": {}}, {"terminated": {"exitCode": 1, "message": REPORT}})
    assert ran(cluster, tmp_path / "log", test="One", limit_s=60) == REPORT.encode()
    pod = next(item for item in cluster.applied if item["kind"] == "Pod")
    container = pod["spec"]["containers"][0]
    assert {"-run-test=One", "-gateway-class=istio", "-test.timeout=60s"} <= set(container["args"])
    assert f"-report-output={container['terminationMessagePath']}" in container["args"]
    assert sum(item["kind"] == "DestinationRule" for item in cluster.applied) == 5
    assert cluster.asked[-2:] == ["delete", "delete"]


def test_an_end_without_a_report_is_told_with_its_last_words(tmp_path: Path) -> None:
    cluster = Fake({"terminated": {"exitCode": 2, "message": "panic"}})
    with pytest.raises(LocalClusterError, match="no report, exit code 2") as caught:
        ran(cluster, tmp_path / "log")
    assert caught.value.details == ("--- FAIL: x", "panic")
    assert cluster.asked[-1] == "delete"


def test_it_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 30.0, 121.0])
    monkeypatch.setattr(inference_suite.time, "monotonic", lambda: next(clock))
    with pytest.raises(LocalClusterError, match="did not end within 60 s"):
        ran(Fake({"running": {}}), tmp_path / "log", limit_s=60)
