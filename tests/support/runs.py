"""A run as a stream of events, made by hand: every outcome, and a cluster that says hostile things."""

from __future__ import annotations

from pathlib import Path

from aiconform.engine import events
from aiconform.evidence.documents import (
    CheckVerdict,
    ClusterFacts,
    NodeFacts,
    Plan,
    PlannedCheck,
    PlannedProbe,
    ProbeVerdict,
    Verdicts,
)
from aiconform.evidence.records import ObservationData, RestsOn

RUN = "7f3c00c0ffee7f3c"
BUNDLE = Path("runs") / RUN / "bundle"
HOSTILE = "0/3 nodes: \x1b[2Jcleared \u202egnp.exe"


def _planned(name: str, level: str, *probes: PlannedProbe) -> PlannedCheck:
    return PlannedCheck(
        requirement=name,
        title=name,
        category="accelerators",
        level=level,  # type: ignore[arg-type]
        asks="",
        probes=list(probes),
        not_run="" if probes else "this version of aiconform has no check for it yet",
    )


def _probe(name: str, kind: str, title: str) -> PlannedProbe:
    return PlannedProbe(id=name, kind=kind, title=title, fails_if="it does not", timeout_s=60)  # type: ignore[arg-type]


PLAN = Plan(
    run=RUN,
    tool="0.1.0",
    release="1.35",
    catalog_sha256="1" * 64,
    judge_sha256="2" * 64,
    created="2026-11-24T09:00:00.000Z",
    command=["run"],
    checks=[
        _planned("dra_support", "MUST", _probe("served", "positive", "the four kinds are served")),
        _planned(
            "gpu_sharing",
            "SHOULD",
            _probe("together", "positive", "as many pods as shares run on the same physical device"),
            _probe("one_more", "negative", "one pod more than shares stays pending"),
        ),
        _planned("virtualized_accelerator", "SHOULD", _probe("vgpu", "positive", "a virtual device is used")),
        _planned("gang_scheduling", "MUST"),
        _planned(
            "secure_accelerator_access",
            "MUST",
            _probe("sees_one", "positive", "a pod that asks for one accelerator sees exactly one"),
            _probe("sees_none", "negative", "a pod that asks for none sees none"),
            _probe("released", "recovery", "the waiting pod starts once the device is free"),
        ),
        _planned("ai_inference", "MUST"),
    ],
)

CLUSTER = ClusterFacts(
    product="Kubernetes v1.35.3",
    version="v1.35.3",
    nodes=[
        NodeFacts(name=name, ready=True, kubelet="v1.35.3", runtime="containerd://2.2.1")
        for name in ("control", "gpu-0", "gpu-1")
    ],
    accelerators="2 nvidia.com/gpu (Tesla T4) on gpu-0, 4 shares of 1 on gpu-1",
    asked_for="NVIDIA GPU by device plugin (nvidia.com/gpu); allocation auto",
    left_alone=["1 nvidia.com/gpu on gpu-9: taint team"],
)


def _verdict(name: str, outcome: str, probes: list[ProbeVerdict], reason: str = "") -> CheckVerdict:
    planned = next(found for found in PLAN.checks if found.requirement == name)
    ran = [probe for probe in probes if probe.started_us is not None]
    return CheckVerdict(
        requirement=name,
        level=planned.level,
        outcome=outcome,  # type: ignore[arg-type]
        reason=reason,
        started_us=ran[0].started_us if ran else None,
        ended_us=ran[-1].ended_us if ran else None,
        probes=probes,
    )


def _ran(check: str, name: str, outcome: str, expected: str, observed: str, **figures: str) -> ProbeVerdict:
    seen = ObservationData(
        expected=expected,
        observed=observed,
        outcome=outcome,  # type: ignore[arg-type]
        rests_on=[RestsOn(lane=f"{check}/{name}", n=4)],
        figures=figures,
    )
    reason = observed if outcome == "passed" else f"expected {expected}; observed {observed}"
    return ProbeVerdict(
        id=name,
        lane=f"{check}/{name}",
        outcome=outcome,  # type: ignore[arg-type]
        reason=reason,
        started_us=2_000_000,
        ended_us=16_000_000,
        observations=[seen],
    )


def _skipped(check: str, name: str, outcome: str, reason: str) -> ProbeVerdict:
    return ProbeVerdict(id=name, lane=f"{check}/{name}", outcome=outcome, reason=reason)  # type: ignore[arg-type]


NO_CHECK = "this version of aiconform has no check for it yet"
PASSED = _verdict(
    "dra_support", "passed", [_ran("dra_support", "served", "passed", "four", "4 of 4", kinds="4", verbs="20")]
)
UNDECIDED = _verdict(
    "gpu_sharing",
    "undecided",
    [
        ProbeVerdict(
            id="together",
            lane="gpu_sharing/together",
            outcome="undecided",
            reason=f"ended by its time limit (60 s); the cluster said {HOSTILE}",
            started_us=1_000_000,
            ended_us=61_000_000,
        ),
        _skipped("gpu_sharing", "one_more", "not run", "its control did not pass"),
    ],
    "together: ended by its time limit (60 s)",
)
NOT_APPLICABLE = _verdict(
    "virtualized_accelerator",
    "n/a",
    [_skipped("virtualized_accelerator", "vgpu", "n/a", "no accelerator of this cluster is virtual")],
    "no accelerator of this cluster is virtual",
)
FAILED = _verdict(
    "secure_accelerator_access",
    "failed",
    [
        _ran("secure_accelerator_access", "sees_one", "passed", "exactly 1 device", "1 device"),
        _ran("secure_accelerator_access", "sees_none", "failed", "0 devices", "/dev/nvidia1 opened by pod plain-4f"),
        _skipped("secure_accelerator_access", "released", "not run", "the probe it starts from did not pass"),
    ],
    "sees_none: expected 0 devices",
)  # fmt: skip
NOT_RUN = [_verdict(name, "not run", [], NO_CHECK) for name in ("gang_scheduling", "ai_inference")]

VERDICTS = Verdicts(
    run=RUN,
    release="1.35",
    started="2026-11-24T09:00:00.000Z",
    ended="2026-11-24T09:06:41.000Z",
    simulated=True,
    cluster=CLUSTER,
    conclusion="Not conformant: 1 MUST failed, 2 MUST not run, 1 SHOULD undecided, 1 passed, 1 n/a",
    exit_code=1,
    checks=[PASSED, UNDECIDED, NOT_APPLICABLE, NOT_RUN[0], FAILED, NOT_RUN[1]],
    removed=31,
)


def beginning() -> list[events.Event]:
    """Up to the first verdict."""
    return [
        events.RunStarted(PLAN, BUNDLE),
        events.ClusterFound(CLUSTER, simulated=True, namespace=f"aiconform-{RUN}"),
        *(events.CheckFinished(verdict) for verdict in NOT_RUN),
        events.CheckFinished(NOT_APPLICABLE),
        events.CheckStarted("dra_support", 1),
        events.ProbeStarted("dra_support", "served", "the four kinds are served", 1, 1, 60),
        events.CheckFinished(PASSED),
    ]


def middle() -> list[events.Event]:
    """Two requirements at work."""
    return [
        events.ProbeStarted("gpu_sharing", "together", "as many pods as shares run", 1, 2, 60),
        events.ProbeStarted("secure_accelerator_access", "sees_none", "a pod that asks for none sees none", 2, 3, 60),
        events.Waiting("gpu_sharing", "together", "pod share-1 to run", HOSTILE, 12.0, 60.0),
    ]


def ending() -> list[events.Event]:
    """The rest, to the seal."""
    return [
        events.CheckFinished(FAILED),
        events.CheckFinished(UNDECIDED),
        events.CleaningUp(30, [f"namespace/aiconform-{RUN}"]),
        events.RunFinished(VERDICTS, BUNDLE, "9f2c41" + "0" * 58, 401.0),
    ]
