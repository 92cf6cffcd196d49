"""Runs ``go build`` for one component, with its output in a log, and says in plain words why one failed."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aiconform.errors import LocalClusterError
from aiconform.local import cache
from aiconform.local.components import Component
from aiconform.local.programs.toolchain import go_environment
from aiconform.progress import Progress

FLAGS = ("-mod=readonly", "-trimpath", "-buildvcs=false")
LINKER_FLAGS = ("-s", "-w")

_CAUSES = (
    (
        re.compile(r"no space left on device"),
        "the disk is full",
        "free space, or set XDG_CACHE_HOME, GOCACHE, GOMODCACHE",
    ),
    (
        re.compile(r"SECURITY ERROR|checksum mismatch"),
        "a module differs from its pinned digest",
        "do not use it; tell us",
    ),
    (
        re.compile(
            r"dial tcp|no such host|connection refused|i/o timeout|TLS handshake|server misbehaving"
            r"|network is unreachable|unexpected EOF"
        ),
        "modules cannot be downloaded",
        "check the network, GOPROXY and HTTPS_PROXY, then run it again: what is built stays built",
    ),
    (re.compile(r"40[34] |410 Gone"), "the module proxy refuses a module", "check GOPROXY"),
    (
        re.compile(r"pkg-config.*not found|Package libseccomp was not found|seccomp\.h"),
        "libseccomp's headers are missing",
        "apt-get install libseccomp-dev pkg-config",
    ),
    (
        re.compile(r"signal: killed"),
        "the compiler was killed, most likely for lack of memory",
        "free memory; 4 GiB is enough",
    ),
)

_NO_NEWS = re.compile(r"\$ |go: downloading |[\w.~-]+(/[\w.~-]+)*$")
"""Lines of a log that name the command, a download, or a package just compiled."""


@dataclass(frozen=True)
class Tools:
    """What builds are made with: Go, and a C compiler where a component needs one."""

    go: Path
    cc: tuple[str, ...] = ()


@dataclass(frozen=True)
class Watch:
    """Whom to tell how a build goes, and which of how many it is.

    Args:
        progress: is told.
        done: components finished before.
        total: components in all.
    """

    progress: Progress
    done: int
    total: int

    def tell(self, component: Component, log: Path, elapsed_s: float) -> None:
        """Report; ``go build -v`` writes a line per compiled package."""
        packages = max(log.read_bytes().count(b"\n") - 1, 0)
        elapsed = f"{int(elapsed_s) // 60}:{int(elapsed_s) % 60:02d}"
        what = f"building {component.name} {component.version}"
        self.progress.update(what, self.done, self.total, f"{packages} packages compiled, {elapsed}")


def compile_component(component: Component, tools: Tools, target: Path, watch: Watch) -> None:
    """Build a component's programs into a directory.

    Args:
        component: what to build.
        tools: what with.
        target: the directory to make.
        watch: told once a second how long it takes and how much is compiled.

    Raises:
        LocalClusterError: the build failed; names the log.
    """
    target.mkdir()
    log = cache.log_file(component.name)
    started = time.monotonic()
    scratch = target.with_name("scratch")  # goes with the target's directory, even if we are killed
    scratch.mkdir()
    environment = {**build_environment(component, tools), "GOTMPDIR": str(scratch)}
    with log.open("wb") as output:
        for program, package in batches(component):
            command = [str(tools.go), "build", "-v", *build_flags(component), "-o", str(target / program), *package]
            output.write(f"$ cd {component.pin} && {' '.join(command)}\n".encode())
            output.flush()
            with _running(command, component.pin, environment, output.fileno()) as process:
                while process.poll() is None:
                    watch.tell(component, log, time.monotonic() - started)
                    with_timeout(process)
            if process.returncode != 0:
                raise explain(component, log)


def batches(component: Component) -> Iterator[tuple[str, list[str]]]:
    """The builds to run: where the output goes, and packages.

    All programs named like their package are built at once; one named otherwise by itself.
    """
    plain = [package for program, package in component.programs.items() if package.rpartition("/")[2] == program]
    if plain:
        yield "", plain
    for program, package in component.programs.items():
        if package not in plain:
            yield program, [package]


def build_flags(component: Component) -> list[str]:
    """Flags of ``go build``."""
    linker = [*LINKER_FLAGS, *(f"-X {name}={value}" for name, value in sorted(component.variables.items()))]
    if component.linker:
        linker.append(f"'-extldflags={' '.join(component.linker)}'")
    flags = [*FLAGS, f"-ldflags={' '.join(linker)}"]
    return [*flags, f"-tags={','.join(component.tags)}"] if component.tags else flags


def build_environment(component: Component, tools: Tools) -> dict[str, str]:
    """Environment of ``go build``."""
    environment = {**go_environment(), "CGO_ENABLED": "1" if component.cgo else "0"}
    if component.cgo and tools.cc:
        environment["CC"] = shlex.join(tools.cc)
    if component.defines:
        defines = [f"-D{name}={value}" for name, value in component.defines.items()]
        environment["CGO_CFLAGS"] = " ".join([os.environ.get("CGO_CFLAGS", "-g -O2"), *defines])
    return environment


def explain(component: Component, log: Path) -> LocalClusterError:
    """The error for a failed build, from what its log says."""
    said = (line.rstrip() for line in log.read_text(errors="replace").splitlines())
    lines = list(dict.fromkeys(line for line in said if line and not _NO_NEWS.match(line)))
    text = "\n".join(lines)
    cause, hint = "", f"read {log}"
    for pattern, what, advice in _CAUSES:
        if pattern.search(text):
            cause, hint = f": {what}", advice
            break
    return LocalClusterError(
        f"cannot build {component.name} {component.version}{cause}", details=[*lines[-5:], f"log: {log}"], hint=hint
    )


def with_timeout(process: subprocess.Popen[bytes]) -> None:
    """Wait a second, or less if the process ends."""
    try:
        process.wait(1.0)
    except subprocess.TimeoutExpired:
        return


@contextmanager
def _running(
    command: list[str], cwd: Path, environment: dict[str, str], output: int
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends with us: killed with its children when we are interrupted, and when we are killed."""
    setpriv = shutil.which("setpriv")
    prefix = [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
    process = subprocess.Popen(
        [*prefix, *command], cwd=cwd, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
