"""The verdicts: pure functions of observations, in one place.

Nothing observed is undecided. A timeout is never a pass. A violation that was seen counts even where the control did
not pass; a refusal counts only where it did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from aiconform.engine.model import Observation
    from aiconform.evidence.documents import Level
    from aiconform.evidence.records import Outcome

EXIT_CONFORMANT = 0
EXIT_FAILED = 1
EXIT_UNDECIDED = 3
EXIT_INTERRUPTED = 130


class Judgement(NamedTuple):
    """An outcome and the reason shown beside it."""

    outcome: Outcome
    reason: str = ""


def may_run(control: Outcome | None, after: Outcome | None) -> Judgement | None:
    """Whether a probe may run, given what came of its control and its predecessor (None: it has none).

    Returns:
        None if it may, else the verdict it gets without running.
    """
    if control is not None and control != "passed":
        return Judgement("not run", "its control did not pass")
    if after is not None and after != "passed":
        return Judgement("not run", "the probe it starts from did not pass")
    return None


def probe(observations: Sequence[Observation]) -> Judgement:
    """The verdict on a probe that ran to its end."""
    for outcome in ("failed", "undecided"):
        for seen in observations:
            if seen.outcome == outcome:
                return Judgement(outcome, seen.cause or f"expected {seen.expected}; observed {seen.observed}")
    if not observations:
        return Judgement("undecided", "nothing was observed")
    if any(seen.outcome != "passed" for seen in observations):
        return Judgement("undecided", "an observation is neither passed nor failed")
    if any(not seen.rests_on for seen in observations):
        return Judgement("undecided", "an observation rests on no exchange with the cluster")
    return Judgement("passed", observations[-1].observed)


def check(probes: Mapping[str, Judgement], *, left_behind: Sequence[str] = ()) -> Judgement:
    """The verdict on a requirement from the verdicts of its probes, by probe id."""
    for outcome in ("failed", "undecided", "not run", "n/a"):
        for name, judged in probes.items():
            if judged.outcome == outcome:
                verdict: Outcome = "failed" if outcome == "failed" else "undecided"
                return Judgement(verdict, f"{name}: {judged.reason}")
    if not probes:
        return Judgement("undecided", "no probe ran")
    if left_behind:
        return Judgement("undecided", f"clean-up left {', '.join(left_behind)}")
    return Judgement("passed", "")


def exit_code(verdicts: Sequence[tuple[Level, Outcome]], *, left_behind: Sequence[str] = ()) -> int:
    """The exit code of a run: 1 a MUST failed; 3 a MUST is undecided or not run, or something was left behind."""
    must = [outcome for level, outcome in verdicts if level == "MUST"]
    if "failed" in must:
        return EXIT_FAILED
    if not verdicts or left_behind or any(outcome in ("undecided", "not run") for outcome in must):
        return EXIT_UNDECIDED
    return EXIT_CONFORMANT


def conclusion(verdicts: Sequence[tuple[Level, Outcome]], *, asked_of: int, left_behind: Sequence[str] = ()) -> str:
    """One sentence on the run, in the words of the screen.

    ``asked_of`` is how many requirements the release has: who was asked less is not called conformant, and neither is
    a cluster on which something was left behind.
    """
    counts: dict[str, int] = {}
    for level, outcome in verdicts:
        key = f"{level} {outcome}" if outcome in ("failed", "undecided", "not run") else outcome
        counts[key] = counts.get(key, 0) + 1
    parts = [f"{counts[key]} {key}" for key in _ORDER if key in counts]
    if not verdicts:
        return "Undecided: nothing was asked"
    code = exit_code(verdicts)
    head = {EXIT_CONFORMANT: "Conformant", EXIT_FAILED: "Not conformant"}.get(code, "Undecided")
    if code == EXIT_CONFORMANT and left_behind:
        return f"Undecided: something was left on the cluster; {', '.join(parts)}"
    if len(verdicts) < asked_of and code == EXIT_CONFORMANT:
        head = f"No MUST failed of the {len(verdicts)} asked, of {asked_of}"
    return f"{head}: {', '.join(parts)}"


_ORDER = (
    "MUST failed",
    "MUST undecided",
    "MUST not run",
    "SHOULD failed",
    "SHOULD undecided",
    "SHOULD not run",
    "passed",
    "n/a",
)
