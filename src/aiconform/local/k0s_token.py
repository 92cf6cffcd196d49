"""Makes what k0s workers join the cluster with, on the control node: ``python -m aiconform.local.k0s_token``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from aiconform.local.k0s import DATA, PROGRAM, TOKEN


def main() -> int:
    """Ask k0s for a token and leave it where the other nodes look for it, whole or not at all."""
    command = [PROGRAM, "token", "create", "--role=worker", f"--data-dir={DATA}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.stderr.write(done.stderr)
        return 1
    part = Path(f"{TOKEN}.part")
    part.touch(mode=0o600)
    part.write_text(done.stdout.strip())
    part.rename(TOKEN)
    return 0


if __name__ == "__main__":
    sys.exit(main())
