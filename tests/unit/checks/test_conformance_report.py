"""Reports of the inference extension's suite: what is read from one, and what is not taken for one."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from aiconform.checks import advanced_inference_ingress as check
from aiconform.checks._kit import conformance_report, inference_pools
from aiconform.checks._kit.gateway import Class
from aiconform.checks._kit.gateway_status import Gateway
from aiconform.engine import Context, Handle, kinds

CONTROLLER = "istio.io/gateway-controller"
TEXT = """\
GatewayAPIInferenceExtensionVersion: v1.5.0
apiVersion: gateway.networking.k8s.io/v1
date: "2026-05-27T16:16:59Z"
gatewayAPIChannel: standard
gatewayAPIVersion: v1.5.1
implementation:
  contact: ['@maintainers']
  organization: istio
  project: istio
  url: https://example.com
  version: 1.30.1
kind: ConformanceReport
mode: default
profiles:
- core:
    result: success
    statistics: {Failed: 0, Passed: 13, Skipped: 0}
  name: Gateway
  summary: Core tests succeeded.
"""

FROM_ISTIO = """\
GatewayAPIInferenceExtensionVersion: v1.2.0
apiVersion: gateway.networking.k8s.io/v1
date: "2026-11-26T22:11:36Z"
gatewayAPIChannel: standard
gatewayAPIVersion: v1.5.1
implementation:
  contact:
  - local
  organization: istio
  project: istio
  url: https://istio.io
  version: 1.31-alpha.20260423
kind: ConformanceReport
mode: default
profiles:
- core:
    failedTests:
    - GatewayWeightedAcrossTwoInferencePools
    result: failure
    statistics:
      Failed: 1
      Passed: 10
      Skipped: 0
  name: Gateway
  summary: Core tests failed with 1 test failures.
"""
"""What the suite wrote about the add-on ``istio`` of a local cluster."""


def parse(text: str) -> conformance_report.SuiteReport:
    return conformance_report.parse(text.encode())


def test_what_a_report_says() -> None:
    found = parse(TEXT)
    assert (found.suite, found.gateway_api, found.version) == ("v1.5.0", "v1.5.1", "1.30.1")
    assert (found.result, found.passed, found.failed, found.skipped) == ("success", 13, 0, 0)
    assert (found.whole, found.bad) == (True, False)


@pytest.mark.parametrize(
    ("old", "new", "whole", "bad"),
    [
        ("Failed: 0", "Failed: 1", False, True),
        ("result: success", "result: failure", False, True),
        ("Passed: 13", "Passed: 0", False, False),
        ("Passed: 13", "Passed: 12", False, False),
        ("v1.5.0", "v1.6.2", False, False),
        ("v1.5.0", "v1.4.0", True, False),
        ("Skipped: 0", "Skipped: 2", False, False),
        ("result: success", "result: partial", False, False),
        ("result: success", "result: SUCCESS!", False, False),
    ],
)
def test_only_all_core_tests_are_the_whole_suite(old: str, new: str, whole: bool, bad: bool) -> None:
    found = parse(TEXT.replace(old, new))
    assert (found.whole, found.bad) == (whole, bad)


def test_what_the_suite_wrote_here_is_read_and_names_what_failed() -> None:
    found = parse(FROM_ISTIO)
    assert (found.whole, found.bad, found.passed, found.failed) == (False, True, 10, 1)
    assert "1 failed (GatewayWeightedAcrossTwoInferencePools), 0 skipped" in str(found)
    said, cause = judged(Cluster(FROM_ISTIO, pools="v1.2.0"))
    assert said == ["passed", "failed"]
    assert "GatewayWeightedAcrossTwoInferencePools" in cause
    with pytest.raises(ValueError, match="failedTests"):
        parse(FROM_ISTIO.replace("    - GatewayWeighted", "    - 1\n    - GatewayWeighted"))


@pytest.mark.parametrize(
    ("release", "tests"), [("v1.0.2", 9), ("v1.2.0", 11), ("v1.3.0", 11), ("v1.10.0", 14), ("v2.0.0", 14), ("", 9)]
)
def test_a_suite_of_a_release_has_that_many_core_tests(release: str, tests: int) -> None:
    """Else a report with tests exempted, which names none of them, would be whole."""
    lines = TEXT.splitlines(keepends=True)[1:]
    head = [f"GatewayAPIInferenceExtensionVersion: {release}\n"] if release else []
    assert parse("".join([*head, *lines])).core_tests == tests


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (TEXT, ""),
        (TEXT, "[]"),
        (TEXT, "a: [b"),
        (TEXT, "<html>passed</html>"),
        ("kind: ConformanceReport", "kind: List"),
        ("gateway.networking.k8s.io/v1", "example.com/v1"),
        ("name: Gateway", "name: Mesh"),
        ("Failed: 0, ", ""),
        ("Failed: 0", "Failed: false"),
        ("Failed: 0", "Failed: '0'"),
        ("Failed: 0", "Failed: -1"),
        ("project: istio", "project: ''"),
        ("gatewayAPIVersion: v1.5.1\n", ""),
        ("    result: success\n", "    result: failure\n    result: success\n"),
        ("kind: ConformanceReport\n", "kind: ConformanceReport\nkind: ConformanceReport\n"),
        ("profiles:\n", "profiles:\n- {core: {}, name: Gateway}\n"),
        ("profiles:", "profiles: {}\nmore:"),
        ('date: "2026-05-27T16:16:59Z"\n', ""),
    ],
)
def test_what_is_not_strictly_a_report_is_none(old: str, new: str) -> None:
    assert old in TEXT
    with pytest.raises(ValueError, match=r"."):
        parse(TEXT.replace(old, new))


@pytest.mark.parametrize(
    ("organization", "project", "controller", "same"),
    [
        ("istio", "istio", CONTROLLER, True),
        ("nginx", "nginx-gateway-fabric", "gateway.nginx.org/nginx-gateway-controller", True),
        ("envoyproxy", "envoy-ai-gateway", "gateway.envoyproxy.io/gatewayclass-controller", True),
        ("kgateway-dev", "kgateway", "kgateway.dev/kgateway", True),
        ("GoogleCloudPlatform", "gke-gateway", "networking.gke.io/gateway", True),
        ("istio", "istio", "gateway.envoyproxy.io/gatewayclass-controller", False),
        ("gateway", "gateway-api", "gateway.envoyproxy.io/gatewayclass-controller", False),
    ],
)
def test_an_implementation_is_known_in_its_controllers_name(
    organization: str, project: str, controller: str, same: bool
) -> None:
    text = TEXT.replace("organization: istio", f"organization: {organization}")
    assert parse(text.replace("project: istio", f"project: {project}")).is_of(controller) is same


class Cluster:
    """As much of a context as the suite's probe asks."""

    def __init__(self, imported: str | None = TEXT, pools: str = "v1.5.0", api: str = "v1.5.1") -> None:
        self.memo = {"class": Class("istio", CONTROLLER)}
        self.said: list[str] = []
        self._imported = imported
        self._annotations = {
            "inferencepools.inference.networking.k8s.io": {"inference.networking.k8s.io/bundle-version": pools},
            "gateways.gateway.networking.k8s.io": {"gateway.networking.k8s.io/bundle-version": api},
        }

    async def imported(self) -> bytes | None:
        return None if self._imported is None else self._imported.encode()

    async def read_named(self, _kind: object, name: str) -> Any:
        return {"metadata": {"annotations": {key: value for key, value in self._annotations[name].items() if value}}}

    def expect(self, _expected: str, observed: str, *, ok: bool, **_rest: object) -> None:
        self.said.append("passed" if ok else "failed")
        if not ok:
            raise RuntimeError(observed)

    def undecided(self, _expected: str, _observed: str, cause: str) -> Exception:
        self.said.append("undecided")
        return RuntimeError(cause)


def judged(cluster: Cluster) -> tuple[list[str], str]:
    cause = ""
    try:
        asyncio.run(cast("Any", check.suite).function(cast("Context", cluster)))
    except RuntimeError as end:
        cause = str(end)
    return cluster.said, cause


def test_a_whole_report_of_what_is_installed_passes() -> None:
    assert judged(Cluster()) == (["passed", "passed"], "")


def test_without_a_report_it_is_said_how_to_come_by_one() -> None:
    said, cause = judged(Cluster(imported=None))
    assert said == ["undecided"]
    assert "-gateway-class NAME" in cause
    assert "--import advanced_inference_ingress=" in cause


@pytest.mark.parametrize(
    "cluster",
    [
        Cluster(pools="v1.4.0"),
        Cluster(pools=""),
        Cluster(api="v1.4.0"),
        Cluster(api=""),
        Cluster(TEXT.replace("GatewayAPIInferenceExtensionVersion: v1.5.0\n", "")),
        Cluster(TEXT.replace("istio", "another")),
        Cluster(TEXT.replace("istio", "another").replace("result: success", "result: failure")),
        Cluster("nonsense"),
        Cluster(TEXT.replace("Skipped: 0", "Skipped: 1")),
    ],
)
def test_a_report_of_something_else_or_of_a_part_decides_nothing(cluster: Cluster) -> None:
    said, _ = judged(cluster)
    assert said[-1] == "undecided"
    assert "failed" not in said


def test_a_report_of_a_failure_here_fails() -> None:
    said, cause = judged(Cluster(TEXT.replace("result: success", "result: failure").replace("Failed: 0", "Failed: 2")))
    assert said == ["passed", "failed"]
    assert "2 failed" in cause


GATEWAY = Gateway(Handle(kinds.GATEWAY, "ns", "ours", "u"), CONTROLLER, "10.0.0.1", 80)


def status(kind: str, value: str, reason: str = "X", *, parent: str = "ours") -> list[dict[str, Any]]:
    conditions = [{"type": kind, "status": value, "reason": reason, "message": "m"}]
    return [{"status": {"parents": [{"parentRef": {"name": parent}, "conditions": conditions}]}}]


@pytest.mark.parametrize(
    ("objects", "outcome"),
    [
        (status("ResolvedRefs", "True"), "met"),
        (status("ResolvedRefs", "False", "InvalidKind"), "wrong"),
        (status("ResolvedRefs", "False", "BackendNotFound"), "waiting"),
        (status("ResolvedRefs", "True", parent="theirs"), "waiting"),
        (status("Accepted", "True"), "waiting"),
        ([{"status": {}}], "waiting"),
        ([{}], "waiting"),
    ],
)
def test_a_route_to_a_pool_is_resolved_by_our_gateways_implementation(objects: Any, outcome: str) -> None:
    assert inference_pools.resolved(GATEWAY)(objects).outcome == outcome


def test_a_pool_is_accepted_for_our_gateway() -> None:
    assert inference_pools.accepted(GATEWAY)(status("Accepted", "True")).outcome == "met"
    assert inference_pools.accepted(GATEWAY)(status("Accepted", "False", "NotSupportedByParent")).outcome == "wrong"
    assert inference_pools.accepted(GATEWAY)(status("ResolvedRefs", "True")).outcome == "waiting"


def served(*groups: str) -> Any:
    return inference_pools.served(cast("Any", SimpleNamespace(groups=frozenset(groups))))


def test_what_is_not_served_is_not_run_and_what_is_older_is_undecided() -> None:
    assert served("inference.networking.k8s.io/v1") is None
    assert served("gateway.networking.k8s.io/v1").outcome == "not run"
    older = served("inference.networking.x-k8s.io/v1alpha2")
    assert (older.outcome, "v1alpha2" in older.reason) == ("undecided", True)
