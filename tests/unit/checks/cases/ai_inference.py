"""Answers that must fail the probes of inference through the Gateway API."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.support.substitutions import Both, InJson, InLogs
from tests.unit.checks.cases.contract import Case
from tests.unit.checks.cases.edits import Obj, pending

INFERENCE = "ai_inference"


def conditions(found: Obj) -> Iterator[Obj]:
    status = found.get("status", {})
    yield from status.get("conditions") or []
    for parent in status.get("parents") or []:
        yield from parent.get("conditions") or []


def says(kind: str, status: str, reason: str) -> Callable[[Obj], None]:
    def edit(found: Obj) -> None:
        for said in conditions(found):
            if said["type"] == kind:
                said.update(status=status, reason=reason)

    return edit


def stale(found: Obj) -> None:
    for said in conditions(found):
        said["observedGeneration"] = found["metadata"]["generation"] - 1


def of_a_mesh(found: Obj) -> None:
    found["spec"]["controllerName"] = "istio.io/mesh-controller"


def without_address(found: Obj) -> None:
    found.get("status", {}).pop("addresses", None)


def lane(probe: str) -> str:
    return f"{INFERENCE}/{probe}"


def status(probe: str, batch: str, old: int, new: int) -> InLogs:
    """A batch whose answers have another status."""
    return InLogs(lane(probe), rf'(batch_{batch}=.*?"status": {{)"{old}"', rf'\1"{new}"')


def served(probe: str, batch: str, old: str, new: str) -> InLogs:
    """A batch answered by another backend."""
    return InLogs(lane(probe), rf'(batch_{batch}=.*?"served": {{)"{old}', rf'\1"{new}')


def unsettled(probe: str, batch: str) -> InLogs:
    """A batch that never was as wanted before its requests were counted."""
    return InLogs(lane(probe), rf'(batch_{batch}=.*?"settled_s": )[0-9.]+', r"\1null")


def arrived(field: str, old: str, new: str) -> InLogs:
    """A request that arrives otherwise than it was sent."""
    return InLogs(lane("forwarded"), rf'(\\"{field}\\": (?:\\")?){old}', rf"\g<1>{new}")


CASES = (
    Case(InJson(lane("class_accepted"), "/gatewayclasses/", says("Accepted", "False", "Invalid")), "Accepted=False"),
    Case(InJson(lane("class_accepted"), "/gatewayclasses/", stale), "no Accepted of the current generation"),
    Case(InJson(lane("class_accepted"), "/gatewayclasses/", of_a_mesh), "by istio.io/mesh-controller"),
    Case(InJson(lane("programmed"), "/gateways", says("Programmed", "False", "Pending")), "Programmed=False Pending"),
    Case(InJson(lane("programmed"), "/gateways", says("Accepted", "False", "Invalid")), "Accepted=False Invalid"),
    Case(InJson(lane("programmed"), "/gateways", stale), "no Programmed of the current generation"),
    Case(
        InJson(lane("programmed"), "/gateways", says("Programmed", "False", "AddressNotAssigned")),
        "AddressNotAssigned",
        "undecided",
    ),
    Case(InJson(lane("programmed"), "/gateways", without_address), "no address", "undecided"),
    Case(InJson(lane("routed"), "/pods", pending), "is Pending"),
    Case(status("routed", "predict", 200, 503), "20 x 503"),
    Case(served("routed", "predict", "champion", ""), "from"),
    Case(served("routed", "predict", "champion", "somebody"), "20 from somebody"),
    Case(unsettled("routed", "predict"), "not as wanted"),
    Case(InLogs(lane("routed"), r'"count": 20', '"count": 19'), "report is not whole", "undecided"),
    Case(status("unmatched", "control", 200, 404), "just before"),
    Case(status("unmatched", "root", 404, 200), "/: 5 of 5 answers are 404"),
    Case(served("unmatched", "root", "", "champion"), "/: 5 of 5 answers are 404"),
    Case(status("unmatched", "longer", 404, 200), "/predictor"),
    Case(status("unmatched", "host", 404, 200), "an unknown host"),
    Case(
        Both(
            InLogs(lane("split"), r'"(champion-\w+)": \d+', r'"\1": 150'),
            InLogs(lane("split"), r'"(challenger-\w+)": \d+', r'"\1": 150'),
        ),
        "60 +/- 28",
    ),
    Case(status("split", "split", 200, 503), "300 x 503"),
    Case(InLogs(lane("split"), r'"(champion-\w+)": \d+', r'"\1-other": 240'), "the others from champion"),
    Case(served("by_header", "named", "challenger", "champion"), "x-model: challenger"),
    Case(served("by_header", "other", "champion", "challenger"), "x-model: champion"),
    Case(served("by_header", "without", "champion", "challenger"), "without x-model"),
    Case(arrived("backend", "challenger", "champion"), "backend is"),
    Case(arrived("method", "POST", "GET"), "method is"),
    Case(arrived("path", "/v1/chat", "/chat"), "path is"),
    Case(arrived("host", "chat", "other"), "host is"),
    Case(arrived("body_bytes", r"\d", "9"), "body_bytes is"),
    Case(arrived("body_sha256", r"\w{8}", "00000000"), "body_sha256 is"),
    Case(arrived("headers_sha256", r"\w{8}", "00000000"), "headers_sha256 is"),
    Case(InLogs(lane("forwarded"), r'\\"object\\"', "object"), "body_sha256 is None"),
    Case(InLogs(lane("reweighted"), r'"served": {', '"served": {"champion-0": 1, '), "1 from champion-0"),
    Case(unsettled("reweighted", "changed"), "not as wanted"),
    Case(status("unresolved", "missing", 500, 200), "20 x 200"),
    Case(status("unresolved", "missing", 500, 404), "20 x 404"),
    Case(served("unresolved", "missing", "", "champion"), "20 from champion"),
    Case(status("deleted", "gone", 404, 200), "the deleted route"),
    Case(served("deleted", "gone", "", "champion"), "the deleted route"),
    Case(unsettled("deleted", "gone"), "not as wanted"),
    Case(status("deleted", "kept", 200, 404), "of another route"),
)
