"""``aiconform`` as a user starts it, with the checks of the rehearsal in the place of its own."""

from __future__ import annotations

import os
import sys

from tests.faults import rehearsal

from aiconform import checks
from aiconform.cli import main
from aiconform.engine import runner


def start() -> int:
    """Run the command line."""
    run = os.environ["FAULTS_RUN"]
    checks.all_checks = lambda: rehearsal.CHECKS
    runner.new_run_id = lambda: run
    return main()


if __name__ == "__main__":
    sys.exit(start())
