"""How tests are spread over processes: each where there is room, those on a live cluster in two."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # how fast this machine is just now is not what is tested
settings.load_profile("untimed")


APART = {
    f"tests/cluster/test_{name}.py"
    for name in (
        "accelerators",
        "apart",
        "faults",
        "image_program",
        "inference",
        "late_nodes",
        "local_faults",
        "manners",
    )
}
"""Files of tests that do not use the shared cluster. Each takes its own down at its end: a kernel has room for two."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Clusters are big, so one process runs the tests that need one, and they share it.

    Those of our manners mostly wait for the cluster, for minutes: they have a second one.

    xdist's own marks (``loadgroup``) have no effect with pytest 9.2: they are written to an attribute that is not read.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Spread(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file, _, _ = nodeid.partition("::")
            if not file.startswith("tests/cluster/"):
                return nodeid
            return file if file in APART else "cluster"

    return Spread(config, log)
