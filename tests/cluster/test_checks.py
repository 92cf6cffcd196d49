"""The checks on a real cluster: a good one, one broken in one place at a time, and runs that are cut short."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.mutants.breaking import labelled
from tests.mutants.secure_accelerator_access import NODE, RUNTIME_CONFIG, SETTING, obliging

from aiconform.evidence.documents import CheckVerdict, Verdicts
from aiconform.evidence.reader import open_bundle
from aiconform.local import Cluster
from aiconform.local.images.table import IMAGES

pytestmark = pytest.mark.cluster

DRIVER = "nvidia.com/cuda.driver-version.full"
REPLICAS = "nvidia.com/gpu.replicas"
LIMIT_S = 400


def command(cluster: Cluster, output: Path, *requirements: str) -> list[str]:
    """The command line of a run on this cluster."""
    image = f"probe={IMAGES['busybox'].reference}"
    where = ["--kubeconfig", str(cluster.kubeconfig), "--output", str(output), "--image", image]
    return [sys.executable, "-m", "aiconform", "run", *requirements, *where]


def run(cluster: Cluster, output: Path, *requirements: str) -> tuple[int, Verdicts]:
    """Run requirements; the exit code and the sealed verdicts."""
    done = subprocess.run(
        command(cluster, output, *requirements), capture_output=True, text=True, check=False, timeout=LIMIT_S
    )
    assert "Traceback" not in done.stderr
    assert (output / "bundle" / "manifest.json").is_file(), done.stderr
    return done.returncode, open_bundle(output / "bundle").verdicts


def only(verdicts: Verdicts) -> CheckVerdict:
    """The one requirement of a run."""
    (check,) = verdicts.checks
    return check


def failed(check: CheckVerdict) -> dict[str, str]:
    """What failed, by probe: the observation in words."""
    return {
        probe.id: " | ".join(f"{o.expected}: {o.observed}" for o in probe.observations if o.outcome == "failed")
        for probe in check.probes
        if probe.outcome == "failed"
    }


def ours(cluster: Cluster) -> list[str]:
    """Namespaces of runs that are still there."""
    return cluster.kubectl("get", "namespaces", "-l", "aiconform.dev/run", "-o", "name").split()


def verify(bundle: Path, *prefix: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*prefix, sys.executable, "-m", "aiconform", "verify", str(bundle)], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def good(local_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Path]:
    """A run of the whole checklist on a good cluster."""
    output = tmp_path_factory.mktemp("good") / "run"
    code, _verdicts = run(local_cluster, output)
    return code, output


def test_a_good_cluster_earns_what_can_be_run(good: tuple[int, Path]) -> None:
    code, output = good
    verdicts = open_bundle(output / "bundle").verdicts
    outcomes = {check.requirement: check.outcome for check in verdicts.checks}
    assert code == 3, "this cluster carries no add-ons, so seven requirements cannot be earned"
    assert {name: outcome for name, outcome in outcomes.items() if outcome != "not run"} == {
        "dra_support": "passed",
        "driver_runtime_management": "passed",
        "gpu_sharing": "passed",
        "secure_accelerator_access": "passed",
        "virtualized_accelerator": "n/a",
        "accelerator_metrics": "undecided",  # an exporter that is not known may be there all the same
        "ai_service_metrics": "undecided",  # and so may a Prometheus
    }
    assert verdicts.simulated
    assert len(outcomes) == 12


def test_nothing_of_a_run_is_left(local_cluster: Cluster, good: tuple[int, Path]) -> None:
    assert open_bundle(good[1] / "bundle").verdicts.left_behind == []
    assert ours(local_cluster) == []
    claims = local_cluster.kubectl("get", "resourceclaims", "--all-namespaces", "-o", "name")
    assert claims.split() == []


def test_the_bundle_is_verified_without_any_network(good: tuple[int, Path]) -> None:
    for form in ("bundle", "bundle.tar.gz"):
        done = verify(good[1] / form, "unshare", "--net")
        assert done.returncode == 0, done.stdout + done.stderr


def test_an_edited_transcript_is_found(good: tuple[int, Path], tmp_path: Path) -> None:
    forged = tmp_path / "bundle"
    subprocess.run(["cp", "-a", str(good[1] / "bundle"), str(forged)], check=True)
    blob = next(p for p in sorted((forged / "blobs" / "sha256").iterdir()) if b"devices=0" in p.read_bytes())
    blob.write_bytes(blob.read_bytes().replace(b"devices=0", b"devices=1"))
    done = verify(forged)
    assert done.returncode == 1
    assert blob.name[:12] in done.stdout + done.stderr


def test_no_credential_and_no_address_is_in_the_bundle(local_cluster: Cluster, good: tuple[int, Path]) -> None:
    fields = dict(re.findall(r"([a-z-]+-data): (\S+)", local_cluster.kubeconfig.read_text()))
    key = base64.b64decode(fields["client-key-data"])
    lines = [line for line in key.splitlines() if len(line) > 40]
    needles = [fields["client-key-data"].encode()[:64], fields["client-certificate-data"].encode()[:64], *lines]
    addresses = [b"198.18.0.2", b"198.18.0.3", b"198.18.0.4"]
    for path in (good[1]).rglob("*"):
        if path.is_file() and path.suffix != ".gz":
            text = path.read_bytes()
            assert not any(needle in text for needle in needles + addresses), path


def test_a_forged_driver_label_fails(local_cluster: Cluster, tmp_path: Path) -> None:
    with labelled(local_cluster, "gpu-0", DRIVER, "570.86.15"):
        code, verdicts = run(local_cluster, tmp_path / "run", "driver_runtime_management")
    check = only(verdicts)
    assert check.outcome == "failed"
    assert "570.86.15" in failed(check)["advertised_is_installed"]
    assert "580.126.20" in failed(check)["advertised_is_installed"]
    assert code == 0, "a SHOULD that fails does not fail the run"


def test_shares_that_are_not_there_fail(local_cluster: Cluster, tmp_path: Path) -> None:
    with labelled(local_cluster, "gpu-1", REPLICAS, "6"):
        _code, verdicts = run(local_cluster, tmp_path / "run", "gpu_sharing")
    assert "4 on gpu-1" in failed(only(verdicts))["offered"]


def test_a_runtime_that_gives_devices_to_whoever_asks_fails(local_cluster: Cluster, tmp_path: Path) -> None:
    with obliging(local_cluster):
        assert "true" in local_cluster.enter(NODE, ["grep", SETTING, RUNTIME_CONFIG]).stdout
        code, verdicts = run(local_cluster, tmp_path / "run", "secure_accelerator_access")
    assert code == 1
    problems = failed(only(verdicts))
    assert set(problems) == {"not_granted"}
    assert "RuntimeClass nvidia" in problems["not_granted"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_cleans_up_and_seals(local_cluster: Cluster, tmp_path: Path, number: signal.Signals) -> None:
    output = tmp_path / "run"
    process = subprocess.Popen(command(local_cluster, output, "gpu_sharing"), stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        while not (log := output / "bundle" / "log.jsonl").is_file() or b"gpu_sharing/together" not in log.read_bytes():
            assert time.monotonic() < deadline, "the run did not get far enough"
            time.sleep(0.1)
        os.kill(process.pid, number)
        _out, said = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130, said
    assert "Traceback" not in said
    bundle = open_bundle(output / "bundle")
    assert bundle.verdicts.partial
    assert ours(local_cluster) == []
    assert verify(output / "bundle").returncode == 0


def test_a_cluster_that_is_gone_is_one_clear_error(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "gone", "cluster": {"server": "https://127.0.0.1:9"}}],
                "users": [{"name": "gone", "user": {"token": "a-token-of-nobody"}}],
                "contexts": [{"name": "gone", "context": {"cluster": "gone", "user": "gone"}}],
                "current-context": "gone",
            }
        )
    )
    argv = [
        sys.executable,
        "-m",
        "aiconform",
        "run",
        "--kubeconfig",
        str(kubeconfig),
        "--output",
        str(tmp_path / "run"),
    ]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 4
    assert "connection refused" in done.stderr
    assert "hint:" in done.stderr
    assert "Traceback" not in done.stderr
    assert "a-token-of-nobody" not in done.stderr
