"""What the machine itself must have for a local cluster: programs, kernel features, space; and how to get it.

``python -m aiconform.local.prerequisites --install [--tests]`` installs missing programs on Debian and Ubuntu as root,
and names them elsewhere.
"""

from __future__ import annotations

import os
import shlex
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from aiconform.errors import AiconformError, LocalClusterError

SYSTEM_PATH = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where programs of the administrator lie; missing from many users' PATH."""

STATE_BYTES = 3 * 1024**3
"""Free space that a running cluster of three nodes needs: unpacked images, etcd, logs."""


@dataclass(frozen=True)
class Need:
    """Something the machine must have.

    Args:
        name: of the program or library, as people call it.
        package: Debian's and Ubuntu's package of it.
        why: what breaks without it.
        there: true if the machine has it.
    """

    name: str
    package: str
    why: str
    there: Callable[[], bool]


def _program(name: str, package: str, why: str) -> Need:
    return Need(name, package, why, lambda: find_program(name) is not None)


def find_program(name: str) -> str | None:
    """Path of a program, looked for in the administrator's directories too."""
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *SYSTEM_PATH]))


def _to_build(name: str, package: str, why: str, there: Callable[[], bool]) -> Need:
    """A need that ends once runc, which asks most of the machine, is in the cache."""
    return Need(name, package, why, lambda: _runc_is_built() or there())


def _runc_is_built() -> bool:
    from aiconform.local.components import COMPONENTS
    from aiconform.local.programs import build

    return build.place(COMPONENTS["runc"]).exists()


def _has_certificates() -> bool:
    paths = ssl.get_default_verify_paths()
    files = (os.environ.get("SSL_CERT_FILE"), paths.cafile)
    return any(path and Path(path).exists() for path in files) or bool(
        paths.capath and any(Path(paths.capath).glob("*"))
    )


def _has_seccomp() -> bool:
    program = find_program("pkg-config")
    return program is not None and subprocess.run([program, "--exists", "libseccomp"], check=False).returncode == 0


def _has_c_headers() -> bool:
    """True if the machine's own compiler finds them, or none is there: the one we fetch brings its own."""
    compiler = find_program("gcc")
    command = [str(compiler), "-E", "-include", "stdio.h", "-x", "c", os.devnull]
    return compiler is None or subprocess.run(command, capture_output=True, check=False).returncode == 0


def _has_chromium() -> bool:
    return any(find_program(name) for name in ("chromium", "chromium-browser", "google-chrome"))


TO_RUN = (
    _program("nft", "nftables", "Services: kube-proxy writes nftables rules"),
    _program("ip", "iproute2", "the network between nodes"),
    _program("nsenter", "util-linux", "entering a node's namespaces"),
    _program("setpriv", "util-linux", "ending helpers together with what they help"),
    _program("mount", "mount", "volumes of pods"),
    _program("busybox", "busybox-static", "the shell in test images"),
    _program("ldd", "libc-bin", "finding the C library for images"),
)
"""What a running cluster needs."""

TO_BUILD = (
    _to_build("the C library's headers", "libc6-dev", "building runc", _has_c_headers),
    _to_build("CA certificates", "ca-certificates", "downloading Go modules", _has_certificates),
    _to_build("pkg-config", "pkg-config", "building runc", lambda: find_program("pkg-config") is not None),
    _to_build(
        "libseccomp's headers",
        "libseccomp-dev",
        "building runc with seccomp, which restricted pods use",
        _has_seccomp,
    ),
)
"""What building the programs needs besides Go and a C compiler, which are fetched when missing."""

TO_TEST = (
    Need("Chromium", "chromium", "the tests that open the page in a browser", _has_chromium),
    _program("strace", "strace", "the tests that look for credentials in what a run writes"),
)
"""What only the tests need."""


def missing(needs: Iterable[Need]) -> tuple[Need, ...]:
    """Those of the needs that the machine does not have."""
    return tuple(need for need in needs if not need.there())


def install_command(needs: Iterable[Need]) -> list[str]:
    """The command that installs the needs on Debian and Ubuntu."""
    return ["apt-get", "install", "--yes", "--no-install-recommends", *dict.fromkeys(need.package for need in needs)]


def has_apt() -> bool:
    """True on Debian, Ubuntu and what descends from them."""
    return find_program("apt-get") is not None


def lacking(needs: Iterable[Need]) -> LocalClusterError:
    """The error that names what is missing and how to get it."""
    needs = tuple(needs)
    if has_apt():
        sudo = [] if os.geteuid() == 0 else ["sudo"]
        hint = shlex.join([*sudo, *install_command(needs)])
    else:
        hint = "install with your system's package manager: " + ", ".join(need.name for need in needs)
    names = ", ".join(need.name for need in needs)
    return LocalClusterError(
        f"missing on this machine: {names}", details=[f"{need.name}: {need.why}" for need in needs], hint=hint
    )


def check(state: Path) -> None:
    """Refuse to start a local cluster on a machine that cannot carry one.

    Args:
        state: directory that will hold clusters; it need not exist.

    Raises:
        LocalClusterError: names what is missing and the command that helps.
    """
    if absent := missing((*TO_RUN, *TO_BUILD)):
        raise lacking(absent)
    check_overlay()
    check_space(state, STATE_BYTES, "XDG_STATE_HOME")


def check_overlay() -> None:
    """Refuse a kernel without overlay file systems, which container images are unpacked to.

    Raises:
        LocalClusterError: the kernel has none, and no module of it can be loaded.
    """
    if _knows_overlay():
        return
    if modprobe := find_program("modprobe"):
        subprocess.run([modprobe, "overlay"], capture_output=True, check=False)
    if not _knows_overlay():
        raise LocalClusterError(
            "this kernel has no overlay file system",
            hint="sudo modprobe overlay, or use a kernel with CONFIG_OVERLAY_FS",
        )


def _knows_overlay(filesystems: Path = Path("/proc/filesystems")) -> bool:
    return "overlay" in filesystems.read_text().split()


def check_space(directory: Path, needed: int, variable: str) -> None:
    """Refuse a directory on a disk that is nearly full.

    Args:
        directory: it need not exist; then its nearest parent counts.
        needed: bytes.
        variable: environment variable that moves it elsewhere.

    Raises:
        LocalClusterError: less than ``needed`` is free.
    """
    there = next(path for path in (directory, *directory.parents) if path.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise LocalClusterError(
            f"{free / 1024**3:.1f} GiB are free in {there}, {needed / 1024**3:.0f} GiB are needed",
            hint=f"free some space, or set {variable} to a directory on another disk",
        )


def install(needs: Iterable[Need]) -> None:
    """Install what is missing, on Debian and Ubuntu as root; its output goes to standard error.

    Raises:
        LocalClusterError: not root, another system, or the package manager failed.
    """
    absent = missing(needs)
    if not absent:
        return
    if not has_apt() or os.geteuid() != 0:
        raise lacking(absent)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    wait = ["-o", "DPkg::Lock::Timeout=300"]  # another package manager may be at work
    command = install_command(absent)
    sys.stderr.write(f"installing {', '.join(need.name for need in absent)}: {shlex.join(command)}\n")
    for step in ([command[0], *wait, "--quiet", "update"], [command[0], *wait, "--quiet", *command[1:]]):
        done = subprocess.run(step, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)
        if done.returncode != 0:
            raise LocalClusterError(
                f"{shlex.join(step)} failed", hint="see its output above; install the packages by hand and go on"
            )
    if absent := missing(absent):
        raise lacking(absent)


def main(arguments: list[str]) -> int:
    """Name what is missing, or install it; returns an exit code."""
    needs = [*TO_RUN, *TO_BUILD, *(TO_TEST if "--tests" in arguments else ())]
    try:
        if "--install" in arguments:
            install(needs)
        elif absent := missing(needs):
            raise lacking(absent)
    except AiconformError as error:
        sys.stderr.write(f"{error.render()}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
