"""Whole runs through the proxy on a stand-in for the API server: what is wrong must be found."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from tests.faults import struck, sweep, trial
from tests.faults.bench import Bench, Result
from tests.faults.cases import Case, parse
from tests.faults.kinds import KINDS
from tests.faults.stand_in import StandIn
from tests.faults.sweep import Sweep

SEED = 11


def swept(*names: str) -> Sweep:
    """The sweep of these cases."""

    def choose(_known: dict[str, Result]) -> Sequence[Case]:
        return [parse(name) for name in names]

    async def work() -> Sweep:
        async with StandIn() as plane:
            subjects = sorted({parse(name).subject for name in names})
            return await sweep.sweep(plane, SEED, choose, lambda _: None, subjects, copies=0, others=1)  # type: ignore[arg-type]

    return asyncio.run(work())


def test_runs_with_faults_are_made_and_counted() -> None:
    found = swept("429-after@3", "500@37", "lost@37", "bad:html@35", "403@0")
    assert found.problems == []
    assert [result.struck for result in found.results] == [1] * 5
    assert found.writes > 40
    assert {result.case: result.code for result in found.results}["403@0"] == 4


def test_a_signal_ends_a_run_that_cleans_up() -> None:
    found = swept("int-after@37")
    assert found.problems == []
    assert found.results[0].code == struck.INTERRUPTED


def test_a_run_goes_on_without_a_screen_and_is_struck_before_its_journal_knows() -> None:
    found = swept("screen-gone-after@37", "term-journal@37")
    assert found.problems == []
    codes = {result.case: result.code for result in found.results}
    assert codes == {"screen-gone-after@37": 0, "term-journal@37": struck.INTERRUPTED}


def test_a_killed_run_leaves_its_root_and_a_clean_up_takes_it() -> None:
    found = swept("kill-after@42")
    assert found.results[0].code == -9
    assert any("/namespaces/aiconform-" in path for path in found.results[0].left), "or the kill came too late"
    assert found.results[0].swept
    assert found.problems == []


def test_a_leak_a_touched_bystander_and_a_write_outside_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = trial.tried

    async def careless(bench: Bench, case: Case, seed: int, reference: Result) -> Result:
        result = await tried(bench, case, seed, reference)
        meta = {"name": f"leak-{result.run}", "labels": {"aiconform.dev/run": result.run}}
        leak = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}
        await bench.upstream.json("POST", "/api/v1/namespaces/default/configmaps", leak)
        labelled = f"/api/v1/namespaces/bystanders/configmaps/labelled-{result.run}"
        await bench.upstream.json("PATCH", labelled, {"metadata": {"annotations": {"touched": "yes"}}})
        return result

    monkeypatch.setattr(sweep, "tried", careless)
    found = swept("clock@2")
    words = sorted(problem.split(" ")[0] for _, problem in found.problems)
    assert words == ["left:", "outside:", "outside:", "touched:"], found.problems
    assert (found.touched, found.outside) == (1, 2)
    assert [case for case, text in found.problems if text.startswith("left")] == ["clock@2"]


def test_a_false_pass_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def credulous(bench: Bench, seed: int, _subjects: Sequence[str]) -> dict[str, Result]:
        known = {"good": await trial.clean(bench, "good", seed)}
        known["good"].outcomes["made"] = "failed"
        return known

    monkeypatch.setattr(sweep, "references", credulous)
    found = swept("clock@2")
    assert [text.split(" passes")[0] for _, text in found.problems] == ["false-pass: made"]


def test_every_kind_has_a_case_that_is_struck() -> None:
    quick = [kind for kind in KINDS if kind not in ("blackhole", "stall", "trickle", "100mb")]
    found = swept(*(f"{kind}@5" for kind in quick))
    assert len(found.results) == len(quick)
    assert all(result.struck for result in found.results)
    assert [text for _, text in found.problems if not text.startswith("false-failure")] == []
