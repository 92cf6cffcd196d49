"""Add-ons that come to a cluster that runs, and one that never does."""

from __future__ import annotations

import anyio
import pytest

from aiconform.local import status
from aiconform.local.addons import imports, installation
from aiconform.local.addons.addon import Addon
from aiconform.local.addons.arrivals import Arrivals
from aiconform.local.addons.registry import ADDONS
from aiconform.local.images.table import IMAGES, ensure_images
from aiconform.progress import Silent

pytestmark = pytest.mark.cluster

NAMESPACE = "late-addon"
DEPLOYMENT = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/late"


def deployment(image: str) -> dict:
    container = {"name": "c", "image": image, "command": ["sleep", "infinity"]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "late", "namespace": NAMESPACE},
        "spec": {
            "selector": {"matchLabels": {"app": "late"}},
            "template": {
                "metadata": {"labels": {"app": "late"}},
                "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
            },
        },
    }


def addon(name: str, image: str) -> Addon:
    def missing(api) -> list[str]:
        return [] if api.get(DEPLOYMENT).get("status", {}).get("availableReplicas") else ["its deployment"]

    return Addon(name, "v1", "", (), lambda _materials: [deployment(image)], missing, namespaces=(NAMESPACE,))


@pytest.fixture
def cluster(local_cluster):
    yield local_cluster
    local_cluster.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")
    for file in (local_cluster.home.directory / "addons").glob("late*.json"):
        file.unlink()


def test_a_broken_one_costs_its_own_requirement_and_says_why(cluster) -> None:
    whole = addon("late", IMAGES["busybox"].reference)
    broken = addon("late-broken", "example.invalid/nowhere:1")
    needs = {"robust_controller": ["late-broken"], "gang_scheduling": ["late"]}
    with Arrivals(cluster, [broken], needs, Silent()) as arrivals:
        assert arrivals.expects("robust_controller")
        cause = anyio.run(arrivals.arrived, "robust_controller")
        assert anyio.run(arrivals.arrived, "gang_scheduling") == ""
    assert cause.startswith("late-broken is not ready after")
    assert "ImagePull" in cause
    assert "example.invalid/nowhere:1" in cause
    found = status(cluster.name)
    assert found.addons["late-broken"] == "v1 (failed)"
    assert any(problem.startswith("add-on late-broken: ") for problem in found.problems)
    assert not installation.works(cluster, broken)
    with Arrivals(cluster, [whole], needs, Silent()) as arrivals:
        assert arrivals.wait() == {}
    assert installation.works(cluster, whole)


def test_an_image_that_a_node_lacks_comes_to_it(cluster) -> None:
    def there() -> bool:
        return image.reference in cluster.enter("gpu-0", [*ctr, "list", "-q"]).stdout.split()

    ctr = ["ctr", "--namespace=k8s.io", "images"]
    image = ensure_images(["agnhost"], {}, Silent())["agnhost"]
    cluster.enter("gpu-0", [*ctr, "rm", "--sync", image.reference])
    assert not there()
    imports.bring(cluster, [image], Silent())
    assert there()


@pytest.mark.parametrize("name", ["metrics-server"])
def test_a_real_one_comes_late(cluster, name: str) -> None:
    chosen = ADDONS[name]
    with Arrivals(cluster, [chosen], {"pod_autoscaling": [name]}, Silent()) as arrivals:
        assert anyio.run(arrivals.arrived, "pod_autoscaling") == ""
    assert chosen.missing(cluster.api) == []
    assert status(cluster.name).addons[name] == chosen.version
