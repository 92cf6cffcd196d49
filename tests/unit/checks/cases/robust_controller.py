"""Answers that must fail the probes of an AI operator."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.substitutions import InJson, InLogs, InText
from tests.unit.checks.cases.contract import Case
from tests.unit.checks.cases.edits import Obj, condition

OPERATOR = "robust_controller"
CLUSTERS, WEBHOOKS = "/rayclusters", "/validatingwebhookconfigurations"
DENIED = r'admission webhook \\"vraycluster.kb.io\\" denied the request'


def lane(probe: str) -> str:
    return f"{OPERATOR}/{probe}"


def without_owner(pod: Obj) -> None:
    pod["metadata"].pop("ownerReferences", None)


def not_ready(kind: str) -> Callable[[Obj], None]:
    def edit(pod: Obj) -> None:
        if pod["metadata"].get("labels", {}).get("ray.io/node-type") == kind:
            condition("Ready", "False")(pod)

    return edit


def elsewhere(configuration: Obj) -> None:
    for hook in configuration.get("webhooks") or []:
        hook["clientConfig"].get("service", {})["namespace"] = "elsewhere"


def for_others(configuration: Obj) -> None:
    for hook in configuration.get("webhooks") or []:
        hook["rules"] = [{**rule, "resources": ["others"]} for rule in hook["rules"]]


def selects_nothing(service: Obj) -> None:
    service["spec"].pop("selector", None)


def let_go(job: Obj) -> None:
    job["metadata"]["finalizers"] = []


CASES = (
    Case(
        InJson(lane("installed"), "/customresourcedefinitions/", condition("Established", "False")), "Established False"
    ),
    Case(InText(lane("installed"), "/apis/ray.io/v1", '"kind":"RayJob"', '"kind":"Other"'), "not RayJob"),
    Case(InText(lane("installed"), "/deployments", r'"items":\[.*\]', '"items":[]'), "no Deployment", "undecided"),
    Case(InJson(lane("reconciled"), "/pods", without_owner), "not controlled by the RayCluster"),
    Case(InJson(lane("reconciled"), "/pods", not_ready("worker")), "1 of 2 pods ready"),
    Case(InJson(lane("wrong_refused"), WEBHOOKS, elsewhere), "it is not asked"),
    Case(InJson(lane("wrong_refused"), WEBHOOKS, for_others), "it is not asked"),
    Case(InJson(lane("wrong_refused"), "/services", selects_nothing), "it is not asked"),
    Case(InText(lane("wrong_refused"), CLUSTERS, f"{DENIED}: ", ""), "refused by 422 Invalid"),
    Case(InText(lane("wrong_refused"), CLUSTERS, r"workerGroupSpecs\[1\]", "headGroupSpec"), "for that mistake"),
    Case(
        InText(lane("wrong_refused"), CLUSTERS, "vraycluster.kb.io", "rogue.example.com"),
        "rogue.example.com is not KubeRay's",
        "undecided",
    ),
    Case(InLogs(lane("computes"), r"result=\[0, 1", "result=[0, 0"), "[0, 0, 4, 9, 16]"),
    Case(InLogs(lane("computes"), "hosts=.*,", "hosts="), "computed on"),
    Case(InLogs(lane("computes"), "result=.*", "error=boom"), "no result"),
    Case(InJson(lane("head_replaced"), "/pods", not_ready("head")), "1 of 2 pods ready"),
    Case(InLogs(lane("head_replaced"), "hosts=.*,", "hosts="), "computed on"),
    Case(InJson(lane("finalized"), "/rayjobs", let_go), "finalizers: none"),
    Case(InText(lane("removed"), "/pods", r'"items":\[.*\]', '"items":[]'), "0 pods"),
    Case(InText(lane("removed"), "/services", r'"items":\[.*\]', '"items":[]'), "0 Services"),
)
