"""What recorded runs created: all of it is marked as ours, bounded in time, and owned by something that goes.

Whatever becomes of us, it ends: pods and Jobs by a deadline, the rest with the guard or the root that it belongs to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiconform.checks import all_checks
from aiconform.engine import kinds
from aiconform.engine.guards import DEADLINE_S, NETWORK_LABEL, NETWORK_NEEDED, NO_GUARD, SPARE_S
from aiconform.engine.ownership import CHECK_LABEL, MANAGED_BY, NONCE, RUN_LABEL, namespaces, nonce
from aiconform.engine.rights import chosen
from aiconform.evidence.reader import Bundle, open_bundle

GOLDEN = Path(__file__).parents[2] / "golden"
_NETWORK = re.compile(r"^\s*(?:import|from) (?:http|socket|urllib|ray)\b", re.MULTILINE)
Obj = dict[str, Any]
BUNDLES = sorted(path.name.removesuffix(".tar.gz") for path in GOLDEN.glob("*.tar.gz"))


@pytest.fixture(scope="module", params=BUNDLES)
def bundle(request: pytest.FixtureRequest) -> Bundle:
    return open_bundle(GOLDEN / f"{request.param}.tar.gz")


def made(bundle: Bundle) -> list[Obj]:
    """The manifests of all creations that were answered by a yes."""
    return [manifest for lane in bundle.lanes.values() for manifest in _made(bundle, lane)]


def _made(bundle: Bundle, lane: Any) -> Iterator[Obj]:
    asked: Obj | None = None
    for record in lane:
        if record.type == "request":
            # access reviews are questions, which are not stored
            create = (
                record.data["method"] == "POST"
                and record.data.get("body")
                and "/apis/authorization" not in record.data["path"]
            )
            asked = json.loads(bundle.blob(record.data["body"])) if create else None
        elif record.type == "response" and asked is not None and record.data["status"] == 201:
            yield asked


def owners(manifest: Obj) -> list[str]:
    return [f"{owner['kind']}/{owner['name']}" for owner in manifest["metadata"].get("ownerReferences") or []]


def name(manifest: Obj) -> str:
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def fence_or_guard(manifest: Obj) -> bool:
    return manifest["metadata"]["name"] == "aiconform" or manifest["metadata"]["name"].startswith("guard-")


def templates(manifest: Obj) -> Iterator[Obj]:
    """The pods that a manifest stands for."""
    if manifest["kind"] == "Pod":
        yield manifest
    spec = manifest.get("spec") or {}
    for group in [
        spec,
        *(spec.get("tasks") or []),
        spec.get("headGroupSpec") or {},
        *(spec.get("workerGroupSpecs") or []),
    ]:
        if "template" in group:
            yield group["template"]


def test_everything_carries_all_marks(bundle: Bundle) -> None:
    run = bundle.plan.run
    found = made(bundle)
    assert len(found) >= 5
    for manifest in found:
        meta = manifest["metadata"]
        assert (meta["labels"][RUN_LABEL], meta["labels"][MANAGED_BY]) == (run, "aiconform"), name(manifest)
        assert meta["annotations"][NONCE] == nonce(run, manifest), name(manifest)


def test_everything_of_the_cluster_belongs_to_the_root_and_is_looked_for(bundle: Bundle) -> None:
    root = namespaces(bundle.plan.run)["restricted"]
    for manifest in made(bundle):
        kind = kinds.of(manifest)
        if not kind.namespaced and manifest["metadata"]["name"] != root:
            assert owners(manifest) == [f"Namespace/{root}"], name(manifest)
            assert kind in (kinds.NAMESPACE, *kinds.MADE_CLUSTER_WIDE), f"a clean-up does not look for {kind.kind}"


def test_every_kind_of_the_cluster_that_a_check_may_create_is_looked_for() -> None:
    known = [kind for kind in vars(kinds).values() if isinstance(kind, kinds.Kind) and not kind.namespaced]
    of_the_cluster = {(kind.api_version.rpartition("/")[0], kind.plural): kind for kind in known}
    rights = {
        right for check in all_checks().values() for right in chosen(check.rights, None) if right.verb == "create"
    }
    created = {of_the_cluster[key] for one in rights if (key := (one.group, one.resource)) in of_the_cluster}
    assert created == set(kinds.MADE_CLUSTER_WIDE)


def told_unguarded(bundle: Bundle) -> set[str]:
    """The checks that began while the cluster's webhooks did not answer: the bundle must say so."""
    texts = (str(record.data["text"]) for record in bundle.records if record.type == "note")
    return {text.removeprefix(f"{NO_GUARD} ").partition(":")[0] for text in texts if text.startswith(NO_GUARD)}


def test_everything_in_a_namespace_belongs_to_a_guard_with_a_deadline(bundle: Bundle) -> None:
    found = made(bundle)
    guards = {name(one): one["spec"] for one in found if one["metadata"]["name"].startswith("guard-")}
    assert guards
    unguarded = told_unguarded(bundle)
    most = {check.requirement: sum(probe.timeout_s for probe in check.probes) for check in bundle.plan.checks}
    for one in found:
        if name(one) in guards:
            assert (one["spec"]["parallelism"], one["spec"]["ttlSecondsAfterFinished"]) == (0, 0)
            within = most[one["metadata"]["labels"][CHECK_LABEL]]
            assert one["spec"]["activeDeadlineSeconds"] == max(DEADLINE_S, round(within) + SPARE_S)
    for manifest in found:
        if kinds.of(manifest).namespaced and not fence_or_guard(manifest):
            if not owners(manifest):
                assert manifest["metadata"]["labels"][CHECK_LABEL] in unguarded, name(manifest)
                continue
            assert len(owners(manifest)) == 1, name(manifest)
            assert owners(manifest)[0] in guards, name(manifest)


def test_every_pod_and_job_has_a_deadline_of_its_own(bundle: Bundle) -> None:
    seen = 0
    for manifest in made(bundle):
        if manifest["kind"] == "Pod":
            own = manifest["spec"]["activeDeadlineSeconds"]
            assert 0 < own <= 2 * 3600, name(manifest)
            if own > 3600:  # a cloud may take long to remove a node: its check's guard ends such a pod before
                assert owners(manifest)[0].startswith("Job/guard-"), name(manifest)
        elif manifest["kind"] == "Job" and manifest["apiVersion"].startswith("batch/"):
            assert manifest["spec"]["activeDeadlineSeconds"] > 0, name(manifest)
            assert 0 <= manifest["spec"]["ttlSecondsAfterFinished"] <= 600, name(manifest)
        elif manifest["kind"] == "Job":
            assert 0 <= manifest["spec"]["ttlSecondsAfterFinished"] <= 600, name(manifest)
        else:
            continue
        seen += 1
    assert seen


def test_every_namespace_has_its_fences(bundle: Bundle) -> None:
    found = made(bundle)
    spaces = [one for one in found if one["kind"] == "Namespace"]
    assert spaces
    for space in spaces:
        assert "pod-security.kubernetes.io/enforce" in space["metadata"]["labels"]
        inside = {one["kind"] for one in found if one["metadata"].get("namespace") == space["metadata"]["name"]}
        assert {"ResourceQuota", "LimitRange", "NetworkPolicy"} <= inside


def test_exactly_the_pods_that_serve_or_ask_may_talk(bundle: Bundle) -> None:
    """Cut off from the network, they would fail a check for what we did ourselves."""
    for manifest in made(bundle):
        for pod in () if fence_or_guard(manifest) else templates(manifest):
            commands = [str(part) for one in pod["spec"]["containers"] for part in one.get("command") or []]
            talks = any(_NETWORK.search(part) for part in commands)
            labels = (pod.get("metadata") or {}).get("labels") or {}
            if manifest["kind"] in ("RayCluster", "RayJob"):
                continue  # the operator's label exempts them
            assert (labels.get(NETWORK_LABEL) == NETWORK_NEEDED) is talks, name(manifest)


def test_gateways_are_made_where_pods_of_their_controllers_may_run() -> None:
    """Istio, for one, runs a Gateway's pods beside it, and they do not hold to the restricted standard."""
    makers = [
        check
        for check in all_checks().values()
        if any("create" in line and "gateways." in line for line in check.rights if isinstance(line, str))
    ]
    assert {check.requirement for check in makers} == {"ai_inference", "advanced_inference_ingress"}
    assert {check.pod_security for check in makers} == {"baseline"}
