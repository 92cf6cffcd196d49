"""How tests are spread over processes: each where there is room, those on a live cluster all in one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # how fast this machine is just now is not what is tested
settings.load_profile("untimed")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Clusters are big, so one process runs every test that needs one, and they share it.

    xdist's own marks (``loadgroup``) have no effect with pytest 9.2: they are written to an attribute that is not read.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Spread(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "cluster" if nodeid.startswith("tests/cluster/") else nodeid

    return Spread(config, log)
