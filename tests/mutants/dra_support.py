"""Broken Dynamic Resource Allocation: a kind without a verb, devices that do not arrive, are given twice or kept."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.mutants.contract import Kill, Mutant
from tests.mutants.nodes import binds_anyway, meanwhile, runtime
from tests.mutants.servers import served_by_rogue, webhook

from aiconform.local import Cluster
from aiconform.local.api import Api
from aiconform.local.images.table import IMAGES

_GROUP = "/apis/resource.k8s.io/v1"
_FINALIZER = "rogue.example.com/keep"

_NO_DEVICE = 'spec["process"]["env"] = [e for e in spec["process"]["env"] if not e.startswith("GPU_DEVICE")]'

_ONE_FOR_ALL = """
def edit(obj, request):
    for result in obj.get("status", {}).get("allocation", {}).get("devices", {}).get("results", []):
        result["device"] = "gpu-0"
"""


@contextmanager
def without_delete(cluster: Cluster) -> Iterator[None]:
    """An API in which a claim cannot be deleted."""
    listed = cluster.api.get(_GROUP)
    for kind in listed["resources"]:
        if kind["name"] == "resourceclaims":
            kind["verbs"] = [verb for verb in kind["verbs"] if verb != "delete"]
    code = f"LISTED = json.loads({json.dumps(listed)!r})\ndef answer(path):\n"
    code += f"    return LISTED if path == {_GROUP!r} else None\n"
    with served_by_rogue(cluster, code, "resource.k8s.io", "v1"):
        yield


@contextmanager
def kept_claims(cluster: Cluster) -> Iterator[None]:
    """Somebody who holds on to every claim that was made for a pod."""

    def keep(api: Api, ended: threading.Event) -> None:
        for claim in _claims(api):
            if not claim["metadata"].get("deletionTimestamp") and not ended.is_set():
                _finalizers(api, claim, [*_others(claim), _FINALIZER])

    with meanwhile(keep, cluster):
        try:
            yield
        finally:
            for claim in _claims(cluster.api):
                _finalizers(cluster.api, claim, _others(claim))


def _claims(api: Api) -> list[dict[str, object]]:
    return [c for c in api.get(f"{_GROUP}/resourceclaims")["items"] if c["metadata"].get("ownerReferences")]


def _others(claim: dict[str, object]) -> list[str]:
    return [name for name in claim["metadata"].get("finalizers") or [] if name != _FINALIZER]  # type: ignore[attr-defined]


def _finalizers(api: Api, claim: dict[str, object], wanted: list[str]) -> None:
    meta = claim["metadata"]
    if sorted(meta.get("finalizers") or []) != sorted(wanted):  # type: ignore[attr-defined]
        path = f"{_GROUP}/namespaces/{meta['namespace']}/resourceclaims/{meta['name']}"  # type: ignore[index]
        api.patch(path, {"metadata": {"finalizers": wanted}})


_HELD = {"name": "everything", "namespace": "default"}


@contextmanager
def all_held(cluster: Cluster) -> Iterator[None]:
    """Somebody whose pod holds every device of the driver."""
    count = sum(len(item["spec"]["devices"]) for item in cluster.api.get(f"{_GROUP}/resourceslices")["items"])
    request = {"name": "all", "exactly": {"deviceClassName": "gpu.example.com", "count": count}}
    claim = {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": _HELD,
        "spec": {"devices": {"requests": [request]}},
    }
    container = {
        "name": "holds",
        "image": IMAGES["busybox"].reference,
        "command": ["sleep", "3600"],
        "resources": {"claims": [{"name": "all"}]},
    }
    spec = {
        "containers": [container],
        "resourceClaims": [{"name": "all", "resourceClaimName": _HELD["name"]}],
        "terminationGracePeriodSeconds": 0,
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": _HELD, "spec": spec}
    cluster.kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": [claim, pod]}))
    try:
        cluster.kubectl("wait", f"pod/{_HELD['name']}", "--for=condition=Ready", "--timeout=60s")
        yield
    finally:
        what = (f"pod/{_HELD['name']}", f"resourceclaim/{_HELD['name']}")
        cluster.kubectl("delete", *what, "--wait=true", "--ignore-not-found")


MUTANTS = (
    Mutant(
        "dra_support",
        "the API says that a claim cannot be deleted",
        without_delete,
        {"kinds_served": Kill("failed", "ResourceClaim lacks delete")},
    ),
    Mutant(
        "dra_support",
        "the runtime leaves the claimed device out of the container",
        lambda cluster: runtime(cluster, "gpu-0", _NO_DEVICE),
        {"claim_allocated": Kill("failed", "only the claiming container has: nothing")},
    ),
    Mutant(
        "dra_support",
        "somebody else's pod holds every device",
        all_held,
        {"claim_allocated": Kill("undecided", "are allocated: gpu-0/gpu-0 by default/everything")},
    ),
    Mutant(
        "dra_support",
        "every claim is given the same device",
        lambda cluster: webhook(cluster, _ONE_FOR_ALL, "resource.k8s.io", ["resourceclaims/status"], "UPDATE"),
        {"distinct": Kill("failed", "another device")},
    ),
    Mutant(
        "dra_support",
        "somebody binds pods whose claim nothing meets",
        lambda cluster: binds_anyway(cluster, "impossible", "gpu-0"),
        {"unsatisfiable": Kill("failed", "was given node gpu-0")},
    ),
    Mutant(
        "dra_support",
        "claims outlive the pods they were made for",
        kept_claims,
        {"released": Kill("failed", "still there")},
    ),
)
