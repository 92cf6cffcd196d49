"""Runs checks: context, planner, runner, judge, record and replay.

The names that check modules use are here; the rest is found in the modules.
"""

from aiconform.engine.api import Handle
from aiconform.engine.context import Context, StopProbe
from aiconform.engine.facts import AcceleratorNode, DraDriver, Facts
from aiconform.engine.model import Check, Observation, Probe, Series, State, Unmet
from aiconform.engine.undecidable import RefusedError, UndecidableError
from aiconform.engine.waits import Condition, Target

__all__ = [
    "AcceleratorNode",
    "Check",
    "Condition",
    "Context",
    "DraDriver",
    "Facts",
    "Handle",
    "Observation",
    "Probe",
    "RefusedError",
    "Series",
    "State",
    "StopProbe",
    "Target",
    "UndecidableError",
    "Unmet",
]
