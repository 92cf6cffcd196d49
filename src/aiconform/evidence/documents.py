"""The documents of a bundle beside its log: ``plan.json``, ``verdicts.json``, ``manifest.json``.

``plan.json`` says beforehand what will be done, ``verdicts.json`` afterwards what came of it. Everything a report
shows comes from these two and from the log, never from the code of a check.
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from aiconform.evidence.records import ObservationData, Outcome

FORMAT: Final = "aiconform-bundle/1"


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Level = Literal["MUST", "SHOULD"]
ProbeKind = Literal["positive", "negative", "recovery"]


class PlannedProbe(_Document):
    """A probe as planned."""

    id: str = Field(description="function name, unique in its check; its lane is <requirement>/<id>")
    kind: ProbeKind
    title: str = Field(description="what is true of a good cluster: 'a claim that no device meets stays pending'")
    fails_if: str = Field(description="what would have made it fail, for the page")
    control: str = Field(default="", description="for a negative: the positive probe that shows the means work")
    after: str = Field(default="", description="for a recovery: the probe whose state it starts from")
    timeout_s: float


class PlannedCheck(_Document):
    """A requirement as planned; ``probes`` is empty and ``not_run`` says why where no check will run."""

    requirement: str
    title: str
    category: str
    level: Level
    kar: str = Field(default="", description="Kubernetes AI requirement number, such as KAR-0051, or empty")
    asks: str = Field(description="what is asked, in our words")
    limits: list[str] = Field(default=[], description="what the check does not show")
    headline: str = Field(default="", description="pattern of a line on what was measured: figures in braces")
    not_run: str = ""
    code_sha256: str = Field(default="", description="digest of the code that observes and judges")
    probes: list[PlannedProbe] = []


class Plan(_Document):
    """Everything that is decided before the first request."""

    format: Literal["aiconform-bundle/1"] = FORMAT
    run: str = Field(pattern=r"^[0-9a-f]{16}$", description="run id: 64 random bits, in every name we create")
    tool: str = Field(description="aiconform's version")
    release: str = Field(description="release of the checklist, such as 1.35")
    catalog_sha256: str = Field(description="digest of the checklist data this run was planned from")
    judge_sha256: str = Field(description="digest of the engine code that judges")
    report_sha256: str = Field(default="", description="digest of the code and templates of the page; empty: not known")
    created: str = Field(description="UTC, RFC 3339")
    command: list[str] = Field(description="arguments as given, without values that could be secret")
    server_ca_sha256: str = Field(default="", description="digest of the CA bundle the API server is checked against")
    unusual: list[str] = Field(
        default=[], description="what a reader should know of the way to the cluster: a server not checked, a proxy"
    )
    images: dict[str, str] = Field(default={}, description="role to image reference")
    options: dict[str, str] = Field(default={}, description="what was told of the cluster, such as gateway-class")
    checks: list[PlannedCheck]


class ProbeVerdict(_Document):
    """What came of a probe."""

    id: str
    lane: str
    outcome: Outcome
    reason: str = ""
    started_us: int | None = Field(default=None, description="microseconds since the run began")
    ended_us: int | None = None
    observations: list[ObservationData] = []


class CheckVerdict(_Document):
    """What came of a requirement."""

    requirement: str
    level: Level
    outcome: Outcome
    reason: str = ""
    started_us: int | None = None
    ended_us: int | None = None
    probes: list[ProbeVerdict] = []
    left_behind: list[str] = Field(default=[], description="objects that the clean-up could not remove")


class NodeFacts(_Document):
    """A node as the page's header names it."""

    name: str
    ready: bool
    kubelet: str
    runtime: str = Field(description="name://version as the node reports it")
    os: str = ""
    kernel: str = ""
    accelerators: str = Field(default="", description="such as '2 nvidia.com/gpu (Tesla T4), simulated'")


class ComponentFacts(_Document):
    """A component found on the cluster, with its version and how that was known."""

    name: str
    version: str
    source: str


class CapabilityFacts(_Document):
    """Something that the cluster has for the checks to use; found is not proved."""

    kind: str = Field(description="what it is for: 'gang scheduling', 'gateway', 'metrics'...")
    name: str
    detail: str = ""
    how: list[str] = Field(default=[], description="by what it was known")
    known: bool = Field(default=True, description="false: it could not be looked for, and 'how' says why")


class ClusterFacts(_Document):
    """The cluster as discovery found it."""

    product: str = Field(default="", description="such as 'k0s v1.35.3+k0s'; Kubernetes where nothing else is known")
    version: str = ""
    platform: str = ""
    kube_system_uid: str = ""
    nodes: list[NodeFacts] = []
    components: list[ComponentFacts] = []
    accelerators: str = Field(default="", description="one line for the header")
    capabilities: list[CapabilityFacts] = []
    asked_for: str = Field(default="", description="how accelerators are asked for: the mode, and what it came to")
    left_alone: list[str] = Field(default=[], description="accelerators that were seen and not used, each with why")
    remarks: list[str] = Field(
        default=[], description="what a reader should know of it as the run began, such as a clock that is far off"
    )


class Verdicts(_Document):
    """What came of the run: a pure function of the log."""

    format: Literal["aiconform-bundle/1"] = FORMAT
    run: str
    release: str
    started: str
    ended: str
    partial: bool = False
    simulated: bool = Field(description="touches an accelerator that is not real; such a run backs no submission")
    simulated_because: list[str] = []
    cluster: ClusterFacts
    conclusion: str = Field(description="one sentence: 'Not conformant: ...'")
    exit_code: int
    checks: list[CheckVerdict]
    removed: int = 0
    left_behind: list[str] = []


class ManifestFile(_Document):
    """A file of the bundle."""

    path: str = Field(description="relative, with forward slashes")
    size: int
    sha256: str


class Manifest(_Document):
    """Closes the bundle: every file but itself and the attestations, nothing else."""

    format: Literal["aiconform-bundle/1"] = FORMAT
    run: str
    log_head: str = Field(description="SHA-256 of the last line of the log")
    files: list[ManifestFile] = Field(description="sorted by path")
