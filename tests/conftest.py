"""How tests are spread over processes: each where there is room, those on live clusters in two of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # how fast this machine is just now is not what is tested
settings.load_profile("untimed")


APART = {
    f"tests/cluster/test_{name}.py"
    for name in (
        "apart",
        "faults",
        "image_program",
        "inference",
        "late_nodes",
        "local_faults",
        "manners",
    )
}
"""Files of tests that do not use the shared cluster. Each takes its own down at its end: a kernel has room for two.

Those of the accelerators do not either. They run before the shared cluster comes up, so that both halves take as long.
"""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Clusters are big, so one process runs the tests that share one, and another those that have their own.

    Both mostly wait, for minutes; what needs no cluster runs beside them.

    xdist's own marks (``loadgroup``) have no effect with pytest 9.2: they are written to an attribute that is not read.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Spread(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file, _, _ = nodeid.partition("::")
            if not file.startswith("tests/cluster/"):
                return nodeid
            return "clusters of their own" if file in APART else "the shared cluster"

    return Spread(config, log)
