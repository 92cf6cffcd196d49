"""Operators that run batch jobs: what their objects must say, what is destroyed, and what is refused."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import Any, cast

import pytest
from tests.support.scripted import Scripted

from aiconform.catalog.options import OPTIONS
from aiconform.checks import robust_controller
from aiconform.checks._kit import (
    operator,
    operator_batch,
    operator_jobset,
    operator_kueue,
    operator_trainer,
    operator_volcano,
)
from aiconform.checks._kit.operator import Operator
from aiconform.checks._kit.script import Script
from aiconform.engine import Context, Handle, RefusedError, StopProbe, kinds
from aiconform.evidence.headline import headline

Obj = dict[str, Any]

BATCH = [operator_kueue.KUEUE, operator_volcano.VOLCANO, operator_jobset.JOB_SET, operator_trainer.TRAINER]
NAMES = [one.name for one in BATCH]
BATCHES = {one.name: one.compute.args[0] for one in BATCH}  # type: ignore[attr-defined]


def member(name: str, *, phase: str = "Running", uid: str = "", going: bool = False, **labels: str) -> Obj:
    meta: Obj = {"name": name, "uid": uid or name, "namespace": "ours", "labels": labels}
    if going:
        meta["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return {"metadata": meta, "spec": {"nodeName": "n"}, "status": {"phase": phase}}


@pytest.mark.parametrize(
    ("seen", "outcome"),
    [
        ([member("a"), member("b")], "met"),
        ([member("a")], "waiting"),
        ([], "waiting"),
        ([member("a"), member("b", phase="Pending")], "blocked"),
        ([member("a"), member("b", phase="Failed")], "wrong"),
        ([member("a"), member("b"), member("c")], "wrong"),
        ([member("a"), member("b"), member("old")], "waiting"),
        ([member("a"), member("b", going=True)], "waiting"),
    ],
)
def test_a_job_is_whole_with_both_members_and_none_of_before(seen: list[Obj], outcome: str) -> None:
    assert operator_batch.whole(frozenset({"old"}))(seen).outcome == outcome


class Reporting(Scripted):
    """Members whose logs say what they computed."""

    logs: dict[str, str]

    async def log(self, pod: Handle, _container: str, *, end: str) -> str:
        return f"{self.logs[pod.name]}\n{end}\n"


@pytest.mark.parametrize(
    ("logs", "outcome"),
    [
        (("square=4", "square=9"), "passed"),
        (("square=9", "square=4"), "passed"),
        (("square=4", "square=4"), "failed"),
        (("square=4", ""), "failed"),
        (("square=9801", "square=9801"), "failed"),
    ],
)
def test_each_member_must_have_computed_its_part(logs: tuple[str, str], outcome: str) -> None:
    ctx = Reporting()
    ctx.logs = dict(zip("ab", logs, strict=True))
    ctx.memo |= {"members": [member("b"), member("a")], "script": Script("", "the end")}
    with contextlib.suppress(StopProbe):
        asyncio.run(operator_batch._compute(BATCHES["Volcano"], cast("Context", ctx)))
    assert [told for told, _ in ctx.told] == [outcome]
    line = headline(robust_controller.CHECK.headline, [{"webhook": "v.example.com"}, ctx.figures])
    assert line == ("denied by v.example.com; computed by 2 members" if outcome == "passed" else "")


def test_a_member_that_its_node_ended_is_not_one_too_many() -> None:
    evicted = member("c", phase="Failed")
    evicted["status"]["reason"] = "Evicted"
    assert operator_batch.whole(frozenset())([member("a"), member("b"), evicted]).outcome == "blocked"


def test_what_each_says_of_its_job() -> None:
    def vcjob(phase: str, running: int) -> list[Obj]:
        return [{"status": {"state": {"phase": phase}, "running": running}}]

    assert operator_volcano.runs(vcjob("Running", 2)).outcome == "met"
    assert operator_volcano.runs(vcjob("Running", 1)).outcome == "waiting"
    assert operator_volcano.runs(vcjob("Pending", 2)).outcome == "waiting"
    assert operator_volcano.runs([{}]).outcome == "waiting"

    def job_set(ready: int) -> list[Obj]:
        return [{"status": {"replicatedJobsStatus": [{"name": "member", "ready": ready}]}}]

    assert operator_jobset.runs(job_set(1)).outcome == "met"
    assert operator_jobset.runs(job_set(0)).outcome == operator_jobset.runs([{}]).outcome == "waiting"

    def workload(status: str, **meta: str) -> Obj:
        return {"metadata": meta, "status": {"conditions": [{"type": "Admitted", "status": status}]}}

    assert operator_kueue.admitted([workload("True")]).outcome == "met"
    for seen in (
        [],
        [workload("False")],
        [workload("True"), workload("True")],
        [workload("True", deletionTimestamp="t")],
    ):
        assert operator_kueue.admitted(seen).outcome == "waiting"


@pytest.mark.parametrize("tried", BATCH, ids=NAMES)
def test_twins_differ_by_one_mistake(tried: Operator) -> None:
    ctx = Scripted()
    ctx.memo["runtime"] = "right-runtime"
    right, wrong = tried.twins(cast("Context", ctx))
    assert kinds.of(right) == kinds.of(wrong) == tried.kind
    assert _without_names(right) != _without_names(wrong)
    assert {key: value for key, value in right.items() if key not in ("metadata", "spec")} == {
        key: value for key, value in wrong.items() if key not in ("metadata", "spec")
    }
    differing = [
        key for key in right["spec"] if _without_names(right)["spec"][key] != _without_names(wrong)["spec"][key]
    ]
    assert len(differing) == 1


def _without_names(obj: Any) -> Any:
    """With what the names of objects bring along replaced."""
    if isinstance(obj, dict):
        return {key: _without_names(value) for key, value in obj.items()}
    if isinstance(obj, list):
        return [_without_names(value) for value in obj]
    return "name" if isinstance(obj, str) and obj.startswith(("right-", "wrong-", "member-")) else obj


def test_what_is_destroyed() -> None:
    members = [member("b"), member("a")]
    made = Handle(kinds.JOB, "ours", "batch", "job-uid")
    ctx = Scripted()
    first, gone = asyncio.run(operator_volcano.victim(cast("Context", ctx), made, members))
    assert (first.kind, first.name, gone) == (kinds.POD, "a", {"a"})
    ctx.has(kinds.JOB, {"metadata": {"name": "j", "labels": {"jobset.sigs.k8s.io/jobset-name": "batch"}}})
    job, gone = asyncio.run(operator_jobset.victim(cast("Context", ctx), made, members))
    assert (job.kind, job.name, gone) == (kinds.JOB, "j", {"a", "b"})
    ctx.has(kinds.WORKLOAD, {"metadata": {"name": "w", "labels": {"kueue.x-k8s.io/job-uid": "job-uid"}}})
    workload, gone = asyncio.run(operator_kueue.victim(cast("Context", ctx), made, members))
    assert (workload.kind, workload.name, gone) == (kinds.WORKLOAD, "w", {"a", "b"})


@pytest.mark.parametrize("tried", BATCH, ids=NAMES)
def test_the_operators_own_denial_of_the_mistake_passes_and_another_does_not(tried: Operator) -> None:
    hook = {
        "name": "v.example.com",
        "clientConfig": {"service": {"namespace": "ours", "name": "webhook"}},
        "rules": [{"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"], "operations": ["CREATE"]}],
    }

    def judged(message: str) -> list[str]:
        ctx = Scripted()
        ctx.memo["runtime"] = "runtime"
        labels = {"app": "operator"}
        ctx.memo["pods"] = [
            {"metadata": {"namespace": "ours", "labels": {}}},
            {"metadata": {"namespace": "ours", "labels": labels}},
        ]
        ctx.has(kinds.SERVICE, {"metadata": {"name": "webhook"}, "spec": {"selector": labels}})
        ctx.has(kinds.VALIDATING_WEBHOOKS, {"metadata": {"name": "own"}, "webhooks": [hook]})

        def refuse(made: Obj) -> None:
            if made["metadata"]["name"].startswith("wrong"):
                raise RefusedError("create", 403, "Forbidden", message)

        ctx.on_create = refuse
        with contextlib.suppress(StopProbe):
            asyncio.run(operator.refuses(cast("Context", ctx), tried))
        return [outcome for outcome, _ in ctx.told]

    denied = 'admission webhook "v.example.com" denied the request: '
    assert judged(f"{denied}{tried.mistake}: no") == ["passed", "passed", "passed"]
    assert judged(f"{denied}something else") == ["passed", "passed", "failed"]
    assert judged(f"is invalid: {tried.mistake}") == ["passed", "passed", "failed"]
    assert judged(f'admission webhook "other" denied the request: {tried.mistake}') == ["passed", "passed", "undecided"]


SEEN_DENIALS = {
    operator_jobset.TITLE: (
        'admission webhook "vjobset.kb.io" denied the request: '
        "invalid replicatedJob name 'nobody' does not appear in .spec.ReplicatedJobs"
    ),
    operator_trainer.TITLE: (
        'admission webhook "validator.trainjob.trainer.kubeflow.org" denied the request: '
        'spec.runtimeRef: Invalid value: {"name":"nothing-1","apiGroup":"trainer.kubeflow.org",'
        '"kind":"TrainingRuntime"}: '
        'TrainingRuntime.trainer.kubeflow.org "nothing-1" not found: '
        "specified trainingRuntime must be created before the TrainJob is created"
    ),
}
"""What JobSet v0.10.1 and Kubeflow Trainer v2.1.0 said to the wrong twin on a real cluster."""


@pytest.mark.parametrize("title", SEEN_DENIALS)
def test_the_mistake_is_named_as_the_real_webhook_names_it(title: str) -> None:
    [tried] = [one for one in BATCH if one.name == title]
    assert tried.mistake in SEEN_DENIALS[title]


def test_the_statuses_that_the_real_controllers_wrote() -> None:
    counts = {"active": 1, "failed": 0, "succeeded": 0, "suspended": 0}
    for runs, field, name in (
        (operator_jobset.runs, "replicatedJobsStatus", "member"),
        (operator_trainer.runs, "jobsStatus", "node"),
    ):
        for ready, outcome in ((0, "waiting"), (1, "met")):
            status = {field: [{**counts, "name": name, "ready": ready}], "restarts": 0}
            assert runs([{"status": status}]).outcome == outcome


def test_every_operator_can_be_asked_for() -> None:
    assert [operator._option(one) for one in robust_controller.KNOWN] == list(OPTIONS["operator"].choices)


def test_a_train_job_is_of_a_runtime_of_ours() -> None:
    ctx = Scripted()
    template = operator_batch.template(cast("Context", ctx), Script("", ""), operator_trainer.CONTAINER)
    made = asyncio.run(operator_trainer.job(cast("Context", ctx), template))
    runtime, train_job = ctx.made
    assert train_job["spec"]["runtimeRef"]["name"] == runtime["metadata"]["name"] == made.name
    [job] = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    assert job["template"]["spec"]["template"]["spec"]["containers"][0]["name"] == "node"

    def ready(number: int) -> list[Obj]:
        return [{"status": {"jobsStatus": [{"name": "node", "ready": number}]}}]

    assert (operator_trainer.runs(ready(1)).outcome, operator_trainer.runs(ready(0)).outcome) == ("met", "waiting")
    ctx.has(kinds.JOB_SET, {"metadata": {"name": made.name}})
    job_set, gone = asyncio.run(operator_trainer.victim(cast("Context", ctx), made, [member("a")]))
    assert (job_set.kind, job_set.name, gone) == (kinds.JOB_SET, made.name, {"a"})


def test_the_operator_that_is_asked_for_is_tried() -> None:
    ctx = Scripted("ray.io/v1", "kueue.x-k8s.io/v1beta2", "batch.volcano.sh/v1alpha1")
    assert operator.chosen(cast("Context", ctx), robust_controller.KNOWN).name == "KubeRay"
    ctx.facts = replace(ctx.facts, options={"operator": "kueue"})
    assert operator.chosen(cast("Context", ctx), robust_controller.KNOWN).name == "Kueue"
    ctx.facts = replace(ctx.facts, options={"operator": "jobset"})
    unmet = operator.need(robust_controller.KNOWN)(ctx.facts)
    assert unmet is not None
    assert "does not serve the AI operator that is asked for: JobSet" in unmet.reason


def test_what_an_operator_does_not_let_go_fails() -> None:
    class Stuck(Scripted):
        async def delete(self, handle: Handle) -> None:
            self.gone.append(handle.name)

    def held(made: Obj) -> None:
        made["metadata"]["finalizers"] = [operator_kueue.FINALIZER]

    for ctx, outcome in ((Scripted(), "passed"), (Stuck(), "failed")):
        ctx.on_create = held
        with contextlib.suppress(StopProbe):
            asyncio.run(operator_kueue.KUEUE.finalize(cast("Context", ctx)))
        assert ctx.told[-1][0] == outcome
    ctx = Scripted()
    with contextlib.suppress(StopProbe):
        asyncio.run(operator_kueue.KUEUE.finalize(cast("Context", ctx)))
    assert ctx.told[-1][0] == "failed", "it is not held at all"


def test_what_tells_that_an_operator_has_dealt_with_an_object() -> None:
    def conditions(status: str) -> Obj:
        return {"metadata": {}, "status": {"conditions": [{"type": "Suspended", "status": status}]}}

    suspended = (conditions("True"), conditions("False"))
    told: dict[str, tuple[Obj, Obj]] = {
        "JobSet": suspended,
        "Kubeflow Trainer": suspended,
        "Volcano": ({"metadata": {}, "status": {"state": {"phase": "Pending"}}}, {"metadata": {}, "status": {}}),
        "Kueue": ({"metadata": {"finalizers": [operator_kueue.FINALIZER]}}, {"metadata": {"finalizers": ["other"]}}),
    }
    assert set(told) == set(NAMES)
    for name, (dealt, not_yet) in told.items():
        assert BATCHES[name].dealt([dealt]).outcome == "met"
        assert BATCHES[name].dealt([not_yet]).outcome == BATCHES[name].dealt([{"metadata": {}}]).outcome == "waiting"


def test_what_takes_the_place_of_a_lost_member_may_have_its_name() -> None:
    class Mending(Reporting):
        """Volcano makes a lost member anew, under the same name."""

        async def delete(self, handle: Handle) -> None:
            await super().delete(handle)
            if self.mends:
                self.has(kinds.POD, member(handle.name, uid="anew", **LABELS))

        mends = True

    for mends, outcomes in ((True, {"passed"}), (False, {"failed"})):
        ctx = Mending()
        ctx.mends = mends
        ctx.logs = {"batch-member-0": "square=4", "batch-member-1": "square=9"}
        made = Handle(kinds.VOLCANO_JOB, "ours", "batch", "uid-of-batch")
        status = {"state": {"phase": "Running"}, "running": 2}
        ctx.has(kinds.VOLCANO_JOB, {"metadata": {"name": "batch"}, "status": status})
        ctx.has(kinds.POD, *(member(name, **LABELS) for name in ctx.logs))
        ctx.memo |= {"cluster": made, "members": list(ctx.objects["pods.v1"]), "script": Script("", "the end")}
        with contextlib.suppress(StopProbe):
            asyncio.run(operator_volcano.VOLCANO.disturb(cast("Context", ctx)))
        assert ctx.gone == ["batch-member-0"]
        assert {outcome for outcome, _ in ctx.told} == outcomes, ctx.told


LABELS = {"volcano.sh/job-name": "batch"}
