"""The checks: one module per requirement, named after it."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiconform.engine import Check


def all_checks() -> dict[str, Check]:
    """Every check by the requirement it is for: one of each module beside this file."""
    names = sorted(found.name for found in pkgutil.iter_modules(__path__) if not found.name.startswith("_"))
    checks = [importlib.import_module(f"{__name__}.{name}").CHECK for name in names]
    return {check.requirement: check for check in checks}
