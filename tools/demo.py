"""The demo: the whole checklist of release 1.35 on a local cluster.

Exit code 3 of the run (requirements that this version cannot run yet) is no failure here: the screen has said what is
still missing.
"""

from __future__ import annotations

import subprocess
import sys

UNDECIDED = 3


def main() -> int:
    """Run, and end well unless something really failed."""
    command = [sys.executable, "-m", "aiconform", "run", "--local", "--name", "demo", "--release", "1.35", *sys.argv[1:]]
    code = subprocess.run(command, check=False).returncode
    if code == UNDECIDED:
        print("\nThe demo ended well: what could be run was run. Not every MUST of 1.35 has a check yet (exit code 3).")
        return 0
    return code


if __name__ == "__main__":
    sys.exit(main())
