"""A small, valid, sealed bundle with every outcome in it, made by the real writer."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiconform.evidence.documents import (
    CheckVerdict,
    ClusterFacts,
    ComponentFacts,
    NodeFacts,
    Plan,
    PlannedCheck,
    PlannedProbe,
    ProbeVerdict,
    Verdicts,
)
from aiconform.evidence.layout import audit_id, check_lane, probe_lane
from aiconform.evidence.records import (
    ChunkData,
    CleanupData,
    DeadlineData,
    NoteData,
    ObservationData,
    Outcome,
    RequestData,
    ResponseData,
    RestsOn,
    VerdictData,
)
from aiconform.evidence.writer import BundleWriter
from aiconform.report import page_digest

RUN = "00c0ffee00c0ffee"
STARTED = datetime(2026, 11, 24, 9, 0, 0, tzinfo=UTC)
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
CLAIMS = "/apis/resource.k8s.io/v1/namespaces/aiconform-00c0ffee00c0ffee-dra/resourceclaims"


@dataclass
class Tape:
    """Writes records with a clock that moves 10 ms per record."""

    directory: Path
    now_us: int = 0
    writer: BundleWriter = field(init=False)

    def __post_init__(self) -> None:
        self.writer = BundleWriter(
            self.directory, wall=lambda: STARTED + timedelta(microseconds=self.now_us), mono_us=self._tick
        )

    def _tick(self) -> int:
        self.now_us += 10_000
        return self.now_us

    def exchange(
        self,
        lane: str,
        path: str,
        answer: Any,
        *,
        method: str = "GET",
        status: int = 200,
        accept: str = "application/json",
    ) -> RestsOn:
        """A request with its whole answer; returns what an observation rests on."""
        n = self.writer.next_n(lane)
        body = answer if isinstance(answer, bytes) else json.dumps(answer, separators=(",", ":")).encode()
        sent = audit_id(RUN, lane, n)
        content_type = accept if isinstance(answer, dict) else "text/plain"
        self.writer.append(lane, RequestData(method=method, path=path, accept=accept, audit_id=sent))
        self.writer.append(
            lane,
            ResponseData(
                status=status,
                reason={200: "OK", 201: "Created", 404: "Not Found"}.get(status, ""),
                content_type=content_type,
                server_date="Tue, 24 Nov 2026 09:00:00 GMT",
                audit_id=sent,
                body=self.writer.blob(body),
                body_size=len(body),
            ),
        )
        return RestsOn(lane=lane, n=n)

    def watch(self, lane: str, path: str, events: list[dict[str, Any]], *, end: str = "") -> RestsOn:
        """A watch with some events; without ``end`` it is cut by a deadline."""
        n = self.writer.next_n(lane)
        sent = audit_id(RUN, lane, n)
        query = [("watch", "true"), ("resourceVersion", "100")]
        self.writer.append(lane, RequestData(method="GET", path=path, query=query, audit_id=sent, stream=True))
        self.writer.append(lane, ResponseData(status=200, content_type="application/json", audit_id=sent))
        for event in events:
            self.writer.append(lane, ChunkData(body=self.writer.blob(json.dumps(event).encode())))
        if end:
            self.writer.append(lane, ChunkData(end=end))
        else:
            self.writer.append(lane, DeadlineData(waiting_for="claim/too-many to stay pending", limit_s=30.5))
        return RestsOn(lane=lane, n=n)

    def observe(
        self, lane: str, outcome: Outcome, expected: str, observed: str, *rests: RestsOn, **figures: str
    ) -> ObservationData:
        """An observation."""
        cause = "" if outcome == "passed" else f"{observed}, but {expected} was expected"
        seen = ObservationData(
            expected=expected, observed=observed, outcome=outcome, cause=cause, rests_on=list(rests), figures=figures
        )
        self.writer.append(lane, seen)
        return seen


PROBES = {
    "dra_support": [
        PlannedProbe(
            id="kinds_served", kind="positive", title="the four kinds of DRA are served", timeout_s=60,
            fails_if="a kind or one of its verbs is missing",
        ),
        PlannedProbe(
            id="claim_allocated", kind="positive", title="a claim is allocated and reserved for its pod", timeout_s=180,
            fails_if="the claim has no allocation, or the pod sees another device than the one allocated",
        ),
        PlannedProbe(
            id="unsatisfiable_pending", kind="negative", title="a claim that no device meets stays pending",
            timeout_s=60.5, fails_if="it is allocated", control="claim_allocated",
        ),
        PlannedProbe(
            id="released", kind="recovery", title="a deleted claim gives its device back", timeout_s=60,
            fails_if="a second claim for the same device waits for ever", after="claim_allocated",
        ),
    ],
    "gpu_sharing": [
        PlannedProbe(
            id="four_share", kind="positive", title="four pods share one accelerator", timeout_s=180,
            fails_if="one of the four does not start, or sees another device",
        )
    ],
    "secure_accelerator_access": [
        PlannedProbe(
            id="sees_one", kind="positive", title="a pod that asks for one accelerator sees exactly one", timeout_s=180,
            fails_if="it sees none, or more than one",
        ),
        PlannedProbe(
            id="sees_none", kind="negative", title="a pod that asks for none sees none", timeout_s=180,
            fails_if="it can open a device", control="sees_one",
        ),
    ],
    "virtualized_accelerator": [
        PlannedProbe(
            id="vgpu_used", kind="positive", title="a virtual accelerator is used through the same interface",
            timeout_s=180, fails_if="the pod does not start",
        )
    ],
    "gang_scheduling": [],
}  # fmt: skip
TITLES = {
    "dra_support": ("Dynamic resource allocation", "accelerators", "MUST", "KAR-0001"),
    "gpu_sharing": ("Sharing of accelerators", "accelerators", "SHOULD", "KAR-0003"),
    "secure_accelerator_access": ("Isolation of accelerators", "security", "MUST", "KAR-0015"),
    "virtualized_accelerator": ("Virtual accelerators", "accelerators", "SHOULD", "KAR-0004"),
    "gang_scheduling": ("Gang scheduling", "schedulingOrchestration", "MUST", "KAR-0010"),
}


def make_plan() -> Plan:
    """Five requirements; gang_scheduling is not run."""
    return Plan(
        run=RUN,
        tool="0.1.0",
        release="1.35",
        catalog_sha256="1" * 64,
        judge_sha256="2" * 64,
        report_sha256=page_digest(),
        created="2026-11-24T09:00:00.000Z",
        command=["run", "--release", "1.35"],
        server_ca_sha256="3" * 64,
        images={"probe": "aiconform.dev/probe@sha256:" + "4" * 64},
        checks=[
            PlannedCheck(
                requirement=name,
                title=title,
                category=category,
                level=level,  # type: ignore[arg-type]
                kar=kar,
                asks=f"What {name} asks of a cluster, in our words.",
                limits=["The accelerators are simulated."],
                not_run="" if PROBES[name] else "this version has no check for it",
                code_sha256="5" * 64 if PROBES[name] else "",
                probes=PROBES[name],
            )
            for name, (title, category, level, kar) in TITLES.items()
        ],
    )


def make_bundle(tmp_path: Path, *, name: str = "bundle", partial: bool = False, fail: bool = True) -> Path:
    """Write a sealed bundle below a directory; its archive lies beside it.

    Args:
        tmp_path: where to.
        name: of the bundle's directory.
        partial: sealed after an interrupt.
        fail: whether ``secure_accelerator_access`` failed; else it passed.

    Returns:
        The bundle's directory.
    """
    tape = Tape(tmp_path / name)
    tape.writer.commit_plan(make_plan())
    _discover(tape)
    checks = [_dra(tape), _sharing(tape), _isolation(tape, fail=fail), _virtual(tape), _gang(tape)]
    tape.writer.append("cleanup", CleanupData(removed=["namespace/aiconform-00c0ffee00c0ffee-dra"]))
    tape.writer.seal(verdicts=_verdicts(checks, fail=fail, partial=partial), partial=partial)
    return tape.directory


def _discover(tape: Tape) -> None:
    version = {"major": "1", "minor": "35", "gitVersion": "v1.35.3", "platform": "linux/amd64"}
    tape.exchange("discovery", "/version", version)
    rows = [{"cells": [name, "Ready", "<none>", "5m", "v1.35.3"]} for name in ("control", "gpu-0", "gpu-1")]
    columns = [{"name": n, "type": "string"} for n in ("Name", "Status", "Roles", "Age", "Version")]
    table = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "columnDefinitions": columns, "rows": rows}
    tape.exchange("discovery", "/api/v1/nodes", table, accept=TABLE)
    tape.writer.append("discovery", NoteData(text="three nodes, two with accelerators"))


def _probe(
    tape: Tape, requirement: str, probe: str, outcome: Outcome, reason: str, *seen: ObservationData, started: int
) -> ProbeVerdict:
    lane = probe_lane(requirement, probe)
    tape.writer.append(lane, VerdictData(subject=probe, outcome=outcome, reason=reason))
    ran = bool(seen) or outcome == "undecided"
    return ProbeVerdict(
        id=probe,
        lane=lane,
        outcome=outcome,
        reason=reason,
        started_us=started if ran else None,
        ended_us=tape.now_us if ran else None,
        observations=list(seen),
    )


def _check(tape: Tape, requirement: str, outcome: Outcome, reason: str, *probes: ProbeVerdict) -> CheckVerdict:
    tape.writer.append(check_lane(requirement), VerdictData(subject=requirement, outcome=outcome, reason=reason))
    starts = [probe.started_us for probe in probes if probe.started_us is not None]
    return CheckVerdict(
        requirement=requirement,
        level=TITLES[requirement][2],  # type: ignore[arg-type]
        outcome=outcome,
        reason=reason,
        started_us=min(starts) if starts else None,
        ended_us=tape.now_us if starts else None,
        probes=list(probes),
    )


def _dra(tape: Tape) -> CheckVerdict:
    lane, start = "dra_support/kinds_served", tape.now_us
    names = ["deviceclasses", "resourceclaims", "resourceclaimtemplates", "resourceslices"]
    resources = [{"name": n, "verbs": ["create", "delete", "get", "list", "watch"]} for n in names]
    asked = tape.exchange(lane, "/apis/resource.k8s.io/v1", {"kind": "APIResourceList", "resources": resources})
    seen = tape.observe(lane, "passed", "four kinds with their verbs", "4 of 4 kinds", asked)
    kinds = _probe(tape, "dra_support", "kinds_served", "passed", seen.observed, seen, started=start)

    lane, start = "dra_support/claim_allocated", tape.now_us
    claim = {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "metadata": {"name": "one", "uid": "u-1"}}
    created = tape.exchange(lane, CLAIMS, claim, method="POST", status=201)
    watched = tape.watch(lane, CLAIMS, [{"type": "MODIFIED", "object": claim}], end="closed")
    log = tape.exchange(f"{lane}/log", "/api/v1/namespaces/aiconform/pods/probe/log", b"GPU-A\n\x1b[31mred\n```\n")
    seen = tape.observe(
        lane,
        "passed",
        "the allocated device",
        "the pod sees gpu-0",
        created,
        watched,
        log,
        allocated="gpu-0",
        seen="gpu-0",
    )
    allocated = _probe(tape, "dra_support", "claim_allocated", "passed", seen.observed, seen, started=start)

    lane, start = "dra_support/unsatisfiable_pending", tape.now_us
    watched = tape.watch(lane, CLAIMS, [{"type": "ADDED", "object": claim}])
    seen = tape.observe(lane, "passed", "pending for 30 s", "pending for 30.5 s", watched)
    pending = _probe(tape, "dra_support", "unsatisfiable_pending", "passed", seen.observed, seen, started=start)

    lane, start = "dra_support/released", tape.now_us
    gone = tape.exchange(lane, f"{CLAIMS}/one", {"kind": "Status", "code": 404}, status=404)
    seen = tape.observe(lane, "passed", "the device is free", "allocated to the second claim", gone)
    released = _probe(tape, "dra_support", "released", "passed", seen.observed, seen, started=start)
    return _check(tape, "dra_support", "passed", "", kinds, allocated, pending, released)


def _sharing(tape: Tape) -> CheckVerdict:
    lane, start = "gpu_sharing/four_share", tape.now_us
    n = tape.writer.next_n(lane)
    sent = audit_id(RUN, lane, n)
    tape.writer.append(lane, RequestData(method="GET", path="/api/v1/nodes/gpu-1", audit_id=sent))
    tape.writer.append(lane, ResponseData(status=0, error="timeout", audit_id=sent))
    seen = tape.observe(lane, "undecided", "4 pods running", "no answer: timeout", RestsOn(lane=lane, n=n))
    probe = _probe(tape, "gpu_sharing", "four_share", "undecided", seen.cause, seen, started=start)
    return _check(tape, "gpu_sharing", "undecided", f"four_share: {seen.cause}", probe)


def _isolation(tape: Tape, *, fail: bool) -> CheckVerdict:
    lane, start = "secure_accelerator_access/sees_one", tape.now_us
    log = tape.exchange(lane, "/api/v1/namespaces/aiconform/pods/one/log", b"/dev/nvidia0\n")
    seen = tape.observe(lane, "passed", "exactly 1 device", "1 device", log, requested="1", seen="1")
    one = _probe(tape, "secure_accelerator_access", "sees_one", "passed", seen.observed, seen, started=start)
    lane, start = "secure_accelerator_access/sees_none", tape.now_us
    log = tape.exchange(lane, "/api/v1/namespaces/aiconform/pods/none/log", b"/dev/nvidia1\n" if fail else b"none\n")
    outcome: Outcome = "failed" if fail else "passed"
    found = "1 device" if fail else "0 devices"
    seen = tape.observe(lane, outcome, "0 devices", found, log, requested="0", seen=found[:1])
    reason = seen.cause or seen.observed
    none = _probe(tape, "secure_accelerator_access", "sees_none", outcome, reason, seen, started=start)
    why = f"sees_none: {reason}" if fail else ""
    return _check(tape, "secure_accelerator_access", outcome, why, one, none)


def _virtual(tape: Tape) -> CheckVerdict:
    why = "no accelerator of this cluster is virtual"
    probe = _probe(tape, "virtualized_accelerator", "vgpu_used", "n/a", why, started=0)
    return _check(tape, "virtualized_accelerator", "n/a", why, probe)


def _gang(tape: Tape) -> CheckVerdict:
    return _check(tape, "gang_scheduling", "not run", "this version has no check for it")


def _verdicts(checks: list[CheckVerdict], *, fail: bool, partial: bool) -> Verdicts:
    def node(name: str, accelerators: str) -> NodeFacts:
        return NodeFacts(
            name=name, ready=True, kubelet="v1.35.3", runtime="containerd://2.2.1", os="Debian GNU/Linux 12",
            kernel="6.1.0-42-amd64", accelerators=accelerators,
        )  # fmt: skip

    return Verdicts(
        run=RUN,
        release="1.35",
        started="2026-11-24T09:00:00.000Z",
        ended="2026-11-24T09:00:42.000Z",
        partial=partial,
        simulated=True,
        simulated_because=["node/gpu-0 carries the label aiconform.dev/simulated"],
        cluster=ClusterFacts(
            product="Kubernetes v1.35.3",
            version="v1.35.3",
            platform="linux/amd64",
            kube_system_uid="0a0a0a0a-1b1b-2c2c-3d3d-4e4e4e4e4e4e",
            nodes=[
                node("control", ""),
                node("gpu-0", "2 nvidia.com/gpu (Tesla T4), simulated"),
                node("gpu-1", "4 nvidia.com/gpu (Tesla T4, shared), simulated"),
            ],
            components=[
                ComponentFacts(name="nvidia-device-plugin", version="v0.18.0", source="image of its DaemonSet")
            ],
            accelerators="3 Tesla T4, simulated",
        ),
        conclusion="Not conformant: 1 MUST failed" if fail else "Undecided: 1 MUST not run",
        exit_code=1 if fail else 3,
        checks=checks,
        removed=1,
    )
