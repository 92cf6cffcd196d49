"""Builds the simulated driver: ``libnvidia-ml``, ``libcuda`` and ``nvidia-smi``, from the C files beside this one."""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from aiconform.errors import LocalClusterError
from aiconform.local import cache
from aiconform.local.accelerators.devices import DRIVER_VERSION

LIBRARY = f"libnvidia-ml.so.{DRIVER_VERSION}"
CUDA_LIBRARY = f"libcuda.so.{DRIVER_VERSION}"
TOOL = "nvidia-smi"

_NVML_SOURCES = ("board.c", "load.c", "nvml_system.c", "nvml_device.c", "nvml_state.c")
_CUDA_SOURCES = ("board.c", "load.c", "cuda.c")
_TOOL_SOURCES = ("smi.c", "smi_properties.c", "smi_query.c", "smi_screen.c", "smi_load.c")
_FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wno-deprecated-declarations", "-fPIC", f'-DDRIVER_VERSION="{DRIVER_VERSION}"')
_FUNCTION = re.compile(r"nvmlReturn_t DECLDIR\s+(nvml\w+)\s*\(")


def sources() -> Path:
    """The directory with the C files."""
    return Path(str(resources.files(__package__))) / "driver"


def driver_key(header: Path) -> str:
    """Digest of all that decides the outcome of a build, except the compiler."""
    digest = hashlib.sha256("\0".join(_FLAGS).encode())
    for file in [*sorted(sources().iterdir()), header]:
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def unsupported_functions(header: str) -> str:
    """C text with a weak stand-in for every function of ``nvml.h``: it answers NVML_ERROR_NOT_SUPPORTED.

    go-nvml binds functions when they are called and a missing one ends the process, so none may be missing. Functions
    that the simulation answers are defined elsewhere and win over the weak ones.
    """
    names = sorted(set(_FUNCTION.findall(header)))
    return "".join(f"__attribute__((weak)) int {name}(void) {{ return 3; }}\n" for name in names)


def build_driver(output: Path, *, header: Path, compiler: Sequence[str]) -> None:
    """Build the driver's three files into ``output``.

    Args:
        output: an existing directory.
        header: NVIDIA's ``nvml.h`` as the go-nvml module ships it.
        compiler: the C compiler's command, for example ``["gcc"]``.

    Raises:
        LocalClusterError: the compiler is missing or refused.
    """
    stand_ins = output / "unsupported.c"
    stand_ins.write_text(unsupported_functions(header.read_text()))
    common = [*compiler, *_FLAGS, "-isystem", str(header.parent)]
    shared = [*common, "-shared", "-o"]
    _run([*shared, str(output / LIBRARY), *_paths(_NVML_SOURCES), str(stand_ins), "-Wl,-soname,libnvidia-ml.so.1"])
    _run([*shared, str(output / CUDA_LIBRARY), *_paths(_CUDA_SOURCES), "-Wl,-soname,libcuda.so.1"])
    run_path = "-Wl,-rpath,$ORIGIN/../lib/x86_64-linux-gnu"
    _run([*common, "-o", str(output / TOOL), *_paths(_TOOL_SOURCES), str(output / LIBRARY), run_path])
    stand_ins.unlink()


def _paths(names: Sequence[str]) -> list[str]:
    return [str(sources() / name) for name in names]


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise LocalClusterError(
            f"cannot run the C compiler {command[0]}: {error.strerror}", hint="apt-get install gcc libc6-dev"
        ) from error
    if done.returncode != 0:
        raise LocalClusterError("cannot build the simulated driver", details=done.stderr.splitlines()[-10:])


def ensure_driver(*, header: Path, compiler: Sequence[str]) -> Path:
    """The built driver, from the cache when nothing of it changed.

    Args:
        header: NVIDIA's ``nvml.h`` as the go-nvml module ships it.
        compiler: the C compiler's command.

    Returns:
        The directory with the driver's files.

    Raises:
        LocalClusterError: it cannot be built.
    """

    def produce(made: Path) -> None:
        made.mkdir()
        build_driver(made, header=header, compiler=compiler)

    return cache.make(cache.directory() / "driver" / driver_key(header), produce)
