"""Which of the gang scheduling systems found are tried: those that run; one of them is enough."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from tests.support.scripted import Scripted

from aiconform.catalog.options import OPTIONS
from aiconform.checks._kit import gang_coscheduling, gang_kai, gang_kueue, gang_room, gang_volcano, gangs
from aiconform.checks._kit.gang import Aside, Group
from aiconform.checks._kit.gang_room import Room
from aiconform.engine import Handle, RefusedError, State, StopProbe, kinds

Obj = dict[str, Any]

ROOM = Room("room", "gpu-1", "nvidia.com/gpu", 4, 0, "4 on gpu-1")


def deployment(name: str, ready: int) -> Obj:
    template = {"spec": {"containers": [{"image": f"registry.test/{name}:v1.2"}]}}
    return {"metadata": {"name": name}, "spec": {"template": template}, "status": {"readyReplicas": ready}}


def volcano(ctx: Scripted) -> Any:
    return asyncio.run(gang_volcano.Volcano().ready(ctx, ROOM))  # type: ignore[arg-type]


def kueue(ctx: Scripted) -> Any:
    return asyncio.run(gang_kueue.Kueue().ready(ctx, ROOM))  # type: ignore[arg-type]


def test_volcano_runs_where_its_deployments_are_ready() -> None:
    ctx = Scripted()
    ctx.has(kinds.DEPLOYMENT, deployment("volcano-scheduler", 1))
    assert volcano(ctx).words == "Volcano v1.2"
    ctx.has(kinds.DEPLOYMENT, deployment("volcano-controllers", 0))
    assert volcano(ctx) == Aside("Volcano v1.2", "not ready: ours/volcano-controllers")


@pytest.mark.parametrize("spoken", [False, True])
def test_a_scheduler_of_which_no_deployment_is_known_must_speak(spoken: bool) -> None:
    ctx = Scripted()

    def speak(made: Obj) -> None:
        assert made["spec"]["schedulerName"] == "volcano"
        if spoken:
            made["status"] = {"conditions": [{"type": "PodScheduled", "status": "False"}]}

    ctx.on_create = speak
    looked = volcano(ctx)
    assert isinstance(looked, Aside) is not spoken
    if not spoken:  # kinds that were left behind, beside a system that we do not know
        reason = "nothing but its kinds was found: no scheduler volcano took a pod up in 30 s"
        assert looked == Aside("Volcano", reason, "undecided")
    assert len(ctx.gone) == 1, "the pod that asked must leave the room"


def active(made: Obj) -> None:
    if made["kind"] == "LocalQueue":
        made["status"] = {"conditions": [{"type": "Active", "status": "True", "message": "ready"}]}


def test_kueue_runs_where_it_takes_our_queue_up() -> None:
    ctx = Scripted()
    ctx.on_create = active
    assert kueue(ctx).queue == "gang-1"
    reason, ctx = "our queue is not taken up in 30 s: LocalQueue: no word of it yet", Scripted()
    assert kueue(ctx) == Aside("Kueue", f"nothing but its kinds was found: {reason}", "undecided")
    ctx.has(kinds.DEPLOYMENT, deployment("kueue-controller-manager", 1))
    assert kueue(ctx) == Aside("Kueue v1.2", f"{reason}, though it is there (ours/kueue-controller-manager: 1 ready)")


class Doubtful(Scripted):
    """Waits that end without telling what is so."""

    async def seen(self, *_: object, **__: object) -> tuple[State, list[Obj]]:
        return State("blocked", "met when read anew at the end, of which no watch had told"), []


def test_a_system_of_which_it_is_not_known_whether_it_runs_is_not_called_idle() -> None:
    for looked in (volcano(Doubtful()), kueue(Doubtful())):
        assert isinstance(looked, Aside)
        assert (looked.outcome, looked.reason[:19]) == ("undecided", "met when read anew ")


@pytest.mark.parametrize(("status", "outcome"), [(403, "undecided"), (500, "failed")])
def test_what_may_not_be_made_cannot_be_looked_at(status: int, outcome: str) -> None:
    ctx = Scripted()

    def refuse(_made: Obj) -> None:
        raise RefusedError("create Topology", status, "Why", "the webhook is away")

    ctx.on_create = refuse
    looked = kueue(ctx)
    assert isinstance(looked, Aside)
    assert (looked.outcome, "the webhook is away" in looked.reason) == (outcome, True)


class System:
    def __init__(self, words: str, aside: Aside | None = None) -> None:
        self.words = words
        self._aside = aside

    async def ready(self, _ctx: Any, _room: Room) -> Any:
        return self._aside or self


def running(ctx: Scripted, *systems: System) -> Any:
    return asyncio.run(gangs._running(ctx, ROOM, systems))  # type: ignore[arg-type]


def test_one_that_runs_is_enough_and_the_others_are_told() -> None:
    ctx, good = Scripted(), System("Kueue")
    assert running(ctx, System("Volcano", Aside("Volcano", "not ready: x")), good) == (good,)
    [(outcome, text)] = ctx.told
    assert outcome == "passed"
    assert "Kueue; set aside: Volcano: not ready: x" in text


@pytest.mark.parametrize(
    ("first", "second", "outcome"),
    [
        ("failed", "failed", "failed"),
        ("failed", "undecided", "failed"),
        ("undecided", "undecided", "undecided"),
    ],
)
def test_where_none_runs_the_check_does_not_pass(first: Any, second: Any, outcome: str) -> None:
    ctx = Scripted()
    with pytest.raises(StopProbe):
        running(ctx, System("A", Aside("A", "x", first)), System("B", Aside("B", "y", second)))
    assert [told for told, _ in ctx.told] == [outcome]


class Admitting(System):
    """Makes one pod for its group, and says of it what it was told to say.

    Args:
        words: its name.
        says: why it does not admit the group; None if it does.
        refuses: what a webhook says on its group.
        placed: whether a member gets a node all the same.
    """

    def __init__(self, words: str, says: Aside | None = None, refuses: str = "", *, placed: bool = False) -> None:
        super().__init__(words)
        self._says, self._refuses, self._placed = says, refuses, placed

    async def group(self, ctx: Scripted, room: Room, members: int) -> Group:
        if self._refuses:
            raise RefusedError("create Job", 403, "Forbidden", self._refuses)
        labels = {gang_room.GROUP_LABEL: self.words, gang_room.ROOM_LABEL: room.name}
        spec = {"nodeName": "gpu-1"} if self._placed else {}
        meta = {"name": self.words, "labels": labels}
        pod = await ctx.create({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})
        return Group(pod, self.words, members)

    async def admitted(self, _ctx: Scripted, _group: Group) -> Aside | None:
        return self._says


WAITS = Aside("Waits", "left a group that fits waiting for 90 s: PodGroup Pending")


def first_groups(ctx: Scripted, *systems: Admitting) -> tuple[list[str], list[str]]:
    """Names of the systems that are left to be tried, and of the groups."""
    arena = gangs.Arena(systems, ROOM, 4, 2)  # type: ignore[arg-type]
    arena, groups = asyncio.run(gangs.first_groups(ctx, arena))  # type: ignore[arg-type]
    return [system.words for system in arena.systems], [group.name for group in groups]


def test_one_that_admits_is_enough_and_the_group_of_the_other_goes() -> None:
    ctx = Scripted()
    assert first_groups(ctx, Admitting("Waits", WAITS), Admitting("Works")) == (["Works"], ["Works"])
    assert ctx.gone == ["Waits"]
    outcome, text = ctx.told[-1]
    assert outcome == "passed"
    assert "Works; set aside: Waits: left a group that fits waiting" in text


def test_where_none_admits_the_check_does_not_pass() -> None:
    quota = Aside("Kueue", "admitted by quota alone", "undecided")
    for says, outcome in (((WAITS,), "failed"), ((WAITS, quota), "failed"), ((quota,), "undecided")):
        ctx = Scripted()
        with pytest.raises(StopProbe):
            first_groups(ctx, *(Admitting(one.words, one) for one in says))
        assert ctx.told[-1][0] == outcome


def test_a_group_that_starts_in_part_fails_the_check_whoever_else_works() -> None:
    ctx = Scripted()
    with pytest.raises(StopProbe):
        first_groups(ctx, Admitting("Waits", WAITS, placed=True), Admitting("Works"))
    outcome, text = ctx.told[-1]
    assert outcome == "failed"
    assert "1 of 2 were given a node; left a group" in text


DENIED = 'admission webhook "validatejob.volcano.sh" denied the request: unable to find job queue'


def test_a_system_whose_webhook_takes_no_group_is_set_aside() -> None:
    ctx = Scripted()
    assert first_groups(ctx, Admitting("Volcano", refuses=DENIED), Admitting("Works"))[0] == ["Works"]
    assert (
        "set aside: Volcano: its group was not let in: create Job: 403 Forbidden: admission webhook" in ctx.told[-1][1]
    )


@pytest.mark.parametrize(
    "systems",
    [
        (Admitting("Volcano", refuses=DENIED),),
        (Admitting("Volcano", refuses=DENIED), Admitting("Kueue", refuses=DENIED)),
        (Admitting("Volcano", refuses="exceeded quota"), Admitting("Works")),
    ],
    ids=["the only one", "all", "by nobody's webhook"],
)
def test_a_group_that_is_refused_decides_nothing_alone(systems: tuple[Admitting, ...]) -> None:
    with pytest.raises(RefusedError):
        first_groups(Scripted(), *systems)


def test_who_admitted_before_must_admit_again() -> None:
    ctx, waits = Scripted(), Admitting("Waits", WAITS)
    arena = gangs.Arena((waits,), ROOM, 4, 2)  # type: ignore[arg-type]
    with pytest.raises(StopProbe):
        asyncio.run(gangs.admitted(ctx, arena, [asyncio.run(waits.group(ctx, ROOM, 2))]))  # type: ignore[arg-type]
    assert ctx.told[-1][0] == "failed"


def workload(**more: Any) -> Obj:
    said = [{"type": "Admitted", "status": "True"}, {"type": "QuotaReserved", "status": "True"}]
    owner = {"uid": "uid-of-job"}
    meta = {"name": "w", "labels": {gang_kueue.JOB_LABEL: "uid-of-job"}, "ownerReferences": [owner]}
    return {"metadata": meta, "status": {"conditions": said, "admission": {"podSetAssignments": [more]}}}


@pytest.mark.parametrize(
    ("assigned", "aside", "outcome"),
    [
        ({"count": 3, "topologyAssignment": {"levels": []}}, False, "passed"),
        ({"count": 1, "topologyAssignment": {"levels": []}}, False, "failed"),
        ({"count": 3}, True, "passed"),
    ],
)
def test_kueue_that_looks_at_quota_alone_is_set_aside(assigned: Obj, aside: bool, outcome: str) -> None:
    ctx, looked = Scripted(), None
    ctx.has(kinds.WORKLOAD, workload(**assigned))
    group = Group(Handle(kinds.JOB, "ours", "job", "uid-of-job"), "job", 3)
    with contextlib.suppress(StopProbe):
        looked = asyncio.run(gang_kueue.Kueue().admitted(ctx, group))  # type: ignore[arg-type]
    assert (isinstance(looked, Aside) and looked.outcome == "undecided") is aside
    assert ctx.told[-1][0] == outcome


def speaking(made: Obj) -> None:
    if made["kind"] == "Pod":
        made["status"] = {"conditions": [{"type": "PodScheduled", "status": "False", "message": "no room"}]}


def told(ctx: Scripted, work: Any) -> list[str]:
    """Outcomes of what is stated."""
    with contextlib.suppress(StopProbe):
        asyncio.run(work)
    return [outcome for outcome, _ in ctx.told]


class TestCoscheduling:
    async def _group(self, ctx: Scripted) -> Group:
        ready = await gang_coscheduling.Coscheduling().ready(ctx, ROOM)  # type: ignore[arg-type]
        assert not isinstance(ready, Aside)
        return await ready.group(ctx, ROOM, 3)  # type: ignore[arg-type]

    def test_its_pods_name_the_group_and_the_scheduler_that_was_told(self) -> None:
        ctx = Scripted(options={"coscheduling-scheduler": "batch-scheduler"})
        ctx.on_create = speaking
        group = asyncio.run(self._group(ctx))
        asked, pod_group, job = ctx.made
        assert asked["spec"]["schedulerName"] == "batch-scheduler"
        assert (pod_group["kind"], pod_group["spec"]["minMember"]) == ("PodGroup", 3)
        template = job["spec"]["template"]
        assert template["spec"]["schedulerName"] == "batch-scheduler"
        assert template["metadata"]["labels"]["scheduling.x-k8s.io/pod-group"] == group.name
        assert template["metadata"]["labels"][gang_room.GROUP_LABEL] == group.name

    def test_without_its_scheduler_it_is_set_aside_with_what_to_do(self) -> None:
        ctx = Scripted()
        looked = asyncio.run(gang_coscheduling.Coscheduling().ready(ctx, ROOM))  # type: ignore[arg-type]
        assert isinstance(looked, Aside)
        assert "no scheduler scheduler-plugins-scheduler took a pod up" in looked.reason
        assert looked.reason.endswith("if its scheduler has another name, tell it by --coscheduling-scheduler")
        assert looked.outcome == "undecided"

    @pytest.mark.parametrize(("told", "outcome"), [("", "undecided"), ("batch-scheduler", "failed")])
    def test_its_controller_that_was_found_is_told_of(self, told: str, outcome: str) -> None:
        ctx = Scripted(options={"coscheduling-scheduler": told})
        ctx.has(kinds.DEPLOYMENT, deployment("scheduler-plugins-controller", 1))
        looked = asyncio.run(gang_coscheduling.Coscheduling().ready(ctx, ROOM))  # type: ignore[arg-type]
        assert isinstance(looked, Aside)
        scheduler = told or "scheduler-plugins-scheduler"
        there = "though it is there (ours/scheduler-plugins-controller: 1 ready)"
        assert looked.reason.startswith(f"no scheduler {scheduler} took a pod up in 30 s, {there}")
        assert looked.outcome == outcome
        assert ("--coscheduling-scheduler" in looked.reason) is not bool(told)

    @pytest.mark.parametrize(
        ("phase", "least", "outcome"),
        [("Running", 3, "met"), ("Finished", 3, "met"), ("Running", 1, "waiting"), ("Scheduling", 3, "waiting")],
    )
    def test_it_admits_a_group_of_the_right_size(self, phase: str, least: int, outcome: str) -> None:
        seen = [{"spec": {"minMember": least}, "status": {"phase": phase}}]
        assert gang_coscheduling.admitted(3)(seen).outcome == outcome
        assert gang_coscheduling.admitted(3)([]).outcome == "waiting"

    @pytest.mark.parametrize(
        ("phase", "message", "outcome"),
        [
            ("Scheduling", "optimistic rejection in PostFilter", "met"),
            ("Pending", "PodGroup ns/g gets rejected due to Pod x is unschedulable even after PostFilter", "met"),
            ("Scheduling", "0/3 nodes are available: Insufficient nvidia.com/gpu", "waiting"),
            ("", "", "waiting"),
            ("Running", "optimistic rejection in PostFilter", "wrong"),
        ],
    )
    def test_only_the_plugins_own_words_refuse_the_group(self, phase: str, message: str, outcome: str) -> None:
        ctx = Scripted()
        ctx.has(kinds.COSCHEDULING_POD_GROUP, {"metadata": {"name": "g"}, "status": {"phase": phase}})
        said = {"type": "PodScheduled", "status": "False", "message": message}
        meta = {"name": "p", "labels": {gang_room.GROUP_LABEL: "g"}}
        ctx.has(kinds.POD, {"metadata": meta, "status": {"conditions": [said] if message else []}})
        group = Group(Handle(kinds.JOB, "ours", "g", "u"), "g", 3)
        state = asyncio.run(gang_coscheduling.Coscheduling().refusal(ctx, group))  # type: ignore[arg-type]
        assert state.outcome == outcome


class TestKai:
    async def _group(self, ctx: Scripted) -> tuple[Any, Group]:
        ready = await gang_kai.Kai().ready(ctx, ROOM)  # type: ignore[arg-type]
        assert not isinstance(ready, Aside)
        return ready, await ready.group(ctx, ROOM, 2)  # type: ignore[arg-type]

    def made(self) -> tuple[Scripted, Any, Group]:
        ctx = Scripted()
        ctx.on_create = speaking
        ready, group = asyncio.run(self._group(ctx))
        return ctx, ready, group

    def test_its_pods_are_in_our_queue_and_name_the_group(self) -> None:
        ctx, ready, group = self.made()
        above, queue, _asked, pod_group, *pods = ctx.made
        assert queue["spec"]["parentQueue"] == above["metadata"]["name"]
        assert ready.queue == queue["metadata"]["name"] == pod_group["spec"]["queue"]
        assert len(pods) == pod_group["spec"]["minMember"] == len(group.parts) == 2
        for pod in pods:
            assert pod["metadata"]["annotations"] == {"pod-group-name": group.name}
            assert pod["metadata"]["labels"]["kai.scheduler/queue"] == ready.queue
            assert pod["spec"]["schedulerName"] == "kai-scheduler"
            assert pod["metadata"]["ownerReferences"] == [], "else KAI makes a group of its own for it"

    def test_all_members_must_have_a_node(self) -> None:
        ctx, ready, group = self.made()
        names = {part.name for part in group.parts}
        pods = [pod for pod in ctx.objects["pods.v1"] if pod["metadata"]["name"] in names]
        pods[0]["spec"]["nodeName"] = "n"
        aside = asyncio.run(ready.admitted(ctx, group))
        assert aside.reason == "left a group that fits waiting for 90 s: 1 of 2 have a node"
        pods[1]["spec"]["nodeName"] = "n"
        assert asyncio.run(ready.admitted(ctx, group)) is None
        for pod in pods:
            pod["status"] = {"phase": "Succeeded"}
        assert told(ctx, ready.completed(ctx, group))[-1] == "passed"
        pods[0]["status"] = {"phase": "Failed"}
        assert told(ctx, ready.completed(ctx, group))[-1] == "failed"

    def test_the_group_itself_must_say_why_it_waits(self) -> None:
        ctx, ready, group = self.made()
        [found] = ctx.objects["podgroups.scheduling.run.ai/v2alpha2"]
        assert asyncio.run(ready.refusal(ctx, group)).outcome == "waiting"
        said = {"type": "UnschedulableOnNodePool", "status": "True", "reason": "R", "message": "1 of 2 do not fit"}
        found["status"] = {"schedulingConditions": [said]}
        state = asyncio.run(ready.refusal(ctx, group))
        assert (state.outcome, state.observed) == ("met", "PodGroup: R: 1 of 2 do not fit")
        found["status"] = {"schedulingConditions": [{**said, "status": "False"}]}
        assert asyncio.run(ready.refusal(ctx, group)).outcome == "waiting"

    def test_with_the_group_its_pods_are_removed(self) -> None:
        ctx, _, group = self.made()
        asyncio.run(gangs.removed(ctx, [group]))  # type: ignore[arg-type]
        assert {part.name for part in group.parts} | {group.handle.name} <= set(ctx.gone)


def test_systems_are_found_by_what_they_serve() -> None:
    groups = ("scheduling.run.ai/v2", "scheduling.run.ai/v2alpha2", "scheduling.x-k8s.io/v1alpha1")
    assert [system.words for system in gangs.found(Scripted(*groups).facts)] == ["KAI Scheduler", "Coscheduling"]
    assert gangs.found(Scripted("scheduling.run.ai/v2").facts) == ()
    assert set(gangs.KNOWN) == set(OPTIONS["gang-scheduler"].choices)
