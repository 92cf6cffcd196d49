"""A C compiler out of ``zig cc``: ``python zigcc.py ZIG ARGUMENT...``. For machines that have no other.

NVIDIA's Go binding calls NVML's functions without linking to the library, and tells the linker to put up with that by
``--unresolved-symbols``, which ``zig cc`` does not know. Here the same comes about by declaring these functions weak.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

UNKNOWN_TO_ZIG = "-Wl,--unresolved-symbols="
HEADER = Path("nvml.h")
"""NVIDIA's header, in the directory of the Go package that is being compiled."""

_FUNCTION = re.compile(r"nvmlReturn_t\s+DECLDIR\s+(nvml\w+)\s*\(")


def command(zig: str, arguments: list[str], weak: str = "") -> list[str]:
    """The ``zig cc`` command for a compiler's arguments.

    Args:
        zig: the program.
        arguments: as for gcc.
        weak: a C file to include first.
    """
    known = [argument for argument in arguments if not argument.startswith(UNKNOWN_TO_ZIG)]
    return [zig, "cc", *(("-include", weak) if weak else ()), *known]


def weak_declarations(header: str) -> str:
    """C text that makes every function of ``nvml.h`` weak."""
    return "".join(f"#pragma weak {name}\n" for name in sorted(set(_FUNCTION.findall(header))))


def main(zig: str, arguments: list[str]) -> int:
    """Compile or link; returns the compiler's exit code."""
    if not (HEADER.is_file() and "-c" in arguments):
        return subprocess.run(command(zig, arguments), check=False).returncode
    with tempfile.NamedTemporaryFile("w", suffix=".h") as weak:
        weak.write(weak_declarations(HEADER.read_text()))
        weak.flush()
        return subprocess.run(command(zig, arguments, weak.name), check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
