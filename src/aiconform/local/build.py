"""Builds the programs of a local cluster from their pins, and finds them in the cache afterwards.

``python -m aiconform.local.build [component...]`` builds all, or those named.
"""

from __future__ import annotations

import json
import platform
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from aiconform.errors import AiconformError, LocalClusterError, UsageError
from aiconform.local import cache, toolchain
from aiconform.local.components import COMPONENTS, Component
from aiconform.local.components import component as find_component
from aiconform.progress import Progress

Binaries = Mapping[str, Path]
"""Path of each built program by its name, for example ``kubelet``."""

FLAGS = ("-mod=readonly", "-trimpath")
PACKAGE = re.compile(r"[\w.~-]+(/[\w.~-]+)*")
"""A line of ``go build -v`` that only names a package."""

NO_NETWORK = ("no such host", "connection refused", "i/o timeout", "network is unreachable", "TLS handshake", "403 ")


def ensure(names: Iterable[str], progress: Progress) -> Binaries:
    """Build the programs that are not in the cache yet.

    Finished components are never built again, so an interrupted call goes on where it was.

    Args:
        names: programs (``kubelet``) or whole components (``cni``).
        progress: is told ``component n of m`` and the elapsed time.

    Returns:
        Every program of every component concerned.

    Raises:
        UsageError: a name is unknown.
        LocalClusterError: a build failed; the details hold its last lines, the hint where its log is.
    """
    wanted = _components(names)
    missing = [component for component in wanted if not finished(component)]
    for number, component in enumerate(missing, start=1):
        with cache.locked(component.name, progress):
            if not finished(component):
                _build(component, progress, number, len(missing))
    return {name: place(component) / name for component in wanted for name in component.programs}


def place(component: Component) -> Path:
    """Directory of the component's finished programs; the name changes with everything that decides the outcome.

    The Go version is not part of it, only the least one: what is built stays good when Go is updated or removed.
    """
    pin = [(component.pin / name).read_bytes() for name in ("go.mod", "go.sum")]
    facts = json.dumps([_arguments(component), toolchain.MINIMUM_GO, platform.machine(), component.cgo])
    return cache.directory("programs") / f"{component.name}-{component.version}-{cache.key(*pin, facts)}"


def finished(component: Component) -> bool:
    """True if the component's programs are in the cache, all of them."""
    directory = place(component)
    return all((directory / name).is_file() for name in component.programs)


def module_dir(module: str, progress: Progress, *, component: str = "") -> Path:
    """Directory with the sources of a pinned module: its charts and manifests lie there.

    Args:
        module: for example ``github.com/NVIDIA/k8s-device-plugin``.
        progress: is told about a download.
        component: the pin that decides the version; by default the component built from that module.

    Raises:
        UsageError: no component is built from that module.
        LocalClusterError: it cannot be downloaded.
    """
    pin = find_component(component) if component else _component_of(module)
    link = cache.directory("modules") / f"{module.replace('/', '_')}-{cache.key((pin.pin / 'go.mod').read_bytes())}"
    if link.exists():
        return link.resolve()
    progress.update(f"fetching {module}")
    go = toolchain.go(progress)
    command = [str(go.program), "mod", "download", "-json", module]
    done = subprocess.run(command, cwd=pin.pin, env=go.environment, capture_output=True, text=True, check=False)
    directory = json.loads(done.stdout or "{}").get("Dir")
    if done.returncode != 0 or not directory:
        details = (done.stderr or done.stdout).strip().splitlines()[-5:]
        raise LocalClusterError(f"cannot fetch the Go module {module}", details=details, hint=_hint(done.stdout))
    link.unlink(missing_ok=True)
    link.symlink_to(directory)
    return Path(directory)


def _components(names: Iterable[str]) -> list[Component]:
    """The components concerned, in build order."""
    wanted = set(names)
    known = {name: {name, *component.programs} for name, component in COMPONENTS.items()}
    unknown = wanted.difference(*known.values())
    if unknown:
        raise UsageError(
            f"no component builds {', '.join(sorted(unknown))}", hint="components: " + ", ".join(COMPONENTS)
        )
    return [component for name, component in COMPONENTS.items() if wanted & known[name]]


def _component_of(module: str) -> Component:
    for component in COMPONENTS.values():
        if component.module == module:
            return component
    raise UsageError(f"no component is built from {module}", hint="name the component whose pin decides its version")


def _arguments(component: Component) -> list[str]:
    """Arguments of ``go build``, but for the packages and the output."""
    link = ["-s", "-w", *(f"-X {name}={value}" for name, value in component.variables.items())]
    if component.linker:
        link.append(f"'-extldflags={' '.join(component.linker)}'")
    arguments = [*FLAGS, f"-ldflags={' '.join(link)}"]
    if component.tags:
        arguments.append(f"-tags={','.join(component.tags)}")
    return arguments


def _build(component: Component, progress: Progress, number: int, total: int) -> None:
    go = toolchain.go(progress)
    environment = dict(go.environment)
    environment["CGO_ENABLED"] = "1" if component.cgo else "0"
    if component.cgo:
        environment["CC"] = shlex.join(toolchain.c_compiler(progress))
    what = f"building {component.name} {component.version} (component {number} of {total})"
    log = cache.directory("logs") / f"{component.name}.log"
    begun = time.monotonic()
    with cache.making(place(component)) as temporary:
        command = [str(go.program), "build", "-v", *_arguments(component), f"-o={temporary}/"]
        command += component.programs.values()
        status = _run(command, component.pin, environment, log, lambda state: progress.update(what, waiting=state))
        if status != 0:
            raise _failure(component, log)
        _rename(component, temporary)
        (temporary / "built-with").write_text(f"{go.version}\n")
    progress.finished(f"built {component.name} {component.version}", f"{time.monotonic() - begun:.0f} s")


def _run(
    command: list[str], directory: Path, environment: Mapping[str, str], log: Path, tell: Callable[[str], None]
) -> int:
    """Run a build with its output in the log; tells what it is at. Ends with this process, whatever ends that."""
    if setpriv := shutil.which("setpriv"):
        command = [setpriv, "--pdeathsig=TERM", *command]
    with log.open("w") as file:
        file.write(f"{shlex.join(command)}\n")
        file.flush()
        process = subprocess.Popen(
            command, cwd=directory, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file
        )
    try:
        while True:
            tell(_state(log))
            try:
                return process.wait(timeout=0.5)
            except subprocess.TimeoutExpired:
                continue
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


def _state(log: Path) -> str:
    """What ``go build -v`` is at: a download, or how many packages it has compiled."""
    lines = log.read_text(errors="replace").splitlines()[1:]
    if lines and lines[-1].startswith("go: downloading"):
        return lines[-1].removeprefix("go: ")
    return f"{len(lines)} packages compiled" if lines else "starting"


def _rename(component: Component, directory: Path) -> None:
    """Give programs their names where Go derives others from the package path."""
    for name, package in component.programs.items():
        parts = [part for part in package.split("/") if not re.fullmatch(r"v\d+", part)]
        (directory / parts[-1]).rename(directory / name)


def _failure(component: Component, log: Path) -> LocalClusterError:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    said = [line for line in lines[1:] if not line.startswith("go: downloading") and not PACKAGE.fullmatch(line)]
    hint = _hint("\n".join(said)) or "install what it asks for, then run the same command again"
    return LocalClusterError(
        f"cannot build {component.name} {component.version}", details=[*said[-8:], f"log: {log}"], hint=hint
    )


def _hint(output: str) -> str:
    if "no space left on device" in output:
        return "free some space (about 6 GB are needed), then run the same command again: it goes on where it was"
    if any(sign in output for sign in NO_NETWORK):
        return "check the network connection, or set GOPROXY to a Go module proxy that can be reached"
    if "seccomp" in output or "pkg-config" in output:
        return "apt-get install libseccomp-dev pkg-config"
    return ""


class Lines:
    """A :class:`aiconform.progress.Progress` of plain lines on standard error, for logs and make."""

    def __init__(self) -> None:
        self._last = ""

    def update(self, what: str, done: int = 0, total: int = 0, waiting: str = "") -> None:  # noqa: ARG002
        """Print when the work changes, not when its state does."""
        if what != self._last:
            self._last = what
            self._print(f"{what} {done} of {total}" if total else what)

    def finished(self, what: str, detail: str = "") -> None:
        """Print."""
        self._print(f"{what} ({detail})" if detail else what)

    def _print(self, text: str) -> None:
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
        sys.stderr.flush()


def main(names: list[str]) -> int:
    """Build the components or programs of these names, or all, and print where they are; returns an exit code."""
    try:
        for name, path in ensure(names or COMPONENTS, Lines()).items():
            sys.stdout.write(f"{name} {path}\n")
    except AiconformError as error:
        sys.stderr.write(f"{error.render()}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
