"""Where runs with faults are made, and what is looked at after each of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.faults import rehearsal
from tests.faults.cases import Case
from tests.faults.kinds import TRAP
from tests.faults.plane import ADMIN, Plane
from tests.faults.proxy import Fault, Proxy, Upstream
from tests.faults.wire import Head

from aiconform.engine.rejudge import rejudge
from aiconform.evidence.reader import open_bundle
from aiconform.local.pki import Authority

TOKEN = "faults-token-0123456789abcdef"
RELEASE = "1.35"
PREFLIGHT_S = 120.0
CLEAN_UP_S = 120.0
"""What the engine allows each of the two clean-ups of a run: of the check, and of the run."""
_RUNNER_CERT_NAMES = ["127.0.0.1", "localhost"]
_KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: faults
clusters:
- name: faults
  cluster: {{server: "https://127.0.0.1:{port}", certificate-authority: "{ca}"}}
contexts:
- name: faults
  context: {{cluster: faults, user: faults}}
users:
- name: faults
  user: {{token: "{token}"}}
"""


def budget_s(subject: str) -> float:
    """How long a run may take by the engine's own limits: before the checks, in them, and for both clean-ups."""
    check = rehearsal.GOOD if subject == "good" else rehearsal.BAD
    return PREFLIGHT_S + sum(probe.timeout_s for probe in check.probes) + 2 * CLEAN_UP_S


@dataclass
class Result:
    """What came of a run.

    Attributes:
        outcomes: verdict by probe, and of the requirement under its own name; empty where nothing was sealed.
        requests: what was asked, as ``METHOD /path?query``, in order.
        writes: numbers of the requests that write.
        creations: numbers of those that create what is stored.
        problems: what must not be, each with a first word that says of which sort it is.
        left: objects of the run that were there after it (and, where that is allowed, before the clean-up after it).
    """

    case: str
    run: str
    code: int = -1
    wall_s: float = 0.0
    outcomes: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    writes: list[int] = field(default_factory=list)
    creations: list[int] = field(default_factory=list)
    struck: int = 0
    problems: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    swept: str = ""

    def line(self) -> str:
        """As a line of JSON."""
        return json.dumps({**asdict(self), "requests": len(self.requests)})


class Bench:
    """Where runs are made: a control plane, and what stands between it and them. Use as ``async with``."""

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        self.authority = Authority("faults-proxy-ca")
        self.scratch = Path(tempfile.mkdtemp(prefix="aiconform-faults-runs-"))
        self.ca = self.scratch / "ca.crt"
        self.ca.write_bytes(self.authority.pair.certificate)
        self.authority.issue("faults-proxy", names=_RUNNER_CERT_NAMES).write(self.scratch, "proxy")
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(self.scratch / "proxy.crt", self.scratch / "proxy.key")
        self.upstream: Upstream = plane.upstream()
        self.admin: Upstream = plane.upstream(ADMIN)

    async def __aenter__(self) -> Bench:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.upstream.close()
        self.admin.close()
        shutil.rmtree(self.scratch, ignore_errors=True)

    async def up_again(self) -> None:
        """Wait until the control plane answers and writes, after an outage."""
        while True:
            with contextlib.suppress(OSError, EOFError):
                answer = await self.admin.ask(Head("GET /readyz HTTP/1.1", ()))
                if answer.status == 200:
                    return
            await asyncio.sleep(0.5)

    def proxy(self, case: Case, seed: int, script: Mapping[int, Fault]) -> Proxy:
        """A proxy for one run."""
        return Proxy(self.upstream, self.tls, TOKEN, script, case.rng(seed), planter=self.admin)

    def place(self, case: Case, run: str) -> Path:
        """A directory for one run."""
        place = self.scratch / f"{case.kind}-{case.number}-{case.subject}-{run}"
        place.mkdir()
        return place

    def kubeconfig(self, place: Path, port: int) -> Path:
        """The run's kubeconfig: the proxy, and nothing else."""
        path = place / "kubeconfig"
        path.write_text(_KUBECONFIG.format(port=port, ca=self.ca, token=TOKEN))
        return path


def take_requests(result: Result, proxy: Proxy) -> None:
    result.requests = [f"{request.method} {request.target}" for request in proxy.seen]
    result.writes = [request.number for request in proxy.seen if request.writes]
    result.creations = [request.number for request in proxy.seen if request.creates]
    result.struck = result.struck or len(proxy.struck)
    if any(request.path.startswith(TRAP) for request in proxy.seen):
        result.problems.append("redirect: it was followed")
    if proxy.strangers:
        result.problems.append(f"redirect: {proxy.strangers} requests without the token")


def derive_again(bundle: Path, result: Result) -> None:
    """What a run has sealed must be re-derived from its log, whatever happened to it."""
    if not (bundle / "manifest.json").is_file():
        return
    try:
        again = rejudge(open_bundle(bundle), rehearsal.CHECKS)
    except Exception as bug:  # noqa: BLE001 - verify would show a traceback
        result.problems.append(f"verify: {type(bug).__name__}: {bug}")
        return
    if again.outcome != "same":
        result.problems.append(f"verify: {again.outcome}: {'; '.join(again.problems)[:300]}")


def scan_files(output: Path, result: Result) -> None:
    """No file of a run holds its token."""
    for path in output.rglob("*"):
        if path.is_file() and TOKEN.encode() in path.read_bytes():
            result.problems.append(f"credential: in {path.relative_to(output)}")


async def remains(bench: Bench, run: str) -> list[str]:
    """Paths of the root objects of a run that are still there: its namespaces, and what it makes outside of them."""
    found = []
    for name in (f"aiconform-{run}", f"aiconform-{run}-baseline"):
        status, _ = await bench.admin.json("GET", f"/api/v1/namespaces/{name}")
        if status != 404:
            found.append(f"/api/v1/namespaces/{name}")
    classes = "/apis/resource.k8s.io/v1/deviceclasses"
    _, listed = await bench.admin.json("GET", f"{classes}?labelSelector=aiconform.dev%2Frun%3D{run}")
    owned = [item["metadata"] for item in listed.get("items", []) if item["metadata"].get("ownerReferences")]
    return found + [f"{classes}/{meta['name']}" for meta in owned]
