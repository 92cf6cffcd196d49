"""Downloads modules of components to come while another is compiled: one waits for the network, the other computes."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence

from aiconform.local.components import Component
from aiconform.local.programs.compile import Tools, build_environment


@contextlib.contextmanager
def prefetch(components: Sequence[Component], tools: Tools) -> Iterator[None]:
    """Download modules in the background, one component after the other, as long as the context lasts.

    What goes wrong is not told here: the build that misses a module tells it.
    """
    fetcher = _Fetcher(components, tools)
    fetcher.start()
    try:
        yield
    finally:
        fetcher.stop()


class _Fetcher(threading.Thread):
    def __init__(self, components: Sequence[Component], tools: Tools) -> None:
        super().__init__(name="prefetch", daemon=True)
        self._components = components
        self._tools = tools
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def run(self) -> None:
        for component in self._components:
            process = self._begin(component)
            if process is None or process.wait() != 0:
                return

    def stop(self) -> None:
        """End the download that runs, and wait for it."""
        with self._lock:
            self._stopped = True
            if self._process is not None and self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
        self.join()

    def _begin(self, component: Component) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if self._stopped:
                return None
            self._process = subprocess.Popen(
                list_command(component, self._tools),
                cwd=component.pin,
                env=build_environment(component, self._tools),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            return self._process


def list_command(component: Component, tools: Tools) -> list[str]:
    """The command that names all packages of a component, for which Go downloads what they are in, and no more."""
    setpriv = shutil.which("setpriv")
    prefix = [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
    tags = [f"-tags={','.join(component.tags)}"] if component.tags else []
    return [*prefix, str(tools.go), "list", "-mod=readonly", *tags, "-deps", *component.programs.values()]
