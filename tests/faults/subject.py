"""``aiconform`` as a user starts it, with the checks of the rehearsal in the place of its own.

Environment: ``FAULTS_RUN`` is the id of the run, ``FAULTS_STOP`` the number of the creation, from 0, before whose entry
in the journal the process stops itself.
"""

from __future__ import annotations

import os
import sys

from tests.faults import rehearsal, strikes

from aiconform import checks
from aiconform.cli import main
from aiconform.engine import runner
from aiconform.engine.journal import Journal


def start() -> int:
    """Run the command line."""
    run = os.environ["FAULTS_RUN"]
    checks.all_checks = lambda: rehearsal.CHECKS
    runner.new_run_id = lambda: run
    if stop := os.environ.get("FAULTS_STOP"):
        Journal.creating = strikes.stopping(int(stop), Journal.creating)  # type: ignore[method-assign]
    return main()


if __name__ == "__main__":
    sys.exit(start())
