"""Istio with the inference extension, where it was built before: pools accepted, upstream's suite, and its report."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import model_pool

from aiconform.checks._kit import conformance_report
from aiconform.evidence.reader import open_bundle
from aiconform.local import Cluster, down, inference_suite, up
from aiconform.local.addons import imports
from aiconform.local.addons.registry import wanted
from aiconform.local.components import COMPONENTS
from aiconform.local.images.table import IMAGES, ensure_images
from aiconform.local.programs import build
from aiconform.progress import Silent

REQUIREMENT = "advanced_inference_ingress"
NEEDED = ("istio", "gateway-api-inference-extension")
TEST = "GatewayFollowingEPPRouting"

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(
        not all(build.place(COMPONENTS[name]).exists() for name in NEEDED),
        reason=f"not built, it takes minutes: python -m aiconform.local.prebuild {' '.join(NEEDED)}",
    ),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A cluster of its own: two implementations of the Gateway API in one would be two classes to choose from."""
    name = f"pools-{os.getpid()}"
    try:
        yield up(name, "plain", owner_pid=os.getpid(), addons=wanted(["istio"]))
    finally:
        down(name)


def outcomes(cluster: Cluster, output: Path, *options: str) -> dict[str, tuple[str, str]]:
    """What the requirement's probes came to, and why."""
    command = ["-m", "aiconform", "run", REQUIREMENT, "--release", "1.36", "--gateway-class", "istio"]
    command += ["--kubeconfig", str(cluster.kubeconfig), "--output", str(output)]
    images = ["--image", f"probe={IMAGES['busybox'].reference}"]
    subprocess.run([sys.executable, *command, *images, *options], capture_output=True, check=False, timeout=600)
    (check,) = open_bundle(output / "bundle").verdicts.checks
    return {probe.id: (probe.outcome, probe.reason) for probe in check.probes}


def test_pools_are_accepted_and_without_a_report_nothing_passes(cluster: Cluster, tmp_path: Path) -> None:
    found = outcomes(cluster, tmp_path / "run")
    assert found["accepted"][0] == "passed"
    assert found["suite"][0] == "undecided"


def test_requests_follow_the_picker_and_a_part_of_the_suite_decides_nothing(cluster: Cluster, tmp_path: Path) -> None:
    report = tmp_path / "report.yaml"
    report.write_bytes(inference_suite.run(cluster, tmp_path / "report.log", Silent(), TEST))
    said = conformance_report.parse(report.read_bytes())
    assert (said.passed, said.failed, said.whole) == (1, 0, False)
    assert f"--- PASS: TestConformance/{TEST}" in (tmp_path / "report.log").read_text()
    found = outcomes(cluster, tmp_path / "run", "--import", f"{REQUIREMENT}={report}")
    assert found["suite"][0] == "undecided"
    assert "part of the suite" in found["suite"][1]


def test_the_whole_suite_passes_and_its_report_is_what_the_requirement_asks(cluster: Cluster, tmp_path: Path) -> None:
    report = tmp_path / "report.yaml"
    report.write_bytes(inference_suite.run(cluster, tmp_path / "report.log", Silent()))
    said = conformance_report.parse(report.read_bytes())
    assert said.whole, str(said)
    found = outcomes(cluster, tmp_path / "run", "--import", f"{REQUIREMENT}={report}")
    assert {outcome for outcome, _ in found.values()} == {"passed"}


def settled(cluster: Cluster, good: set[str], within_s: float = 120) -> dict[str, int]:
    """What ten requests come to, once they come to nothing but this."""
    end = time.monotonic() + within_s
    while not (found := model_pool.asked(cluster, 10)).keys() <= good and time.monotonic() < end:
        time.sleep(2)
    return found


@pytest.fixture
def pool(cluster: Cluster) -> Iterator[Cluster]:
    """Two servers, one of which says that fifty requests wait for it."""
    images = ensure_images(["inference-epp", "python"], build.Binaries({}), Silent())
    imports.bring(cluster, images.values(), Silent())
    model_pool.apply(cluster, model_pool.objects("istio"))
    space = f"--namespace={model_pool.NAMESPACE}"
    cluster.kubectl("wait", space, "--for=condition=Programmed", "gateway/gateway", "--timeout=120s")
    cluster.kubectl("wait", space, "--for=condition=Ready", "pod", "--all", "--timeout=120s")
    yield cluster
    cluster.kubectl("delete", "namespace", model_pool.NAMESPACE, "--timeout=120s")


def test_a_picker_decides_by_what_servers_say_of_themselves(pool: Cluster) -> None:
    assert settled(pool, {model_pool.CALM}) == {model_pool.CALM: 10}
    assert model_pool.asked(pool, 200) == {model_pool.CALM: 200}
    pool.kubectl("scale", f"--namespace={model_pool.NAMESPACE}", "deployment/picker", "--replicas=0")
    assert settled(pool, {"500", "503"}).keys() <= {"500", "503"}, "the pool's failure mode is FailClose"
