"""The least role on a real cluster: enough, not more than is used, and each right that is taken away is named."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.least import Asked, Least, least, now, unused

from aiconform.engine.rights import Right
from aiconform.evidence.reader import open_bundle
from aiconform.local import Cluster
from aiconform.local.images.table import IMAGES

pytestmark = pytest.mark.cluster

REQUIREMENTS = ("driver_runtime_management", "gpu_sharing")
CLAIMS = {"resourceclaims", "resourceclaimtemplates", "resourceslices"}
IMAGE = ("--image", f"probe={IMAGES['busybox'].reference}")


@pytest.fixture(scope="module")
def user(local_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Least]:
    """Who has exactly the role that is printed for two requirements."""
    with least(local_cluster, tmp_path_factory.mktemp("least"), Asked(REQUIREMENTS)) as made:
        yield made


def test_the_role_is_enough_and_all_of_it_is_used(user: Least, tmp_path: Path) -> None:
    since = now()
    done = user.run(tmp_path / "run", *IMAGE)
    assert done.returncode == 0, done.stderr
    verdicts = open_bundle(tmp_path / "run" / "bundle").verdicts
    assert [
        (check.requirement, check.outcome, check.reason) for check in verdicts.checks if check.outcome != "passed"
    ] == []
    used = user.used(since)
    assert used.requests > 50
    assert used.refused == set()
    idle, rare = unused(user, used)
    assert idle == []
    # accelerators are asked for by their device plugin here, the quota counts, and nothing holds up the clean-up
    assert {right.resource for right in rare} <= {"apiservices", "events", "resourcequotas", *CLAIMS}
    assert {right.verb for right in rare if right.resource == "resourcequotas"} <= {"delete"}
    assert not any(right.resource.startswith("secrets") for right in used.rights)


def test_each_right_that_is_taken_away_is_named_and_nothing_is_written(user: Least) -> None:
    since = now()
    assert user.examined().rights.missing == []
    for right in user.granted:
        with user.without(right):
            assert user.named(right), str(right)
    used = user.used(since)
    assert used.refused, "reads without their right were tried"
    assert used.writes == []


def test_a_run_that_cannot_make_a_namespace_says_so_and_writes_nothing(user: Least, tmp_path: Path) -> None:
    since = now()
    dropped = Right("", "namespaces", "create")
    with user.without(dropped):
        assert user.named(dropped)
        done = user.run(tmp_path / "run", *IMAGE)
    assert done.returncode == 4
    assert "create namespaces: costs every requirement" in done.stderr
    assert user.used(since).writes == []
    assert not (tmp_path / "run" / "bundle").exists()


def test_a_run_whose_checks_lack_a_right_decides_nothing_and_writes_nothing(user: Least, tmp_path: Path) -> None:
    since = now()
    dropped = Right("", "pods/log", "get")
    with user.without(dropped):
        assert user.named(dropped)
        done = user.run(tmp_path / "run", *IMAGE)
    verdicts = open_bundle(tmp_path / "run" / "bundle").verdicts
    assert {check.outcome for check in verdicts.checks} == {"undecided"}
    assert {check.reason for check in verdicts.checks} == {"without the right to get pods/log"}
    assert user.used(since).writes == []
    assert done.returncode == 0, "both are SHOULD"


def test_the_doctor_says_all_within_its_time(user: Least) -> None:
    begun = time.monotonic()
    done = user.doctor("--format", "json")
    assert time.monotonic() - begun < 10
    assert done.returncode == 3, "no MUST was asked"
    found = json.loads(done.stdout)
    assert {one["state"] for one in found["requirements"]} == {"can run"}
    assert found["rights"]["missing"] == []
    # nothing is tried by claims here, so the role has no right to look at those, which would tell what is free
    assert {one["name"]: (one["total"], one["free"]) for one in found["devices"]} == {
        "nvidia.com/gpu": (6, 6),
        "gpu.example.com": (4, None),
    }
