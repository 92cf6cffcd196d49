"""Runs checks: context, planner, runner, judge, record and replay.

The names that check modules use are here; the rest is found in the modules.
"""

from aiconform.engine.api import Handle
from aiconform.engine.context import Context, Explain, StopProbe
from aiconform.engine.facts import Facts
from aiconform.engine.model import Check, Observation, Probe, Series, State, Unmet
from aiconform.engine.offers import AcceleratorNode
from aiconform.engine.rights import Choice
from aiconform.engine.slices import DraDriver
from aiconform.engine.undecidable import RefusedError, UndecidableError
from aiconform.engine.waits import Condition, Target

__all__ = [
    "AcceleratorNode",
    "Check",
    "Choice",
    "Condition",
    "Context",
    "DraDriver",
    "Explain",
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
