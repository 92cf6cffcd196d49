from __future__ import annotations

import threading
from types import SimpleNamespace

import anyio
import pytest

from aiconform.errors import LocalClusterError
from aiconform.local.addons.addon import Addon
from aiconform.local.addons.arrivals import Arrivals, cause
from aiconform.progress import Silent

CLUSTER = SimpleNamespace(name="x")
NEEDS = {"gang_scheduling": ("volcano", "kueue"), "ai_inference": ("gateway",), "dra_support": ()}


def addon(name: str, *requires: str) -> Addon:
    return Addon(name, "v1", "", (), lambda _materials: [], lambda _api: [], requires=requires)


class Work:
    """Stands in for building and installing: notes what is done, waits where told, fails where told."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.wait: dict[str, threading.Event] = {}
        self.fail: dict[str, Exception] = {}

    def prepare(self, addon, progress) -> None:
        self._do(f"build {addon.name}", progress)

    def install(self, _cluster, addon, progress, _stopped) -> None:
        self._do(f"install {addon.name}", progress)

    def _do(self, what, progress) -> None:
        progress.update(what, waiting="something")
        while what in self.wait and not self.wait[what].wait(0.01):
            progress.update(what, waiting="something")
        if what in self.fail:
            raise self.fail[what]
        self.done.append(what)

    def arrivals(self, *addons: Addon, progress=None) -> Arrivals:
        return Arrivals(CLUSTER, addons, NEEDS, progress or Silent(), prepare=self.prepare, install=self.install)  # type: ignore[arg-type]


@pytest.fixture
def work() -> Work:
    return Work()


def test_what_is_required_is_ready_before(work) -> None:
    with work.arrivals(addon("volcano"), addon("kueue", "volcano")) as arrivals:
        assert arrivals.wait() == {}
    assert work.done.index("install volcano") < work.done.index("install kueue")
    assert [what for what in work.done if what.startswith("build")] == ["build volcano", "build kueue"]


def test_one_that_does_not_come_costs_only_who_needs_it(work) -> None:
    work.fail["install kueue"] = LocalClusterError("kueue is not ready", details=["pod a: no image", "late"])
    with work.arrivals(addon("volcano"), addon("kueue"), addon("gateway")) as arrivals:
        assert anyio.run(arrivals.arrived, "gang_scheduling") == "kueue is not ready: pod a: no image; late"
        assert anyio.run(arrivals.arrived, "ai_inference") == ""
        assert anyio.run(arrivals.arrived, "dra_support") == ""


def test_what_needs_it_does_not_come_either_and_says_why(work) -> None:
    work.fail["build volcano"] = LocalClusterError("cannot build volcano")
    with work.arrivals(addon("volcano"), addon("kueue", "volcano")) as arrivals:
        assert arrivals.wait()["kueue"] == "kueue needs volcano: cannot build volcano"
    assert work.done == ["build kueue"]


def test_a_bug_of_an_add_on_is_told_and_contained(work) -> None:
    work.fail["install gateway"] = KeyError("status")
    with work.arrivals(addon("gateway"), addon("kueue")) as arrivals:
        assert arrivals.wait() == {"gateway": "a bug of the installation: KeyError('status')"}


def test_only_what_comes_late_is_expected_and_its_state_told(work) -> None:
    work.wait["build gateway"] = threading.Event()
    with work.arrivals(addon("gateway")) as arrivals:
        assert arrivals.expects("ai_inference")
        assert not arrivals.expects("dra_support")
        assert not arrivals.expects("gang_scheduling")  # what it needs is there already
        while "turn" in arrivals.state("ai_inference"):
            pass
        assert arrivals.state("ai_inference") == "waiting for gateway: build gateway, something"
        work.wait["build gateway"].set()
        arrivals.wait()
        assert arrivals.state("ai_inference") == ""


def test_leaving_ends_what_is_going_on(work) -> None:
    work.wait["build volcano"] = threading.Event()
    with work.arrivals(addon("volcano"), addon("gateway")) as arrivals:
        pass
    assert arrivals.wait() == dict.fromkeys(("volcano", "gateway"), "given up: the run is over")
    assert work.done == []


def test_waiting_for_an_arrival_can_be_interrupted(work) -> None:
    work.wait["install gateway"] = threading.Event()

    async def wait_a_little(arrivals) -> bool:
        with anyio.move_on_after(0.05) as scope:
            await arrivals.arrived("ai_inference")
        return scope.cancelled_caught

    with work.arrivals(addon("gateway")) as arrivals:
        assert anyio.run(wait_a_little, arrivals)


def test_a_cause_is_one_line_of_bounded_length() -> None:
    text = cause(LocalClusterError("what", details=["x" * 500, "y" * 500]))
    assert text.startswith("what: xxx")
    assert len(text) == 900


class Heard(Silent):
    """What was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def update(self, what: str, done: int = 0, total: int = 0, waiting: str = "") -> None:
        self.told.append(what)


def test_who_waits_for_all_is_told_of_a_build_with_the_rest(work, monkeypatch) -> None:
    monkeypatch.setattr(work, "prepare", lambda _addon, progress: progress.update("building volcano", waiting="a"))
    alone, together = Heard(), Heard()
    with work.arrivals(addon("volcano"), progress=alone) as arrivals:
        anyio.run(arrivals.arrived, "gang_scheduling")
    assert alone.told == ["building volcano"]
    work.wait["install volcano"] = threading.Event()
    with work.arrivals(addon("volcano"), progress=together) as arrivals:
        threading.Timer(0.2, work.wait["install volcano"].set).start()
        arrivals.wait()
        arrivals.tell("building another", "b")
    assert set(together.told) - {"building volcano"} == {"installing add-ons"}
    assert "building another" not in together.told
