"""Parts of a cluster that come up while a run goes on: a check whose parts are not there yet waits for them.

Only who brings the cluster can know of such parts, so this is told from outside. What came of the wait is recorded,
and a replay reads it back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from aiconform.evidence.records import NoteData

if TYPE_CHECKING:
    from aiconform.engine.lane import Lane

HERE = "here"
_ABSENT = "not here: "


class Arrivals(Protocol):
    """What is still to come, by requirement."""

    def expects(self, requirement: str) -> bool:
        """Whether something that this requirement's check needs may come after the run has begun."""

    async def arrived(self, requirement: str) -> str:
        """Wait until it is there.

        Returns:
            Empty when it is, else why it will not come, in words for the page.
        """

    def state(self, requirement: str) -> str:
        """What is happening meanwhile, in a few words for the screen."""


def note(cause: str) -> NoteData:
    """What came of a wait, as recorded."""
    return NoteData(text=_ABSENT + cause if cause else HERE)


def cause(text: str) -> str:
    """Why something did not come, from a recorded note; empty where it did."""
    return text.removeprefix(_ABSENT) if text != HERE else ""


def lane_name(requirement: str) -> str:
    """The lane that holds what came of the wait."""
    return f"arrival/{requirement}"


def record(lane: Lane, why_not: str) -> str:
    """Write down what came of a wait, and hand it on."""
    lane.write(note(why_not))
    return why_not
