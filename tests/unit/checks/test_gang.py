"""What the pods and objects of groups are taken to say."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from aiconform.catalog import accelerators
from aiconform.checks._kit import gang, gang_kueue, gang_room, gangs
from aiconform.checks._kit.gang import Group
from aiconform.checks._kit.gang_room import FILLER, GROUP_LABEL, PLAIN
from aiconform.checks._kit.gang_tally import Tally
from aiconform.engine import AcceleratorNode, Facts, Handle, kinds

Obj = dict[str, Any]

GROUP = Group(Handle(kinds.JOB, "ns", "volcano-1", "job-uid"), "volcano-1", 2)
ALONE = ["kueue.x-k8s.io/v1beta2"]
BOTH = [*ALONE, "batch.volcano.sh/v1alpha1", "scheduling.volcano.sh/v1beta1"]


def pod(
    group: str = "volcano-1",
    *,
    phase: str = "Pending",
    node: str = "",
    spell: tuple[str, str] = ("", ""),
    refused: str = "",
    uid: str = "u",
) -> Obj:
    status: Obj = {"phase": phase}
    if spell[0]:
        began, ended = (f"2026-01-01T00:00:{second}Z" if second else "" for second in spell)
        state = (
            {"terminated": {"startedAt": began, "finishedAt": ended}} if ended else {"running": {"startedAt": began}}
        )
        status["containerStatuses"] = [{"state": state}]
    if refused:
        status["conditions"] = [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": refused}
        ]
    spec = {"nodeName": node, "schedulerName": "volcano"} if node else {}
    return {"metadata": {"name": "p", "uid": uid, "labels": {GROUP_LABEL: group}}, "spec": spec, "status": status}


def runs(began: str, ended: str = "", **rest: Any) -> Obj:
    return pod(phase="Succeeded" if ended else "Running", node="n", spell=(began, ended), **rest)


class TestTogether:
    condition = staticmethod(gang.together(GROUP))

    def test_all_that_run_now_run_together(self) -> None:
        state = self.condition([runs("01"), runs("03"), runs("01", group=FILLER)])
        assert state.outcome == "met"
        assert dict(state.figures) == {"scheduler of the pods": "volcano", "started within": "2 s"}

    def test_one_that_has_ended_was_there_when_the_other_began(self) -> None:
        assert self.condition([runs("01", "07"), runs("03")]).outcome == "met"

    @pytest.mark.parametrize("began", ["07", "09"])
    def test_one_after_another_is_not_together(self, began: str) -> None:
        state = self.condition([runs("01", "07"), runs(began)])
        assert (state.outcome, "not at the same time" in state.observed) == ("wrong", True)

    def test_some_without_the_others_is_a_group_in_part(self) -> None:
        state = self.condition([runs("01"), pod(refused="1 Insufficient nvidia.com/gpu")])
        assert (state.outcome, state.observed[:16]) == ("waiting", "started in part:")

    def test_a_member_that_its_node_ended_is_no_start_in_part(self) -> None:
        ended = pod(node="n", phase="Failed")
        ended["status"]["reason"] = "Evicted"
        state = self.condition([runs("01"), ended])
        assert (state.outcome, state.observed) == ("blocked", "p failed: Evicted")

    def test_none_for_want_of_room_says_nothing_about_the_group(self) -> None:
        assert self.condition([pod(refused="Insufficient x"), pod(refused="Insufficient x")]).outcome == "blocked"

    @pytest.mark.parametrize(("number", "outcome"), [(0, "waiting"), (1, "waiting"), (3, "wrong")])
    def test_a_group_has_as_many_pods_as_members(self, number: int, outcome: str) -> None:
        assert self.condition([runs("01")] * number).outcome == outcome

    def test_a_pod_that_does_not_say_since_when_is_waited_for(self) -> None:
        assert self.condition([runs("01"), pod(phase="Running", node="n")]).outcome == "waiting"


class TestStarts:
    filler = runs("01", group=FILLER)

    @pytest.fixture
    def starts(self) -> gang.Starts:
        return gang.Starts({"volcano-1": "Volcano", "kueue-1": "Kueue"}, 2, 1)

    def test_groups_without_a_node_have_not_started(self, starts: gang.Starts) -> None:
        state = starts([self.filler, pod(), pod()])
        assert state.outcome == "waiting"
        assert state.observed == "Volcano: 2 pods pending, none bound; Kueue: no pod made"
        assert starts.in_part() == {}

    def test_one_member_with_a_node_is_a_start_in_part(self, starts: gang.Starts) -> None:
        assert starts([self.filler, pod(), pod("kueue-1", node="n")]).outcome == "blocked"
        assert starts.in_part() == {"Kueue": "1 pods were given a node, never all 2 members at a time"}

    def test_a_member_that_was_taken_away_again_is_not_forgotten(self, starts: gang.Starts) -> None:
        starts([self.filler, pod(node="n")])
        assert starts([self.filler, pod()]).outcome == "blocked"
        assert list(starts.in_part()) == ["Volcano"]

    def test_one_after_another_is_a_start_in_part(self, starts: gang.Starts) -> None:
        starts([self.filler, runs("01", uid="a")])
        starts([self.filler, runs("01", "07", uid="a"), runs("08", uid="b")])
        assert starts.in_part() == {"Volcano": "2 pods were given a node, never all 2 members at a time"}

    def test_a_node_that_refuses_a_member_shows_that_there_was_no_room(self, starts: gang.Starts) -> None:
        starts([self.filler, pod(node="n", uid="a"), pod(node="n", uid="b")])
        starts([self.filler, runs("01", uid="a"), pod(node="n", uid="b", phase="Failed")])
        assert list(starts.in_part()) == ["Volcano"]

    def test_a_whole_group_that_has_ended_by_now_found_room_too(self, starts: gang.Starts) -> None:
        starts([self.filler, runs("01", uid="a"), runs("01", uid="b")])
        starts([self.filler, runs("01", "07", uid="a"), runs("01", "07", uid="b")])
        assert starts.in_part() == {}

    def test_a_whole_group_found_room_that_somebody_left(self, starts: gang.Starts) -> None:
        starts([self.filler, pod(node="n", uid="a"), pod(uid="b")])
        state = starts([self.filler, pod(node="n", uid="a"), pod(node="n", uid="b")])
        assert (state.outcome, state.observed[:27]) == ("blocked", "Volcano: started as a whole")
        assert starts.in_part() == {}

    @pytest.mark.parametrize("seen", [[], [pod()], [filler, filler]])
    def test_nothing_is_shown_while_the_room_is_not_as_it_should_be(self, starts: gang.Starts, seen: list[Obj]) -> None:
        assert starts(seen).outcome == "blocked"


class TestPlainPods:
    """Beside the groups: one that does not fit, and as many as do."""

    refused = pod(PLAIN, refused="1 Insufficient nvidia.com/gpu")
    placed = runs("01", group=PLAIN)

    def test_all_but_one(self) -> None:
        assert gang.in_part(2)([self.placed, self.refused, runs("01")]).outcome == "met"

    @pytest.mark.parametrize("seen", [[placed, pod(PLAIN)], [refused], [placed]])
    def test_one_that_is_not_there_or_not_spoken_on_is_waited_for(self, seen: list[Obj]) -> None:
        assert gang.in_part(2)(seen).outcome == "waiting"

    @pytest.mark.parametrize("seen", [[placed, placed], [refused, refused]])
    def test_another_room_than_was_made_says_nothing(self, seen: list[Obj]) -> None:
        state = gang.in_part(2)(seen)
        assert (state.outcome, gang.TAKEN in state.observed) == ("blocked", True)

    def test_those_that_would_fit_still_do(self) -> None:
        assert gang.still_fit(1)([self.placed, runs("01")]).outcome == "met"
        assert gang.still_fit(2)([self.placed]).outcome == "waiting"
        state = gang.still_fit(1)([self.refused])
        assert (state.outcome, gang.TAKEN in state.observed) == ("blocked", True)


def test_a_room_is_full_with_all_its_pods() -> None:
    filler = runs("01", group=FILLER)
    assert gang.filled(2)([filler, filler, runs("01")]).outcome == "met"
    assert gang.filled(2)([filler]).outcome == "waiting"
    assert gang.filled(2)([filler, pod(FILLER, refused="Insufficient x")]).outcome == "blocked"


def test_what_belongs_to_a_job_is_found_by_its_uid() -> None:
    mine = {"metadata": {"ownerReferences": [{"uid": "job-uid"}]}}
    assert gang.owned([{"metadata": {}}, mine], GROUP.handle) is mine
    assert gang.owned([{"metadata": {"ownerReferences": [{"uid": "another"}]}}], GROUP.handle) is None


class Clock:
    now = 0.0


def test_a_line_has_one_step_where_the_number_changes() -> None:
    tally, clock = Tally(), Clock()
    counted = tally.of(clock, gang.filled(1), {})
    for moment, seen in (
        (1, []),
        (2, []),
        (3, []),
        (4, [runs("01", group=FILLER)]),
        (5, [runs("01", "05", group=FILLER)]),
    ):
        clock.now = float(moment)
        counted(seen)
    [line, flat] = tally.series()
    assert line.points == ((1.0, 0.0), (4.0, 0.0), (4.0, 1.0), (5.0, 1.0), (5.0, 0.0))
    assert flat.points == ((1.0, 0.0), (5.0, 0.0))


def node(name: str, number: int, replicas: int = 1) -> AcceleratorNode:
    kind = accelerators.by_resource("nvidia.com/gpu")
    assert kind is not None
    return AcceleratorNode(name, "nvidia.com/gpu", number, kind, "T4", number, replicas, "", "", "", ())


def facts(groups: list[str], *nodes: AcceleratorNode) -> Facts:
    return Facts("", "", "", frozenset(groups), (), nodes, (), (), (), (), ())


class TestRoom:
    two, four, many = node("two", 2), node("four", 4, 4), node("many", 64, 64)

    @pytest.mark.parametrize(("groups", "held"), [(ALONE, "two"), (BOTH, "four")])
    def test_a_node_has_room_for_two_members_of_every_system(self, groups: list[str], held: str) -> None:
        assert gangs.holds(facts(groups, self.two, self.four, self.many)) == {f"{held}/nvidia.com/gpu"}

    def test_exclusive_accelerators_are_taken_before_shared_ones(self) -> None:
        found = gang_room.accelerators(facts(BOTH, self.four, node("eight", 8)), 2)
        assert found is not None
        assert found.node == "eight"

    def test_too_few_or_too_many_are_left_alone(self) -> None:
        assert gangs.holds(facts(BOTH, self.two, self.many)) == frozenset()


def test_a_cluster_without_a_known_system_is_not_tried() -> None:
    unmet = gangs.need(facts(["batch/v1"]))
    assert unmet is not None
    assert unmet.outcome == "not run"
    assert [system.words for system in gangs.found(facts(BOTH))] == ["Volcano", "Kueue"]
    asked = dataclasses.replace(facts(BOTH), options={"gang-scheduler": "kueue"})
    assert [system.words for system in gangs.found(asked)] == ["Kueue"]
    unmet = gangs.need(dataclasses.replace(facts(ALONE), options={"gang-scheduler": "volcano"}))
    assert unmet is not None
    assert unmet.reason == "no gang scheduling system that is asked for (Volcano) serves its kinds"
    assert not gang_kueue.served(facts(["kueue.x-k8s.io/v1beta1"]))
