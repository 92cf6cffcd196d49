"""Waits that end at their limit: what they rest on where the watch tells nothing, and what is left undecided then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from tests.unit.engine.test_creation import PROBE, status
from tests.unit.engine.test_record_and_replay import POD, Body, Recorded, bind, bound, check_of, create_and_wait

from aiconform.cluster.http import RawAnswer
from aiconform.engine import Context, State
from aiconform.evidence.records import ObservationData


class Silent(Recorded):
    """A run whose watches tell nothing after their first answer, on a connection that stays open."""

    def __init__(self, tmp_path: Path, body: Body, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(tmp_path, check_of(body, timeout_s=20))
        self.watched = 0

        async def silently(*_: object) -> tuple[int, bytes]:
            self.watched += 1
            self.behind()
            await anyio.sleep_forever()
            raise AssertionError

        self.behind: Callable[[], None] = lambda: None
        monkeypatch.setattr(self.api, "event_after", silently)

    def lists(self) -> int:
        """How often pods were listed by the probe."""
        return sum(
            one.method == "GET" and one.path.endswith("/pods") and "watch" not in dict(one.query)
            and "cleanup" not in one.headers["Audit-ID"]
            for one in self.api.requests
        )  # fmt: skip

    def judged(self) -> ObservationData:
        """The one observation that it comes to, live and in a replay."""
        verdict = self.live()
        assert self.replay(self.bundle(verdict)) == verdict
        return verdict.probes[0].observations[-1]


def test_what_was_met_behind_a_silent_watch_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Silent(tmp_path, create_and_wait, monkeypatch)
    run.behind = lambda: bind(run.api.objects[PROBE])
    seen = run.judged()
    assert seen.outcome == "undecided"
    assert seen.observed == "bound to worker-1 when read anew at the end, of which no watch had told"
    assert run.lists() == 2


def test_what_is_still_not_met_is_a_failure_by_what_is_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wait(ctx: Context) -> None:
        pod = await ctx.create(POD)
        counted = lambda objects: State("waiting", f"version {objects[0]['metadata']['resourceVersion']}")  # noqa: E731
        await ctx.until(pod, counted, expected="the pod is bound", within_s=0.5)

    run = Silent(tmp_path, wait, monkeypatch)

    def newer() -> None:
        run.api.objects[PROBE]["metadata"]["resourceVersion"] = "777"

    run.behind = newer
    seen = run.judged()
    assert (seen.outcome, seen.observed) == ("failed", "version 777")
    assert seen.rests_on[-1].n == max(one.n for one in seen.rests_on)
    assert run.lists() == 2


@pytest.mark.parametrize("answer", [status(403), RawAnswer(0, error="timeout"), RawAnswer(200, {}, b"<html>")])
def test_what_cannot_be_read_anew_is_undecided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: RawAnswer
) -> None:
    run = Silent(tmp_path, create_and_wait, monkeypatch)
    mine = lambda one: one.path.endswith("/pods") and one.method == "GET"  # noqa: E731
    run.api.wrong = lambda request, real: answer if run.watched and mine(request) else real
    seen = run.judged()
    assert seen.outcome == "undecided"
    assert seen.observed.startswith("not bound when last told of (reading it anew: ")


def test_what_went_behind_a_silent_watch_is_not_called_still_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def goes(ctx: Context) -> None:
        await ctx.until_gone(await ctx.create(POD), within_s=0.5)

    run = Silent(tmp_path, goes, monkeypatch)
    run.behind = lambda: run.api.objects.pop(PROBE)
    assert run.judged().outcome == "undecided"


def test_what_does_not_go_has_failed(tmp_path: Path) -> None:
    async def stays(ctx: Context) -> None:
        await ctx.until_gone(await ctx.create(POD), within_s=0.5)

    run = Recorded(tmp_path, check_of(stays))
    verdict = run.live()
    assert verdict.outcome == "failed"
    assert verdict.probes[0].observations[0].observed == "pod/probe is still there"
    assert run.replay(run.bundle(verdict)) == verdict


def test_what_is_not_sure_is_not_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def wait(ctx: Context) -> None:
        async def explain(_state: State) -> State:
            return State("wrong", "explained")

        pod = await ctx.create(POD)
        await ctx.until(pod, bound, expected="the pod is bound", within_s=0.5, explain=explain)

    run = Silent(tmp_path, wait, monkeypatch)
    run.behind = lambda: bind(run.api.objects[PROBE])
    assert run.judged().outcome == "undecided"
