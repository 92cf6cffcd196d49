# ruff: noqa: E501 - texts are kept whole
from __future__ import annotations

from typing import Any

import pytest
from tests.unit.report.sample import TABLE

from aiconform.evidence.records import RequestData
from aiconform.report.repeat import repeat_line

PODS = "/api/v1/namespaces/team/pods"
CLAIMS = "/apis/resource.k8s.io/v1/namespaces/team/resourceclaims"
FILE = "bundle/blobs/sha256/ab"


@pytest.mark.parametrize(
    ("method", "path", "more", "line"),
    [
        ("GET", "/version", {}, "kubectl get --raw /version"),
        ("GET", PODS, {"accept": TABLE}, "kubectl get pods -n team"),
        ("GET", f"{PODS}/a", {"accept": TABLE}, "kubectl get pods a -n team"),
        ("GET", PODS, {}, "kubectl get pods -n team -o json"),
        ("GET", PODS, {"accept": TABLE, "query": [("labelSelector", "a=b,c")]}, "kubectl get pods -n team --selector=a=b,c"),
        ("GET", "/api/v1/nodes", {"accept": TABLE}, "kubectl get nodes"),
        ("GET", "/api/v1/namespaces", {"accept": TABLE}, "kubectl get namespaces"),
        ("GET", "/api/v1/namespaces/team", {"accept": TABLE}, "kubectl get namespaces team"),
        ("GET", CLAIMS, {"accept": TABLE}, "kubectl get resourceclaims.resource.k8s.io -n team"),
        ("GET", PODS, {"query": [("watch", "true"), ("fieldSelector", "metadata.name=a")]},
         "kubectl get pods -n team --field-selector=metadata.name=a --watch --output-watch-events -o json"),
        ("GET", f"{PODS}/a/log", {"query": [("container", "c"), ("tailLines", "5")]}, "kubectl logs -n team a -c c --tail=5"),
        ("GET", f"{PODS}/a/log", {"query": [("follow", "true")]}, "kubectl logs -n team a -f"),
        ("GET", "/api/v1/pods", {}, "kubectl get pods -A -o json"),
        ("GET", PODS, {"query": [("continue", "x=/y")]}, f"kubectl get --raw '{PODS}?continue=x=/y'"),
        ("POST", PODS, {}, f"kubectl create -n team -f {FILE}"),
        ("POST", "/api/v1/namespaces", {}, f"kubectl create -f {FILE}"),
        ("POST", f"{PODS}/a/eviction", {}, f"kubectl create --raw {PODS}/a/eviction -f {FILE}"),
        ("DELETE", f"{PODS}/a", {}, "kubectl delete pods a -n team"),
        ("PATCH", f"{PODS}/a", {"content_type": "application/merge-patch+json"},
         f"kubectl patch pods a -n team --type=merge --patch-file {FILE}"),
        ("PATCH", "/apis/apps/v1/namespaces/team/deployments/d/scale", {"content_type": "application/merge-patch+json"},
         f"kubectl patch deployments.apps d -n team --type=merge --subresource=scale --patch-file {FILE}"),
        ("PUT", f"{PODS}/a", {}, f"kubectl replace --raw {PODS}/a -f {FILE}"),
        ("GET", "/api/v1/namespaces/team/services/web:80/proxy/metrics", {"accept": TABLE},
         "kubectl get --raw /api/v1/namespaces/team/services/web:80/proxy/metrics"),
    ],
)  # fmt: skip
def test_line(method: str, path: str, more: dict[str, Any], line: str) -> None:
    assert repeat_line(RequestData(method=method, path=path, audit_id="x", **more), FILE) == line


def test_a_name_that_the_shell_or_kubectl_would_act_on_stays_a_name() -> None:
    request = RequestData(method="GET", path="/api/v1/namespaces/--kubeconfig=x/pods/$(id)", accept=TABLE, audit_id="x")
    assert repeat_line(request, "") == "kubectl get --raw '/api/v1/namespaces/--kubeconfig=x/pods/$(id)'"


def test_what_is_no_path_gets_no_line() -> None:
    assert repeat_line(RequestData(method="GET", path="--kubeconfig=/etc/x", audit_id="x"), "") == ""
