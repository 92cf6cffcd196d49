from __future__ import annotations

import pytest

from aiconform.errors import LocalClusterError
from aiconform.local.addons import manifests


def thing(kind: str, name: str = "x", version: str = "v1", namespace: str = "") -> dict:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata}


def kinds(groups) -> list[list[str]]:
    return [[item["kind"] for item in group] for group in groups]


def test_what_others_need_is_applied_first_and_what_calls_others_last() -> None:
    objects = [
        thing("RayCluster", version="ray.io/v1"),
        thing("ValidatingWebhookConfiguration", version="admissionregistration.k8s.io/v1"),
        thing("Deployment", version="apps/v1"),
        thing("Service"),
        thing("ServiceAccount"),
        thing("CustomResourceDefinition", version="apiextensions.k8s.io/v1"),
        thing("Namespace"),
        thing("Gateway", version="gateway.networking.k8s.io/v1"),
    ]
    assert kinds(manifests.in_order(objects)) == [
        ["Namespace", "CustomResourceDefinition"],
        ["ServiceAccount", "Service", "Deployment"],
        ["ValidatingWebhookConfiguration"],
        ["RayCluster", "Gateway"],
    ]


def test_namespaces_that_nobody_makes_are_made() -> None:
    objects = [thing("Namespace", "made"), *(thing("Service", "s", "v1", n) for n in ("made", "new", "kube-system"))]
    first = manifests.in_order(objects)[0]
    assert sorted(item["metadata"]["name"] for item in first) == ["made", "new"]


def test_lists_are_taken_apart_and_empty_documents_dropped() -> None:
    text = "---\n# nothing\n---\nkind: List\nitems: [{kind: A}, {kind: B}]\n---\nkind: C\n"
    assert [item["kind"] for item in manifests.parse(text)] == ["A", "B", "C"]


def test_a_large_text_is_parsed_once(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    text = "kind: A\nnote: " + "x" * manifests._LARGE
    found = manifests.parse(text)
    monkeypatch.setattr(manifests, "_parse", lambda _text: pytest.fail("parsed again"))
    assert manifests.parse(text) == found


def test_what_is_no_yaml_is_told() -> None:
    with pytest.raises(LocalClusterError, match="cannot read a manifest"):
        manifests.parse("a: [")


def test_definitions_are_named() -> None:
    crd = thing("CustomResourceDefinition", "gateways.example.io")
    assert manifests.definitions([crd, thing("Service")]) == ["gateways.example.io"]
