"""What ``aiconform doctor`` found, as one document: the text and the JSON are made from it."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from aiconform.evidence.documents import CapabilityFacts, Level

FORMAT: Final = "aiconform-doctor/1"


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Finding(_Document):
    """Something that was looked at."""

    name: str = Field(description="version, clock, API services, pod security, quotas")
    state: Literal["good", "note", "bad", "unknown"] = Field(
        description="bad: something will go wrong; unknown: it could not be looked at"
    )
    said: str = Field(description="what was found, in a sentence")
    details: list[str] = []


class MissingRight(_Document):
    """A right that the cluster refuses."""

    right: str = Field(description="as 'create httproutes.gateway.networking.k8s.io'")
    costs: list[str] = Field(description="requirements, or what else: 'every requirement', 'what bounds a run'")


class Rights(_Document):
    """What may be done."""

    asked: int
    missing: list[MissingRight] = []
    unknown: str = Field(default="", description="why it cannot be told, where access reviews are refused")


class Devices(_Document):
    """Accelerators of one kind, and how many of them nobody holds."""

    name: str = Field(description="extended resource, or DRA driver")
    total: int
    free: int | None = Field(default=None, description="null where it could not be counted")
    why_not: str = Field(default="", description="why it could not be counted")


class Readiness(_Document):
    """Whether a requirement can be examined here."""

    requirement: str
    level: Level
    state: Literal["can run", "in part", "cannot run", "n/a", "undecided"] = Field(
        description="in part: some of its probes cannot run, so a run cannot decide it"
    )
    reason: str = Field(default="", description="why not; as the verdict of a run would say")
    in_part: list[str] = Field(default=[], description="probes that cannot run, and why")
    holds: list[str] = Field(default=[], description="accelerators it keeps others of this run from using")
    usual_s: int = Field(default=0, description="seconds it took in the recorded runs; 0: none was recorded")
    at_most_s: int = Field(default=0, description="seconds after which all its probes have been ended")


class Diagnosis(_Document):
    """All of it. New fields may come; none changes its meaning within a format."""

    format: Literal["aiconform-doctor/1"] = FORMAT
    tool: str
    release: str
    server: str = Field(description="URL of the API server")
    product: str
    version: str
    nodes: int
    ready_nodes: int
    answer_ms: float = Field(description="the quickest answer, in milliseconds")
    requests: int
    took_s: float
    simulated: list[str] = []
    unread: str = Field(default="", description="why the cluster cannot be read, where that is so")
    gaps: list[str] = Field(default=[], description="what discovery could not read")
    findings: list[Finding]
    capabilities: list[CapabilityFacts]
    devices: list[Devices]
    rights: Rights
    requirements: list[Readiness]
    usual_s: int = Field(default=0, description="seconds that those that can run usually take together")

    @property
    def exit_code(self) -> int:
        """0 if every MUST can run or does not apply, else 3."""
        must = [one.state for one in self.requirements if one.level == "MUST"]
        return 0 if must and all(state in ("can run", "n/a") for state in must) else 3
