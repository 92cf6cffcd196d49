# ruff: noqa: E501 - made-up records read best one to a line
"""A run made up for tests of the reports: every verdict, every kind of record, in memory, the same every time."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel

from aiconform.errors import BundleError
from aiconform.evidence.documents import (
    CapabilityFacts,
    CheckVerdict,
    ClusterFacts,
    ComponentFacts,
    Manifest,
    ManifestFile,
    NodeFacts,
    Plan,
    PlannedCheck,
    PlannedProbe,
    ProbeVerdict,
    Verdicts,
)
from aiconform.evidence.reader import Bundle, open_bundle
from aiconform.evidence.records import (
    GENESIS,
    PAYLOADS,
    ChunkData,
    CleanupData,
    DeadlineData,
    NoteData,
    ObservationData,
    Outcome,
    PlanData,
    Record,
    RequestData,
    ResponseData,
    RestsOn,
    SealData,
    SeriesData,
    VerdictData,
)
from aiconform.evidence.writer import BundleWriter

RUN = "7f3c09a1b2d4e5f6"
START = datetime(2026, 11, 24, 1, 2, 3, 250_000, tzinfo=UTC)
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
HEX = {"catalog": "c" * 64, "judge": "d" * 64, "code": "e" * 64, "ca": "a" * 64}


class Writer(Protocol):
    """The part of the bundle's writer that a sample needs."""

    def append(self, lane: str, payload: BaseModel) -> Record: ...
    def blob(self, data: bytes) -> str: ...


@dataclass
class Ticker:
    """A clock that moves when it is told to."""

    us: int = 0

    def wait(self, seconds: float) -> None:
        self.us += round(seconds * 1_000_000)

    def mono_us(self) -> int:
        return self.us

    def wall(self) -> datetime:
        return START + timedelta(microseconds=self.us)


@dataclass
class MemoryBundle:
    """A bundle that never touches a disk; writes and reads like one."""

    ticker: Ticker
    plan: Plan
    verdicts: Verdicts | None = None  # type: ignore[assignment]
    records: list[Record] = field(default_factory=list)
    blobs: dict[str, bytes] = field(default_factory=dict)

    def append(self, lane: str, payload: BaseModel) -> Record:
        kind = next(name for name, model in PAYLOADS.items() if model is type(payload))
        record = Record(
            seq=len(self.records),
            prev=hashlib.sha256(self.records[-1].model_dump_json().encode()).hexdigest() if self.records else GENESIS,
            lane=lane,
            n=sum(1 for record in self.records if record.lane == lane),
            type=kind,
            mono=self.ticker.us,
            wall=self.ticker.wall().strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
            data=json.loads(payload.model_dump_json()),
        )
        self.records.append(record)
        return record

    def blob(self, data: Any) -> Any:
        """Store bytes, or give the bytes of a digest: as writer and as reader."""
        if isinstance(data, bytes):
            digest = hashlib.sha256(data).hexdigest()
            self.blobs[digest] = data
            return digest
        if data not in self.blobs:
            raise BundleError(f"blobs/sha256/{data}: missing")
        return self.blobs[data]

    @property
    def lanes(self) -> dict[str, list[Record]]:
        found: dict[str, list[Record]] = defaultdict(list)
        for record in self.records:
            found[record.lane].append(record)
        return dict(found)

    @property
    def manifest(self) -> Manifest:
        def file(path: str, data: bytes) -> ManifestFile:
            return ManifestFile(path=path, size=len(data), sha256=hashlib.sha256(data).hexdigest())

        log = b"".join(record.model_dump_json().encode() + b"\n" for record in self.records)
        files = [file(f"blobs/sha256/{digest}", data) for digest, data in sorted(self.blobs.items())]
        files += [file("log.jsonl", log), file("plan.json", self.plan.model_dump_json().encode())]
        files.append(file("verdicts.json", self.verdicts.model_dump_json().encode()))
        head = hashlib.sha256(self.records[-1].model_dump_json().encode()).hexdigest()
        return Manifest(run=self.plan.run, log_head=head, files=files)

    @property
    def root_sha256(self) -> str:
        return hashlib.sha256(self.manifest.model_dump_json().encode()).hexdigest()


def table(columns: list[str], rows: list[list[Any]]) -> bytes:
    """A server-printed table as the API server answers it."""
    return json.dumps(
        {
            "kind": "Table",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": {"resourceVersion": "812"},
            "columnDefinitions": [
                {
                    "name": name.lstrip("~"),
                    "type": "string",
                    "format": "",
                    "description": "",
                    "priority": int(name[0] == "~"),
                }
                for name in columns
            ],
            "rows": [{"cells": cells, "object": {"kind": "PartialObjectMetadata"}} for cells in rows],
        }
    ).encode()


def pod(name: str, *, phase: str = "", reason: str = "", limits: dict[str, str] | None = None) -> dict[str, Any]:
    """A pod as created, or as seen with a phase."""
    body: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "aiconform-7f3c", "labels": {"aiconform.dev/run": RUN}},
        "spec": {
            "activeDeadlineSeconds": 600,
            "restartPolicy": "Never",
            "containers": [
                {
                    "name": "main",
                    "image": "registry.k8s.io/e2e-test-images/busybox:1.37.0-1",
                    "command": ["sh", "-c", "ls /dev/nvidia* | wc -l; echo done"],
                    "resources": {"limits": limits or {}},
                }
            ],
        },
    }
    if phase:
        condition = {"type": "PodScheduled", "status": "True" if not reason else "False"}
        body["status"] = {"phase": phase, "conditions": [condition | ({"reason": reason} if reason else {})]}
    return body


@dataclass
class Probe:
    """A probe while it is being recorded."""

    scribe: Scribe
    lane: str
    started_us: int
    observations: list[ObservationData] = field(default_factory=list)
    outcome: Outcome = "passed"
    reason: str = ""

    def ask(self, method: str, path: str, answer: bytes | str = b"", **options: Any) -> int:
        return self.scribe.ask(self.lane, method, path, answer, **options)

    def saw(self, expected: str, observed: str, rests: list[int], outcome: Outcome = "passed", **more: Any) -> None:
        rests_on = [RestsOn(lane=self.lane, n=n) for n in rests]
        seen = ObservationData(expected=expected, observed=observed, outcome=outcome, rests_on=rests_on, **more)
        self.scribe.record(self.lane, seen)
        self.observations.append(seen)
        if outcome != "passed":
            self.outcome, self.reason = outcome, more.get("cause", "") or observed


@dataclass
class Scribe:
    """Writes the records of a made-up run."""

    writer: Writer
    ticker: Ticker
    verdicts: dict[str, list[ProbeVerdict]] = field(default_factory=lambda: defaultdict(list))
    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def ask(
        self,
        lane: str,
        method: str,
        path: str,
        answer: bytes | str = b"",
        *,
        status: int = 200,
        query: list[tuple[str, str]] | None = None,
        accept: str = "application/json",
        sent: Any = None,
        took: float = 0.012,
        stream: list[bytes] | None = None,
        end: str = "left",
        error: str = "",
        warnings: list[str] | None = None,
    ) -> int:
        """Record one exchange; the number of its request record."""
        n = self.counts[lane]
        request = self.record(
            lane,
            RequestData(
                method=method,
                path=path,
                query=query or [],
                accept=accept,
                content_type="application/json" if sent is not None else "",
                body=self.writer.blob(json.dumps(sent).encode()) if sent is not None else None,
                audit_id=f"{RUN}.{lane}.{n}",
                stream=stream is not None,
            ),
        )
        self.ticker.wait(took)
        data = answer.encode() if isinstance(answer, str) else answer
        self.record(
            lane,
            ResponseData(
                status=0 if error else status,
                content_type="text/plain" if isinstance(answer, str) else "application/json",
                server_date="Tue, 24 Nov 2026 01:02:04 GMT",
                audit_id=request.data["audit_id"],
                warnings=warnings or [],
                body=self.writer.blob(data) if data else None,
                body_size=len(data),
                error=error,
            ),
        )
        for piece in stream or []:
            self.ticker.wait(took * 20)
            self.record(lane, ChunkData(body=self.writer.blob(piece)))
        if stream is not None:
            self.record(lane, ChunkData(end=end))
        return n

    def record(self, lane: str, payload: BaseModel) -> Record:
        record = self.writer.append(lane, payload)
        self.counts[lane] = record.n + 1
        return record

    @contextmanager
    def probe(self, requirement: str, name: str) -> Iterator[Probe]:
        """Record one probe."""
        lane = f"{requirement}/{name}"
        found = Probe(self, lane, self.ticker.us)
        yield found
        self.record(lane, VerdictData(subject=lane, outcome=found.outcome, reason=found.reason))
        self.verdicts[requirement].append(
            ProbeVerdict(
                id=name,
                lane=lane,
                outcome=found.outcome,
                reason=found.reason,
                started_us=found.started_us,
                ended_us=self.ticker.us,
                observations=found.observations,
            )
        )

    def not_run(self, requirement: str, name: str, reason: str) -> None:
        """Record a probe that was not run."""
        lane = f"{requirement}/{name}"
        self.record(lane, NoteData(text=f"not run: {reason}"))
        self.record(lane, VerdictData(subject=lane, outcome="not run", reason=reason))
        self.verdicts[requirement].append(ProbeVerdict(id=name, lane=lane, outcome="not run", reason=reason))


def _planned(name: str, kind: Any, title: str, fails_if: str, **more: Any) -> PlannedProbe:
    return PlannedProbe(
        id=name, kind=kind, title=title, fails_if=fails_if, timeout_s=more.pop("timeout_s", 120), **more
    )


def _check(name: str, title: str, category: str, level: Any, kar: str, asks: str, **more: Any) -> PlannedCheck:
    code = HEX["code"] if more.get("probes") else ""
    return PlannedCheck(
        requirement=name, title=title, category=category, level=level, kar=kar, asks=asks, code_sha256=code, **more
    )


def sample_plan() -> Plan:
    """The plan of the made-up run: release 1.35, four requirements with probes, the rest with a reason."""
    waiting = "no check for it in this version"
    return Plan(
        run=RUN,
        tool="0.1.0",
        release="1.35",
        catalog_sha256=HEX["catalog"],
        judge_sha256=HEX["judge"],
        created="2026-11-24T01:02:03.250Z",
        command=["aiconform", "run", "--local", "--release", "1.35"],
        server_ca_sha256=HEX["ca"],
        images={"probe": "registry.k8s.io/e2e-test-images/busybox:1.37.0-1"},
        options={"gateway-class": "class-told"},
        checks=[
            _check(
                "dra_support", "Accelerators are requested through Dynamic Resource Allocation", "accelerators", "MUST",
                "KAR-0051", "The cluster serves the four kinds of the stable resource API, and a driver allocates devices through them.",
                limits=["Devices of the example driver are not hardware.", "One driver was used, on one node."],
                probes=[
                    _planned("kinds_served", "positive", "the four kinds are served with every verb", "A kind or a verb is missing from discovery"),
                    _planned("claim_allocated", "positive", "a pod with a claim sees the device that was allocated to it", "The claim is not allocated, or the pod sees another device"),
                    _planned("no_such_device", "negative", "a claim that no device meets stays pending", "The claim is allocated, or its pod runs", control="claim_allocated"),
                    _planned("released", "recovery", "deleting the pod releases its device", "The claim or the device stays in use", after="claim_allocated"),
                ],
            ),
            _check("driver_runtime_management", "What the platform says about driver and runtime is true", "accelerators", "SHOULD", "KAR-0001",
                "Driver and runtime versions that the platform advertises are those that a plain pod finds.",
                probes=[_planned("advertised_is_installed", "positive", "the advertised driver version is the one a pod finds", "The two versions differ")]),
            _check("gpu_sharing", "One accelerator serves several workloads", "accelerators", "SHOULD", "KAR-0003",
                "A physical device is offered as several, and several workloads use it at once.",
                probes=[
                    _planned("four_share", "positive", "four pods run on one physical device", "A pod stays pending, or sees another device"),
                    _planned("fifth_waits", "negative", "a fifth pod waits for room", "The fifth pod is bound while four run", control="four_share"),
                    _planned("fifth_starts", "recovery", "the waiting pod starts once one of the four is gone", "It is not bound", after="fifth_waits"),
                ]),
            _check("virtualized_accelerator", "Virtual accelerators are requested like physical ones", "accelerators", "SHOULD", "KAR-0004",
                "Where accelerators are virtual, pods request them in the same way."),
            _check("ai_inference", "Inference traffic is routed by weight and header", "networking", "MUST", "", "Gateway API routes traffic by weight and by header.", not_run=waiting),
            _check("gang_scheduling", "A group of pods starts together or not at all", "schedulingOrchestration", "MUST", "KAR-0053", "All-or-nothing scheduling of a group.", not_run=waiting),
            _check("cluster_autoscaling", "Accelerator nodes come and go with demand", "schedulingOrchestration", "MUST", "KAR-0055", "A pool grows for a pending pod and shrinks after it.", not_run=waiting),
            _check("pod_autoscaling", "Workloads scale on their own metric", "schedulingOrchestration", "MUST", "KAR-0057", "A workload with accelerators scales on a custom metric.", not_run=waiting),
            _check("accelerator_metrics", "Each accelerator is measured", "observability", "MUST", "KAR-0059", "Utilisation and memory per device.", not_run=waiting),
            _check("ai_service_metrics", "Metrics of a service are found and collected", "observability", "MUST", "KAR-0061", "The monitoring system finds a workload's metrics.", not_run=waiting),
            _check(
                "secure_accelerator_access", "Only who was given a device can reach it", "security", "MUST", "KAR-0049",
                "A pod without a request finds no device; a pod with one cannot reach another's.",
                limits=["Privileged pods and pods with host paths were not tried."],
                probes=[
                    _planned("control", "positive", "a pod that requests one device sees exactly one", "It sees none, or more than one"),
                    _planned("no_request", "negative", "a pod without a request sees no device on the same node", "It sees a device", control="control"),
                    _planned("sibling", "negative", "a second container of a pod with a device sees none", "It sees a device", control="control"),
                    _planned("over_request", "negative", "a request for more devices than the node has waits", "The pod is bound", control="control", timeout_s=90),
                    _planned("given_back", "recovery", "a device is given back after its pod is gone", "The next pod does not start", after="over_request"),
                ],
            ),
            _check("robust_controller", "An operator for AI workloads does its work", "operator", "MUST", "KAR-0063", "Webhook, resources and reconciliation work.", not_run=waiting),
        ],
    )  # fmt: skip


NS = "/api/v1/namespaces/aiconform-7f3c"
CLAIMS = "/apis/resource.k8s.io/v1/namespaces/aiconform-7f3c/resourceclaims"


def event(kind: str, body: dict[str, Any]) -> bytes:
    """One watch event."""
    return json.dumps({"type": kind, "object": body}).encode() + b"\n"


def _discovery(scribe: Scribe) -> None:
    scribe.ask(
        "discovery", "GET", "/version", json.dumps({"major": "1", "minor": "35", "gitVersion": "v1.35.3+k0s"}).encode()
    )
    scribe.ask(
        "discovery", "GET", "/api/v1/nodes", table(["Name", "Status", "Roles", "Age", "Version", "~Internal-IP"], [
            ["control", "Ready", "control-plane", "42s", "v1.35.3+k0s", "ip-1"],
            ["gpu-0", "Ready", "<none>", "40s", "v1.35.3+k0s", "ip-2"],
            ["gpu-1", "Ready", "<none>", "40s", "v1.35.3+k0s", "ip-3"],
        ]), accept=TABLE,
    )  # fmt: skip


def _dra(scribe: Scribe) -> None:
    with scribe.probe("dra_support", "kinds_served") as probe:
        kinds = ["deviceclasses", "resourceclaims", "resourceclaimtemplates", "resourceslices"]
        verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
        listed = {
            "kind": "APIResourceList",
            "groupVersion": "resource.k8s.io/v1",
            "resources": [{"name": kind, "verbs": verbs} for kind in kinds],
        }
        n = probe.ask("GET", "/apis/resource.k8s.io/v1", json.dumps(listed).encode())
        probe.saw("4 kinds, each with create, get, list, update, patch, delete", "4 of 4 kinds with all 6 verbs", [n],
                  figures={kind: ", ".join(verbs) for kind in kinds})  # fmt: skip
    scribe.ticker.wait(0.4)
    with scribe.probe("dra_support", "claim_allocated") as probe:
        probe.ask(
            "POST",
            f"{NS}/pods",
            json.dumps(pod("claim-1a2b", phase="Pending")).encode(),
            status=201,
            sent=pod("claim-1a2b"),
        )
        watch = probe.ask("GET", f"{NS}/pods", query=[("watch", "true"), ("fieldSelector", "metadata.name=claim-1a2b")], stream=[
            event("ADDED", pod("claim-1a2b", phase="Pending")), event("MODIFIED", pod("claim-1a2b", phase="Pending")),
            event("MODIFIED", pod("claim-1a2b", phase="Running")), event("MODIFIED", pod("claim-1a2b", phase="Succeeded")),
        ])  # fmt: skip
        probe.ask(
            "GET",
            CLAIMS,
            table(["Name", "State", "Age"], [["claim-1a2b-gpu", "allocated,reserved", "2s"]]),
            accept=TABLE,
        )
        log = probe.ask(
            "GET",
            f"{NS}/pods/claim-1a2b/log",
            "GPU_DEVICE_0=gpu-0\nGPU_DEVICE_0_SHARING_STRATEGY=TimeSlicing\ndone\n",
            query=[("container", "main")],
            accept="text/plain, */*",
        )
        probe.saw("the device in the claim's status is the one the pod sees", "gpu-0 in the claim, gpu-0 in the pod (1.9 s)", [watch, log],
                  figures={"claim's device": "gpu-0", "pod's device": "gpu-0", "node": "gpu-0"})  # fmt: skip
    with scribe.probe("dra_support", "no_such_device") as probe:
        probe.ask(
            "POST",
            f"{NS}/pods",
            json.dumps(pod("unmet-3c4d", phase="Pending")).encode(),
            status=201,
            sent=pod("unmet-3c4d"),
        )
        seen = [
            probe.ask(
                "GET",
                f"{CLAIMS}/unmet-3c4d-gpu",
                json.dumps({"kind": "ResourceClaim", "metadata": {"name": "unmet-3c4d-gpu"}, "status": {}}).encode(),
                took=0.9,
            )
            for _ in range(9)
        ]
        watch = probe.ask(
            "GET",
            f"{NS}/pods",
            query=[("watch", "true")],
            stream=[event("ADDED", pod("unmet-3c4d", phase="Pending", reason="Unschedulable"))],
        )
        scribe.record(probe.lane, DeadlineData(waiting_for="pod unmet-3c4d must not be bound", limit_s=10))
        probe.saw(
            "the pod is not bound for 10 s, and the scheduler says why",
            "0 of 1 pods bound for 10 s: cannot allocate all claims",
            [seen[-1], watch],
        )
    with scribe.probe("dra_support", "released") as probe:
        probe.ask(
            "DELETE",
            f"{NS}/pods/claim-1a2b",
            json.dumps(pod("claim-1a2b", phase="Running")).encode(),
            sent={"preconditions": {"uid": "6f"}},
        )
        gone = probe.ask(
            "GET",
            f"{CLAIMS}/claim-1a2b-gpu",
            json.dumps({"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404}).encode(),
            status=404,
        )
        probe.saw("the generated claim is gone", "gone after 1.4 s", [gone])
    scribe.record("cleanup/dra_support", CleanupData(removed=["pod/unmet-3c4d", "resourceclaimtemplate/gpu"]))


def _driver(scribe: Scribe) -> None:
    with scribe.probe("driver_runtime_management", "advertised_is_installed") as probe:
        n = probe.ask("GET", "/api/v1/nodes/gpu-0", b"", error="timeout")
        m = probe.ask(
            "GET",
            "/api/v1/nodes/gpu-0",
            json.dumps(
                {"kind": "Status", "status": "Failure", "message": "etcdserver: request timed out", "code": 500}
            ).encode(),
            status=500,
        )
        probe.saw(
            "the node answers",
            "no usable answer",
            [n, m],
            "undecided",
            cause="node gpu-0 cannot be read: 500 after 4 tries",
        )


def _load(start: float) -> list[SeriesData]:
    """Values over time as a probe may have seen them."""
    times = [start + n * 0.1 for n in range(12)]
    return [
        SeriesData(name="pods running", unit="pods", points=[(at, min(n // 2, 4)) for n, at in enumerate(times)]),
        SeriesData(name="utilisation of GPU-A", unit="%", points=[(at, n * 7.5) for n, at in enumerate(times)]),
        SeriesData(name="target", unit="%", points=[(times[0], 60), (times[-1], 60)]),
    ]


def _sharing(scribe: Scribe) -> None:
    with scribe.probe("gpu_sharing", "four_share") as probe:
        for number in range(4):
            body = pod(f"share-{number}", limits={"nvidia.com/gpu": "1"})
            probe.ask(
                "POST",
                f"{NS}/pods",
                json.dumps(body).encode(),
                status=201,
                sent=body,
                warnings=['would violate PodSecurity "restricted:latest"'] if not number else None,
            )
        n = probe.ask(
            "GET",
            f"{NS}/pods",
            table(
                ["Name", "Ready", "Status", "Restarts", "Age", "~Node"],
                [[f"share-{i}", "1/1", "Running", 0, "3s", "gpu-1"] for i in range(4)],
            ),
            accept=TABLE,
        )
        logs = [
            probe.ask("GET", f"{NS}/pods/share-{i}/log", "GPU-A\ndone\n", query=[("container", "main")], took=0.2)
            for i in range(4)
        ]
        probe.saw("4 of 4 pods see the same physical device", "4 of 4 pods on gpu-1 see GPU-A", [n, *logs],
                  figures={"allocatable": "4", "pods": "4", "physical devices": "1"},
                  series=_load(probe.started_us / 1e6))  # fmt: skip
    with scribe.probe("gpu_sharing", "fifth_waits") as probe:
        n = probe.ask(
            "GET",
            f"{NS}/pods/share-4",
            json.dumps(pod("share-4", phase="Pending", reason="Unschedulable")).encode(),
            took=10.0,
        )
        probe.saw(
            "the fifth pod is not bound for 10 s",
            "0 of 1 pods bound for 10 s: Insufficient nvidia.com/gpu",
            [n],
            figures={"window": "10 s"},
        )
    with scribe.probe("gpu_sharing", "fifth_starts") as probe:
        n = probe.ask("GET", f"{NS}/pods/share-4", json.dumps(pod("share-4", phase="Running")).encode(), took=1.1)
        at = probe.started_us / 1e6
        pods = SeriesData(name="pods running", unit="pods", points=[(at, 3), (at + 0.4, 3), (at + 1.1, 4)])
        probe.saw("it runs", "running 1.1 s after share-0 was gone", [n], series=[pods])
    scribe.record("cleanup/gpu_sharing", CleanupData(removed=[f"pod/share-{i}" for i in range(5)]))


def _access(scribe: Scribe) -> None:
    with scribe.probe("secure_accelerator_access", "control") as probe:
        body = pod("granted", limits={"nvidia.com/gpu": "1"})
        probe.ask("POST", f"{NS}/pods", json.dumps(body).encode(), status=201, sent=body, took=0.5)
        n = probe.ask("GET", f"{NS}/pods/granted/log", "1\ndone\n", query=[("container", "main")], took=1.5)
        probe.saw(
            "exactly 1 device node", "1 device node: /dev/nvidia0", [n], figures={"node": "gpu-0", "device nodes": "1"}
        )
    with scribe.probe("secure_accelerator_access", "no_request") as probe:
        probe.ask("POST", f"{NS}/pods", json.dumps(pod("bare")).encode(), status=201, sent=pod("bare"), took=0.5)
        n = probe.ask("GET", f"{NS}/pods/bare/log", "2\ndone\n", query=[("container", "main")], took=1.7)
        probe.saw("0 device nodes on gpu-0", "2 device nodes: /dev/nvidia0, /dev/nvidia1", [n], "failed",
                  cause="the runtime handler honours NVIDIA_VISIBLE_DEVICES without a request", figures={"node": "gpu-0", "device nodes": "2"})  # fmt: skip
    with scribe.probe("secure_accelerator_access", "sibling") as probe:
        n = probe.ask("GET", f"{NS}/pods/two/log", "0\ndone\n", query=[("container", "second")], took=1.2)
        probe.saw(
            "0 device nodes in the second container",
            "0 device nodes",
            [n],
            figures={"node": "gpu-0", "device nodes": "0"},
        )
    with scribe.probe("secure_accelerator_access", "over_request") as probe:
        n = probe.ask(
            "GET",
            f"{NS}/pods/three",
            json.dumps(pod("three", phase="Pending", reason="Unschedulable")).encode(),
            took=5.0,
        )
        scribe.record(probe.lane, DeadlineData(waiting_for="pod three must not be bound", limit_s=30))
        probe.saw("not bound for 5 s", "0 of 1 pods bound for 5 s: Insufficient nvidia.com/gpu", [n])
    scribe.not_run("secure_accelerator_access", "given_back", "the run was short of time")
    scribe.record(
        "cleanup/secure_accelerator_access",
        CleanupData(removed=["pod/granted"], left=["pod/bare (finalizers: example.com/hold)"]),
    )


def _judged(scribe: Scribe, plan: Plan) -> list[CheckVerdict]:
    outcomes: dict[str, tuple[Outcome, str]] = {
        "dra_support": ("passed", ""),
        "driver_runtime_management": (
            "undecided",
            "advertised_is_installed: node gpu-0 cannot be read: 500 after 4 tries",
        ),
        "gpu_sharing": ("passed", ""),
        "virtualized_accelerator": ("n/a", "no accelerator on this cluster is virtual: nothing to request"),
        "secure_accelerator_access": ("failed", "no_request: a pod without a request saw 2 device nodes"),
    }
    verdicts = []
    for check in plan.checks:
        outcome, reason = outcomes.get(check.requirement, ("not run", check.not_run))
        probes = scribe.verdicts.get(check.requirement, [])
        times = [time for probe in probes for time in (probe.started_us, probe.ended_us) if time is not None]
        verdicts.append(
            CheckVerdict(
                requirement=check.requirement, level=check.level, outcome=outcome, reason=reason, probes=probes,
                started_us=min(times, default=None), ended_us=max(times, default=None),
                left_behind=["pod/bare (finalizers: example.com/hold)"] if outcome == "failed" else [],
            )
        )  # fmt: skip
        scribe.record(
            f"verdict/{check.requirement}", VerdictData(subject=check.requirement, outcome=outcome, reason=reason)
        )
    return verdicts


def facts() -> ClusterFacts:
    """The cluster of the made-up run."""

    def node(name: str, accelerators: str) -> NodeFacts:
        return NodeFacts(
            name=name,
            ready=True,
            kubelet="v1.35.3+k0s",
            runtime="containerd://2.2.1",
            os="Debian GNU/Linux 12 (bookworm)",
            kernel="6.1.0-28-amd64",
            accelerators=accelerators,
        )

    return ClusterFacts(
        product="k0s v1.35.3+k0s",
        version="v1.35.3+k0s",
        platform="linux/amd64",
        kube_system_uid="5d0a4f6e-2c55-4b0e-9a86-7f7a3a3f0f7e",
        nodes=[node("control", ""), node("gpu-0", "2 nvidia.com/gpu (Tesla T4), simulated"), node("gpu-1", "4 nvidia.com/gpu, 1 Tesla T4 in 4 time slices, simulated")],
        components=[
            ComponentFacts(name="NVIDIA device plugin", version="v0.18.0", source="image of DaemonSet nvidia-device-plugin"),
            ComponentFacts(name="dra-example-driver", version="v0.2.1", source="ResourceSlice of driver gpu.example.com"),
            ComponentFacts(name="CoreDNS", version="v1.13.1", source="image of Deployment coredns"),
        ],
        accelerators="3 x Tesla T4 (simulated), DRA driver gpu.example.com",
        capabilities=[
            CapabilityFacts(kind="gang scheduling", name="Volcano", detail="takes Job.batch.volcano.sh", how=["API batch.volcano.sh/v1alpha1", "Deployment volcano-system/volcano-scheduler: vc-scheduler:v1.14.1"]),
            CapabilityFacts(kind="gateway", name="GatewayClasses", detail="not known", how=["list gatewayclasses: 403 Forbidden"], known=False),
        ],
    )  # fmt: skip


def write_sample(writer: Writer, ticker: Ticker, plan: Plan) -> Verdicts:
    """Write the made-up run; the verdicts are returned, the seal is the caller's."""
    scribe = Scribe(writer, ticker)
    ticker.wait(0.08)
    _discovery(scribe)
    ticker.wait(0.3)
    for part in (_dra, _driver, _sharing, _access):
        part(scribe)
    checks = _judged(scribe, plan)
    ticker.wait(0.2)
    return Verdicts(
        run=plan.run,
        release=plan.release,
        started="2026-11-24T01:02:03.250Z",
        ended=ticker.wall().strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
        simulated=True,
        simulated_because=[
            "node gpu-0 carries the label aiconform.dev/simulated-accelerator",
            "DRA driver gpu.example.com is the example driver",
        ],
        cluster=facts(),
        conclusion="Not conformant: 1 MUST failed, 7 MUST not run; 1 MUST and 1 SHOULD passed.",
        exit_code=1,
        checks=checks,
        removed=8,
        left_behind=["pod/bare (finalizers: example.com/hold)"],
    )


def sample(plan: Plan | None = None) -> MemoryBundle:
    """The made-up run in memory."""
    ticker = Ticker()
    plan = plan or sample_plan()
    bundle = MemoryBundle(ticker, plan)
    bundle.append("run", PlanData(sha256="0" * 64))
    bundle.verdicts = write_sample(bundle, ticker, plan)
    bundle.append("run", SealData(plan_sha256="0" * 64, verdicts_sha256="0" * 64, records=len(bundle.records) + 1))
    return bundle


def write_bundle(directory: Path) -> Bundle:
    """The made-up run as a sealed bundle on disk, opened again."""
    ticker, plan = Ticker(), sample_plan()
    writer = BundleWriter(directory, wall=ticker.wall, mono_us=ticker.mono_us)
    writer.commit_plan(plan)
    writer.seal(verdicts=write_sample(writer, ticker, plan), partial=False)
    return open_bundle(directory)
