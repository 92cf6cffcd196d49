"""Runs a program that writes to ``/run`` apart from the machine's: ``python -m aiconform.local.node.apart PROGRAM...``.

containerd makes its default state directory there even when it is told to use another.
"""

from __future__ import annotations

import os
import sys

from aiconform.local.node import kernel


def main(command: list[str]) -> None:
    """Become the program, in a mount namespace in which ``/run`` is empty and its own."""
    kernel.unshare(kernel.CLONE_NEWNS)
    kernel.mount("", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("tmpfs", "/run", "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=755")
    os.execv(command[0], command)  # noqa: S606 - a program of ours, by its path


if __name__ == "__main__":
    main(sys.argv[1:])
