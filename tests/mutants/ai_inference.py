"""Broken gateways: nobody behind the class, no address, a proxy that spoils what goes through, stale routes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tests.mutants.breaking import applied, deleted, patched, scaled_to_zero
from tests.mutants.contract import Break, Kill, Mutant

from aiconform.local import Cluster
from aiconform.local.addons.envoy_gateway import CLASS, NAME, NAMESPACE, PROXY
from aiconform.local.images.table import IMAGES

LISTEN, NOBODY = 18080, 18081
PROGRAM = Path(__file__).parent / "programs" / "between.py"
CLASS_OBJECT = f"gatewayclass/{CLASS}"
ROLE = "clusterrole/eg-gateway-helm-envoy-gateway-role"
AGAIN_S = 120

Obj = dict[str, Any]


def proxies(cluster: Cluster, change: Obj) -> AbstractContextManager[None]:
    """Every Gateway's Envoy deployed otherwise from now on."""
    spec = {"spec": {"provider": {"kubernetes": change}}}
    return patched(cluster, spec, "-n", NAMESPACE, f"envoyproxy/{PROXY}")


def to_port(number: int) -> Obj:
    """What sends a Gateway's requests to another port of its pods."""
    port = {"port": 80, "protocol": "TCP", "targetPort": number}
    return {"envoyService": {"patch": {"type": "StrategicMerge", "value": {"spec": {"ports": [port]}}}}}


@contextmanager
def between(cluster: Cluster, way: str) -> Iterator[None]:
    """A proxy of ours in the pods of every Gateway, before Envoy; see ``programs/between.py``."""
    found = json.loads(cluster.kubectl("-n", NAMESPACE, "get", f"envoyproxy/{PROXY}", "-o", "json"))
    deployed = found["spec"]["provider"]["kubernetes"]["envoyDeployment"]
    container = {
        "name": "between",
        "image": IMAGES["python"].reference,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-u", "-c", PROGRAM.read_text(), way],
        "readinessProbe": {"tcpSocket": {"port": LISTEN}, "periodSeconds": 1},
    }
    containers = [*deployed["patch"]["value"]["spec"]["template"]["spec"]["containers"], container]
    pod = {"spec": {"template": {"spec": {"containers": containers}}}}
    with proxies(cluster, {"envoyDeployment": {"patch": {"value": pod}}, **to_port(LISTEN)}):
        yield


@contextmanager
def foreign_class(cluster: Cluster) -> Iterator[None]:
    """A class of a controller that is not there, and no other."""
    other = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GatewayClass",
        "metadata": {"name": "abandoned"},
        "spec": {"controllerName": "example.com/abandoned"},
    }
    with deleted(cluster, CLASS_OBJECT), applied(cluster, other):
        yield


@contextmanager
def without_right(cluster: Cluster, resource: str) -> Iterator[None]:
    """Envoy Gateway may not write this any more."""
    role = json.loads(cluster.kubectl("get", ROLE, "-o", "json"))
    rules = [{**rule, "resources": [item for item in rule["resources"] if item != resource]} for rule in role["rules"]]
    assert rules != role["rules"]
    with patched(cluster, {"rules": [rule for rule in rules if rule["resources"]]}, ROLE):
        yield


@contextmanager
def stopped_once(cluster: Cluster, hint: str) -> Iterator[None]:
    """The controller is stopped as soon as it has accepted a route whose name begins so."""
    over = threading.Event()
    stack = ExitStack()

    def stop() -> None:
        while not over.wait(0.1):
            routes = json.loads(cluster.kubectl("get", "httproutes", "--all-namespaces", "-o", "json"))["items"]
            mine = [route for route in routes if route["metadata"]["name"].startswith(f"{hint}-")]
            if any(route.get("status", {}).get("parents") for route in mine):
                stack.enter_context(scaled_to_zero(cluster, NAMESPACE, NAME))
                pods = ("-n", NAMESPACE, "delete", "pods", "-l", f"control-plane={NAME}")
                cluster.kubectl(*pods, "--grace-period=0", "--force")
                return

    thread = threading.Thread(target=stop)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(AGAIN_S)
        stack.close()
        # the Gateway went while nobody looked after it, so its Envoy was left
        made = ("-n", NAMESPACE, "delete", "deployments,services,configmaps,serviceaccounts")
        cluster.kubectl(*made, "-l", "app.kubernetes.io/managed-by=envoy-gateway", "--ignore-not-found")


def _way(way: str) -> Break:
    return partial(between, way=way)


def _mutant(what: str, broken: Break, **kills: Kill) -> Mutant:
    return Mutant("ai_inference", what, broken, kills)


MUTANTS = (
    _mutant(
        "the only GatewayClass is of a controller that is not there",
        foreign_class,
        class_accepted=Kill("failed", "abandoned: no Accepted of the current generation"),
    ),
    _mutant(
        "the GatewayClass refers to parameters that do not exist",
        lambda cluster: patched(cluster, {"spec": {"parametersRef": {"name": "nothing"}}}, CLASS_OBJECT),
        class_accepted=Kill("failed", "InvalidParameters"),
    ),
    _mutant(
        "the controller is stopped; its class still says that it is accepted",
        lambda cluster: scaled_to_zero(cluster, NAMESPACE, NAME),
        programmed=Kill("failed", "no Programmed of the current generation"),
    ),
    _mutant(
        "Gateways wait for a load balancer that is not there",
        lambda cluster: proxies(cluster, {"envoyService": {"type": "LoadBalancer"}}),
        programmed=Kill("undecided", "AddressNotAssigned"),
    ),
    Mutant(
        "ai_inference",
        "Gateways wait for a load balancer, and their Services are asked in the cluster",
        lambda cluster: proxies(cluster, {"envoyService": {"type": "LoadBalancer"}}),
        told="AddressNotAssigned",
        options={"gateway-address": "in-cluster"},
    ),
    Mutant(
        "ai_inference",
        "nobody listens behind the Gateways' Services, which are asked in the cluster",
        lambda cluster: proxies(cluster, to_port(NOBODY)),
        {"routed": Kill("failed", "ConnectionRefused")},
        options={"gateway-address": "in-cluster"},
    ),
    _mutant(
        "the controller may not write the status of routes",
        partial(without_right, resource="httproutes/status"),
        routed=Kill("failed", "no Accepted of the current generation"),
    ),
    _mutant(
        "nobody listens at the Gateway's address",
        lambda cluster: proxies(cluster, to_port(NOBODY)),
        routed=Kill("failed", "ConnectionRefused"),
    ),
    _mutant(
        "a portal answers 200 to everything before any route is looked at",
        _way("portal"),
        routed=Kill("failed", "from no backend"),
    ),
    _mutant(
        "a gateway sends what has no route where the last good request went",
        _way("catching"),
        unmatched=Kill("failed", "/: 5 of 5 answers are 404"),
        deleted=Kill("failed", "the deleted route"),
    ),
    _mutant(
        "a gateway ignores weights and splits evenly",
        _way("even"),
        split=Kill("failed", "4 sigma"),
    ),
    _mutant(
        "a gateway takes the header x-model away",
        _way("headerless"),
        by_header=Kill("failed", "x-model: challenger"),
        forwarded=Kill("failed", "backend is"),
    ),
    _mutant(
        "a gateway reads JSON bodies and writes them anew",
        _way("rewritten"),
        forwarded=Kill("failed", "body_sha256 is"),
    ),
    _mutant(
        "a gateway remembers its first answers and never asks again",
        _way("remembering"),
        reweighted=Kill("failed", "weights 0/100"),
        deleted=Kill("failed", "the deleted route"),
    ),
    _mutant(
        "the controller stops once the split is there",
        partial(stopped_once, hint="split"),
        reweighted=Kill("failed", "no Accepted of the current generation"),
    ),
    _mutant(
        "a gateway sends what has no backend where the last good request went",
        _way("covering"),
        unresolved=Kill("failed", "the route without a backend"),
    ),
)
