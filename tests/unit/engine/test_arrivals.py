"""Parts of a cluster that come up while a run goes on: waited for, found anew, and read back in a replay."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from tests.unit.engine.test_record_and_replay import FACTS, Recorded, check_of, create_and_wait

from aiconform.engine import Facts, arriving
from aiconform.engine.examine import Examination
from aiconform.engine.judge import Judgement
from aiconform.engine.lane import Lane
from aiconform.engine.stage import LiveStage, ReplayStage

LATER = dataclasses.replace(FACTS, groups=frozenset({"late.example.com/v1"}))


class Coming:
    """Parts that come after a moment, or never."""

    def __init__(self, cause: str = "") -> None:
        self._cause = cause

    def expects(self, requirement: str) -> bool:
        return requirement == "dra_support"

    async def arrived(self, requirement: str) -> str:
        await anyio.sleep(0.05)
        return self._cause

    def state(self, requirement: str) -> str:
        return f"{requirement} is being built"


@pytest.fixture(autouse=True)
def _discovery(monkeypatch: pytest.MonkeyPatch) -> None:
    async def discover(_lane: Lane, _options: Mapping[str, str]) -> Facts:
        await anyio.lowlevel.checkpoint()
        return LATER

    monkeypatch.setattr(arriving, "discover", discover)


def waited(tmp_path: Path, coming: Coming) -> tuple[Facts | Judgement, Facts | Judgement]:
    """What a check is examined on, live and in the replay."""
    run = Recorded(tmp_path, check_of(create_and_wait))
    live = LiveStage(run.stage._wire, coming)

    async def work(examination: Examination) -> Facts | Judgement:
        return await arriving.arrived(examination, run.planned)

    first = anyio.run(work, run.examination(live))
    bundle = run.bundle(run.live())
    return first, anyio.run(work, run.examination(ReplayStage(bundle)))


def test_what_comes_later_is_found_anew(tmp_path: Path) -> None:
    assert waited(tmp_path, Coming()) == (LATER, LATER)


def test_what_never_comes_leaves_its_requirement_undecided_with_the_cause(tmp_path: Path) -> None:
    why = Judgement("undecided", "volcano did not become ready: no image")
    assert waited(tmp_path, Coming("volcano did not become ready: no image")) == (why, why)


def test_who_waits_for_nothing_is_examined_on_what_was_found_at_first(tmp_path: Path) -> None:
    run = Recorded(tmp_path, check_of(create_and_wait))

    async def work() -> Facts | Judgement:
        return await arriving.arrived(run.examination(run.stage), run.planned)

    assert anyio.run(work) is FACTS


def test_a_wait_is_told_and_ends_with_an_interrupt(tmp_path: Path) -> None:
    run = Recorded(tmp_path, check_of(create_and_wait))

    class Never(Coming):
        async def arrived(self, requirement: str) -> str:
            await anyio.sleep_forever()
            raise AssertionError

    live = LiveStage(run.stage._wire, Never())
    told: list[object] = []

    async def work() -> Facts | Judgement:
        async def interrupt() -> None:
            await anyio.sleep(0.2)
            live.interrupt()

        examination = dataclasses.replace(run.examination(live), emit=told.append)
        async with anyio.create_task_group() as group:
            group.start_soon(interrupt)
            return await arriving.arrived(examination, run.planned)
        raise AssertionError

    assert anyio.run(work) == Judgement("not run", "interrupted")
    assert "dra_support is being built" in {getattr(event, "state", "") for event in told}


def test_components_found_later_are_on_the_page() -> None:
    named = [dataclasses.replace(FACTS, components=(part,)) for part in ("a", "b", "a")]  # type: ignore[arg-type]
    assert arriving.all_seen(named[0], named[1:]).components == ("a", "b")  # type: ignore[comparison-overlap]
