"""Add-ons that arrive on a local cluster while checks run that do not need them.

Programs and images are built one after the other, installations run a few at a time, each once what it requires is
ready. What one add-on comes to costs nobody but the requirements that need it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from aiconform.errors import AiconformError, LocalClusterError
from aiconform.local.addons import installation
from aiconform.local.addons.addon import Addon
from aiconform.local.cluster import Cluster
from aiconform.local.images.table import IMAGES
from aiconform.local.programs import build
from aiconform.progress import Progress

SIDE_BY_SIDE = 3
"""How many installations run at once; more would only make each of them slower than its limits think."""

_LOOK_S = 0.5
_NICE = 10
_STOP_LIMIT_S = 30.0
_LENGTH = 900

Prepare = Callable[[Addon, Progress], object]
Install = Callable[[Cluster, Addon, Progress, Callable[[], bool]], None]


@dataclass
class _Coming:
    """An add-on on its way: what is being done, and in the end why it did not come (empty: it is there)."""

    addon: Addon
    state: str = "waiting for its turn"
    built: Future[str] = field(default_factory=Future)
    ready: Future[str] = field(default_factory=Future)


class Arrivals:
    """What a run's checks wait for; see :class:`aiconform.engine.arrivals.Arrivals`. Use as a context manager.

    Args:
        cluster: where to.
        addons: in the order in which they are built; what one requires is among them.
        needs: the add-ons' names by requirement.
        progress: told of what is built and ready.
        prepare: builds what an add-on needs; replaced in tests.
        install: installs one; replaced in tests.
    """

    def __init__(
        self,
        cluster: Cluster,
        addons: Sequence[Addon],
        needs: Mapping[str, Sequence[str]],
        progress: Progress,
        *,
        prepare: Prepare = installation.prepare,
        install: Install = installation.install_one,
    ) -> None:
        self._cluster = cluster
        self._coming = {addon.name: _Coming(addon) for addon in addons}
        self._needs = needs
        self._progress = progress
        self._prepare = prepare
        self._install = install
        self._stopped = threading.Event()
        self._turns = threading.Semaphore(SIDE_BY_SIDE)
        self._threads: list[threading.Thread] = []
        self._to_build: list[Path] = []
        self._alone = True
        """Nothing else tells what is built: who waits for all of them is told of it with the rest."""

    def __enter__(self) -> Arrivals:
        """Begin building and installing."""
        self._begin("builder", self._build_all)
        for coming in self._coming.values():
            self._begin(coming.addon.name, lambda coming=coming: self._bring(coming))  # type: ignore[misc]
        return self

    def __exit__(self, *_exc: object) -> None:
        """Give up what is not there yet; returns when nothing touches the cluster any more."""
        self._stopped.set()
        deadline = time.monotonic() + _STOP_LIMIT_S
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0.0))

    # -- asked by the run ----------------------------------------------------------------------------------------

    def expects(self, requirement: str) -> bool:
        """Whether the requirement's check needs an add-on that is brought."""
        return bool(self._of(requirement))

    async def arrived(self, requirement: str) -> str:
        """Wait until all that a requirement needs is there; why it will not come, or nothing."""
        ends = [coming.ready for coming in self._of(requirement)]
        # not in a thread: one that waits for what never comes would keep the program from ending
        found = [await asyncio.shield(asyncio.wrap_future(end)) for end in ends]
        return "; ".join(why for why in found if why)

    def state(self, requirement: str) -> str:
        """What is happening meanwhile."""
        late = [coming for coming in self._of(requirement) if not coming.ready.done()]
        return "; ".join(f"waiting for {coming.addon.name}: {coming.state}" for coming in late)

    def wait(self) -> dict[str, str]:
        """Wait for all of them, without a run; why each that did not come did not."""
        self._alone = False
        while late := [coming for coming in self._coming.values() if not coming.ready.done()]:
            done = len(self._coming) - len(late)
            states = ", ".join(f"{coming.addon.name}: {coming.state}" for coming in late)
            self._progress.update("installing add-ons", done, len(self._coming), states)
            concurrent.futures.wait([coming.ready for coming in late], _LOOK_S, concurrent.futures.FIRST_COMPLETED)
        return {name: why for name, coming in self._coming.items() if (why := coming.ready.result())}

    def _of(self, requirement: str) -> list[_Coming]:
        return [self._coming[name] for name in self._needs.get(requirement, ()) if name in self._coming]

    # -- threads -------------------------------------------------------------------------------------------------

    def _begin(self, name: str, work: Callable[[], None]) -> None:
        # daemons: a program that is asked to end does so, and the kernel ends the builds that it began
        thread = threading.Thread(target=work, name=f"arrival-{name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _build_all(self) -> None:
        os.nice(_NICE)  # this thread's, and inherited by the builds: checks are timed, builds are not
        with contextlib.ExitStack() as downloads:
            with contextlib.suppress(AiconformError):  # the build that needs it tells what is wrong
                places = [build.place(item) for item in build.components_of(self._programs()) if item.programs]
                self._to_build = [place for place in places if not place.exists()]
                downloads.enter_context(build.downloading(self._programs(), self._progress))
            for coming in self._coming.values():
                coming.built.set_result(self._why_not(lambda coming=coming: self._build(coming)))  # type: ignore[misc]

    def _programs(self) -> set[str]:
        images = [IMAGES[name] for coming in self._coming.values() for name in coming.addon.images]
        own = {name for coming in self._coming.values() for name in coming.addon.programs}
        return own | {program for image in images for program in image.programs.values()}

    def _build(self, coming: _Coming) -> None:
        self._prepare(coming.addon, _Told(self, coming))

    def _bring(self, coming: _Coming) -> None:
        why = coming.built.result()
        for name in coming.addon.requires:
            needed = self._coming.get(name)  # what is not on its way is there already
            if not why and needed is not None and (because := needed.ready.result()):
                why = f"{coming.addon.name} needs {name}: {because}"
        if not why:
            with self._turns:
                why = self._why_not(
                    lambda: self._install(self._cluster, coming.addon, _Told(self, coming), self._stopped.is_set)
                )
        coming.ready.set_result(why)

    def _why_not(self, work: Callable[[], None]) -> str:
        try:
            self.check()
            work()
        except AiconformError as error:
            return cause(error)
        except Exception as error:  # noqa: BLE001 - a bug in one add-on costs that add-on, not the run
            return f"a bug of the installation: {error!r}"
        return ""

    def check(self) -> None:
        """End the calling thread's work if the run is over.

        Raises:
            LocalClusterError: it is.
        """
        if self._stopped.is_set():
            raise LocalClusterError("given up: the run is over")

    def tell(self, what: str, waiting: str) -> None:
        """Pass on what is built; what is installed is told beside the check that waits for it."""
        if self._alone and what.startswith("building"):
            done = sum(place.exists() for place in self._to_build)
            self._progress.update(what, done, len(self._to_build), waiting)

    def tell_finished(self, what: str, detail: str) -> None:
        """Pass on what is finished, as long as somebody waits."""
        if not self._stopped.is_set():
            self._progress.finished(what, detail)


class _Told:
    """The progress of one add-on."""

    def __init__(self, arrivals: Arrivals, coming: _Coming) -> None:
        self._arrivals = arrivals
        self._coming = coming

    def update(self, what: str, done: int = 0, total: int = 0, waiting: str = "") -> None:  # noqa: ARG002
        """Remember what is being done; also where work ends whose run is over."""
        self._arrivals.check()
        self._coming.state = f"{what}, {waiting}" if waiting else what
        self._arrivals.tell(what, waiting)

    def finished(self, what: str, detail: str = "") -> None:
        """Pass it on."""
        self._arrivals.tell_finished(what, detail)


def cause(error: AiconformError) -> str:
    """An error as one line for a page: what happened, and the details that say why."""
    text = ": ".join([error.message, *(["; ".join(error.details)] if error.details else [])])
    return text if len(text) <= _LENGTH else text[: _LENGTH - 1] + "…"
