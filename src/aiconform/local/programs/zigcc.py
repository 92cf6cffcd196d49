"""A C compiler out of ``zig cc``: ``python zigcc.py ZIG ARGUMENT...``. For machines that have no other.

NVIDIA's Go bindings call functions of the driver's libraries without linking to them, and tell the linker to put up
with that by ``--unresolved-symbols``, which ``zig cc`` does not know. Weak declarations of these functions do the same.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

UNKNOWN_TO_ZIG = "-Wl,--unresolved-symbols="

_CALL = re.compile(r"\b((?:nvml|nvSandboxUtils|cu)[A-Z]\w*)\s*\(")
"""A call of NVML, of the sandbox utilities library, or of the CUDA driver's interface."""


def command(zig: str, arguments: list[str], weak: str = "") -> list[str]:
    """The ``zig cc`` command for a compiler's arguments.

    Args:
        zig: the program.
        arguments: as for gcc.
        weak: a C file to include first.
    """
    known = [argument for argument in arguments if not argument.startswith(UNKNOWN_TO_ZIG)]
    return [zig, "cc", *(("-include", weak) if weak else ()), *known]


def weak_declarations(arguments: list[str]) -> str:
    """C text that makes the driver's functions weak that the C files to compile call; empty if they call none."""
    files = [Path(argument) for argument in arguments if argument.endswith(".c")] if "-c" in arguments else []
    text = "".join(file.read_text(errors="replace") for file in files if file.is_file())
    return "".join(f"#pragma weak {name}\n" for name in sorted(set(_CALL.findall(text))))


def main(zig: str, arguments: list[str]) -> int:
    """Compile or link; returns the compiler's exit code."""
    declarations = weak_declarations(arguments)
    if not declarations:
        return subprocess.run(command(zig, arguments), check=False).returncode
    with tempfile.NamedTemporaryFile("w", suffix=".h") as weak:
        weak.write(declarations)
        weak.flush()
        return subprocess.run(command(zig, arguments, weak.name), check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
