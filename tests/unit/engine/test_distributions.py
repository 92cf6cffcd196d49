"""The name that a page's title gives a cluster: that of a product, or Kubernetes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support import hardware

from aiconform.engine.distributions import product


@pytest.mark.parametrize(
    ("version", "name"),
    [
        ("v1.35.3", "Kubernetes"),
        ("v1.35.3+k0s", "k0s"),
        ("v1.35.3+k0s.0", "k0s"),
        ("v1.35.3+k3s1", "K3s"),
        ("v1.35.3-rc1+rke2r1", "RKE2"),
        ("v1.35.3+vmware.1-fips", "VMware Kubernetes"),
        ("v1.35.3-gke.1589000", "GKE"),
        ("v1.35.3-eks-508b6b3", "EKS"),
        ("v1.35.3+aba1e8d", "Kubernetes"),
        ("v1.35.3-rc.1", "Kubernetes"),
        ("", "Kubernetes"),
    ],
)
def test_a_version_tells_the_product_or_none(version: str, name: str) -> None:
    assert product(version, ["apps/v1"]) == f"{name} {version}"


@pytest.mark.parametrize("group", ["config.openshift.io/v1", "security.openshift.io/v1"])
def test_openshift_is_known_by_its_apis(group: str) -> None:
    assert product("v1.35.3+aba1e8d", ["apps/v1", group]) == "OpenShift v1.35.3+aba1e8d"


def test_the_documents_of_a_run_say_so() -> None:
    found = replace(hardware.facts(), version="v1.35.3+aba1e8d", groups=frozenset({"config.openshift.io/v1"}))
    assert found.cluster().product == "OpenShift v1.35.3+aba1e8d"
