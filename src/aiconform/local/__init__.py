"""A real Kubernetes on this machine, with simulated accelerators.

Names are imported when they are used: the cluster's own long-lived processes are modules of this package, and small.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiconform.local.cluster import Cluster, down, find
    from aiconform.local.inspection import Status, status
    from aiconform.local.start import up

__all__ = ["Cluster", "Status", "down", "find", "status", "up"]

_HOMES = {
    "Cluster": "cluster",
    "down": "cluster",
    "find": "cluster",
    "up": "start",
    "Status": "inspection",
    "status": "inspection",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
