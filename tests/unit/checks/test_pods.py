"""What a wait for pods makes of their states: a refusal is one, and what is merely slow says nothing."""

from __future__ import annotations

from typing import Any, cast

import pytest
from tests.support.scripted import Scripted

from aiconform.checks._kit import pods, workloads
from aiconform.checks._kit.script import Script
from aiconform.engine import Context, pod_security

Obj = dict[str, Any]


def pod(
    name: str = "p", *, node: str = "", phase: str = "Pending", waiting: str = "", refusal: str = "", reason: str = ""
) -> Obj:
    status: Obj = {"phase": phase, **({"reason": reason} if reason else {})}
    if waiting:
        status["containerStatuses"] = [{"state": {"waiting": {"reason": waiting, "message": "why"}}}]
    if refusal:
        said = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": refusal}
        status["conditions"] = [said]
    return {"metadata": {"name": name}, "spec": {"nodeName": node} if node else {}, "status": status}


RUNS = pod("runs", node="a", phase="Running")
CREATING = pod("slow", node="a", waiting="ContainerCreating")
REFUSED = pod("refused", node="a", waiting="CreateContainerError")


@pytest.mark.parametrize(
    ("found", "outcome", "words"),
    [
        (RUNS, "met", "1 of 1 pods run on a"),
        (CREATING, "blocked", "slow was given a, which has not created its containers yet"),
        (pod("new", node="a"), "blocked", "has not created its containers yet"),
        (pod("init", node="a", waiting="PodInitializing"), "blocked", "not created"),
        (pod(node="a", waiting="ImagePullBackOff"), "blocked", "ImagePullBackOff: why"),
        (REFUSED, "waiting", "CreateContainerError: why"),
        (pod(node="a", waiting="RunContainerError"), "waiting", "RunContainerError: why"),
        (pod(node="a", phase="Failed"), "wrong", "p failed"),
        (pod(node="a", phase="Failed", reason="Evicted"), "blocked", "p failed: Evicted"),
        (pod(node="a", phase="Failed", reason="Terminated"), "blocked", "p failed: Terminated"),
        (pod(node="a", phase="Failed", reason="NodeShutdown"), "blocked", "p failed: NodeShutdown"),
        (pod(node="a", phase="Failed", reason="Preempting"), "blocked", "p failed: Preempting"),
        (pod(node="a", phase="Failed", reason="OutOfpods"), "blocked", "p failed: OutOfpods"),
        (pod(node="a", phase="Failed", reason="UnexpectedAdmissionError"), "wrong", "p failed"),
        (pod(node="a", phase="Failed", reason="DeadlineExceeded"), "wrong", "p failed"),
        (pod(refusal="0/3 nodes: 3 Insufficient nvidia.com/gpu."), "blocked", "does not fit"),
        (pod(refusal="0/3 nodes: 3 cannot allocate all claims."), "blocked", "does not fit"),
        (pod(refusal="0/3 nodes: 3 Too many pods."), "blocked", "does not fit"),
        (pod(refusal="0/3 nodes: 3 node(s) had untolerated taint."), "waiting", "untolerated"),
        (pod(), "waiting", "p is Pending"),
    ],
)
def test_one_pod(found: Obj, outcome: str, words: str) -> None:
    state = pods.running([found])
    assert (state.outcome, words in state.observed) == (outcome, True), state


def test_of_several_the_one_that_says_most_is_told_of() -> None:
    failed = pod("failed", node="a", phase="Failed")
    assert pods.running([RUNS, CREATING, REFUSED, failed]).outcome == "wrong"
    evicted = pod("evicted", node="a", phase="Failed", reason="Evicted")
    assert pods.running([evicted, failed]).outcome == "wrong", "one that failed is not hidden by one that was evicted"
    # a refusal that was seen is not hidden by another pod's slow image
    assert pods.running([CREATING, REFUSED, RUNS]).observed == "refused: CreateContainerError: why"
    assert pods.running([pod("waits"), CREATING, RUNS]).outcome == "blocked"
    assert pods.running([pod("waits"), RUNS]).outcome == "waiting"


def restricted(*groups: str, **about: Any) -> Obj:
    ctx = cast("Context", Scripted(*groups))
    return pods.pod(ctx, "probe", pods.Container("c", Script("true", "")), **about)


def test_a_pod_runs_as_nobody_in_particular_on_linux() -> None:
    made = restricted(node="a")
    assert made["spec"]["securityContext"]["runAsUser"] == 65532
    assert made["spec"]["nodeSelector"] == {"kubernetes.io/os": "linux", "kubernetes.io/hostname": "a"}
    assert "annotations" not in made["metadata"]


def test_openshift_chooses_the_user_and_is_told_which_constraint_is_meant() -> None:
    made = restricted(pod_security.OPENSHIFT)
    assert made["spec"]["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert made["metadata"]["annotations"] == {"openshift.io/required-scc": "restricted-v2"}
    assert "annotations" not in restricted(pod_security.OPENSHIFT, root=True)["metadata"]
    ctx = cast("Context", Scripted(pod_security.OPENSHIFT))
    served = workloads.pod_spec(ctx, workloads.python_container(ctx, "c", "pass"))
    assert "runAsUser" not in served["securityContext"]
