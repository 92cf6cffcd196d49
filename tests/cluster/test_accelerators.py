"""Simulated accelerators on a live local cluster: advertised, handed out, and fenced by the kernel."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest

from aiconform.errors import LocalClusterError
from aiconform.local import Cluster, down, up
from aiconform.local.images.table import IMAGES

pytestmark = pytest.mark.cluster

BUSYBOX = IMAGES["busybox"].reference
LIST = "ls /dev/nvidia[0-9]* 2>/dev/null | wc -l"
UUID = "nvidia-smi --query-gpu=gpu_uuid --format=csv,noheader"
FIGURES = "nvidia-smi --query-gpu=utilization.gpu,memory.used --format=csv,noheader,nounits"

Json = dict[str, Any]
T = TypeVar("T")


@pytest.fixture(scope="module", params=["default"])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    name = f"accelerators-{os.getpid()}"
    yield up(name, request.param, owner_pid=os.getpid())
    down(name)


def _until(what: Callable[[], T], limit_s: float = 60.0) -> T:
    deadline = time.monotonic() + limit_s
    while not (found := what()):
        assert time.monotonic() < deadline, f"not within {limit_s} s"
        time.sleep(0.2)
    return found


class Pods:
    """Makes pods of one test and removes them after it."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._count = 0

    def start(
        self,
        *scripts: str,
        node: str = "gpu-0",
        devices: int = 0,
        environment: dict[str, str] | None = None,
        annotations: dict[str, str] | None = None,
        **spec: object,
    ) -> str:
        """One container per script; the first one gets the devices. Each goes on sleeping."""
        self._count += 1
        name = f"pod-{self._count}"
        containers: list[Json] = [
            {
                "name": f"c{index}",
                "image": BUSYBOX,
                "command": ["sh", "-c", f"{script}\necho END; exec sleep 3600"],
                "env": [{"name": key, "value": value} for key, value in (environment or {}).items()],
            }
            for index, script in enumerate(scripts)
        ]
        if devices:
            containers[0]["resources"] = {"limits": {"nvidia.com/gpu": str(devices)}}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "annotations": annotations or {}},
            "spec": {
                "nodeSelector": {"kubernetes.io/hostname": node},
                "terminationGracePeriodSeconds": 0,
                "containers": containers,
                **spec,
            },
        }
        self._cluster.kubectl("apply", "-f", "-", stdin=json.dumps(pod))
        return name

    def output(self, name: str, container: str = "c0") -> list[str]:
        """What a container printed before END."""

        def lines() -> list[str]:
            try:
                found = self._cluster.kubectl("logs", name, "-c", container).splitlines()
            except LocalClusterError:
                return []
            return found if "END" in found else []

        return _until(lines)[:-1]

    def execute(self, name: str, script: str) -> list[str]:
        return self._cluster.kubectl("exec", name, "-c", "c0", "--", "sh", "-c", script).splitlines()

    def delete(self, name: str) -> None:
        self._cluster.kubectl("delete", "pod", name, "--wait", "--ignore-not-found")

    def phase(self, name: str) -> str:
        return self._cluster.kubectl("get", "pod", name, "-o", "jsonpath={.status.phase}")

    def clear(self) -> None:
        for number in range(1, self._count + 1):
            self._cluster.kubectl("delete", "pod", f"pod-{number}", "--ignore-not-found", "--wait")


@pytest.fixture
def pods(cluster: Cluster) -> Iterator[Pods]:
    made = Pods(cluster)
    yield made
    made.clear()


def _node(cluster: Cluster, name: str) -> Json:
    found: Json = cluster.api.get(f"/api/v1/nodes/{name}")
    return found


@pytest.mark.parametrize(("node", "devices"), [("gpu-0", "2"), ("gpu-1", "4")])
def test_allocatable(cluster: Cluster, node: str, devices: str) -> None:
    assert _node(cluster, node)["status"]["allocatable"]["nvidia.com/gpu"] == devices


def test_labels_come_from_the_driver(cluster: Cluster) -> None:
    exclusive = _node(cluster, "gpu-0")["metadata"]["labels"]
    shared = _node(cluster, "gpu-1")["metadata"]["labels"]
    assert exclusive["nvidia.com/gpu.product"] == "Tesla-T4"
    assert exclusive["nvidia.com/cuda.driver-version.full"] == "580.126.20"
    assert exclusive["nvidia.com/gpu.mode"] == "compute"
    assert exclusive["nvidia.com/vgpu.present"] == "false"
    assert shared["nvidia.com/gpu.product"] == "Tesla-T4-SHARED"
    assert shared["nvidia.com/gpu.sharing-strategy"] == "time-slicing"
    assert {labels["aiconform.dev/simulated-accelerator"] for labels in (exclusive, shared)} == {"true"}


def test_node_feature_discovery_finds_the_pci_device(cluster: Cluster) -> None:
    label = "feature.node.kubernetes.io/pci-10de.present"
    _until(lambda: _node(cluster, "gpu-0")["metadata"]["labels"].get(label))
    assert label not in _node(cluster, "control")["metadata"]["labels"]


def test_two_pods_get_different_devices_and_the_third_waits(pods: Pods) -> None:
    first, second = (pods.start(LIST, f"{LIST}", devices=1) for _ in range(2))
    assert pods.output(first) == pods.output(second) == ["1"]
    assert pods.output(first, "c1") == ["0"], "a sibling container holds none"
    uuids = [pods.execute(name, UUID)[0] for name in (first, second)]
    assert uuids[0] != uuids[1]
    third = pods.start(UUID, devices=1)
    time.sleep(3)
    assert pods.phase(third) == "Pending"
    pods.delete(first)
    assert pods.output(third) == uuids[:1]


def test_a_forged_device_node_cannot_be_opened(pods: Pods) -> None:
    holder, other = (pods.start("true", devices=1) for _ in range(2))
    for name in (holder, other):
        pods.output(name)
    script = """
        major=$(stat -c %t /dev/nvidiactl); major=$((0x$major))
        for minor in 0 1; do mknod /tmp/n$minor c $major $minor; cat /tmp/n$minor 2>&1 || true; done
    """
    answers = [line.rpartition(": ")[2] for line in pods.execute(holder, script)]
    assert sorted(answers) == ["No such device or address", "Operation not permitted"]


def test_the_environment_variable_gives_nothing(pods: Pods) -> None:
    control = pods.start(UUID, devices=1, runtimeClassName="nvidia")
    (uuid,) = pods.output(control)
    plain = pods.start(LIST, environment={"NVIDIA_VISIBLE_DEVICES": "all"})
    names = ["all", "0", uuid, "runtime.nvidia.com/gpu=all", f"k8s.device-plugin.nvidia.com/gpu={uuid}"]
    wishes = [{"NVIDIA_VISIBLE_DEVICES": name, "NVIDIA_DRIVER_CAPABILITIES": "all"} for name in names]
    asking = [pods.start(LIST, environment=wish, runtimeClassName="nvidia") for wish in wishes]
    assert [pods.output(name) for name in (plain, *asking)] == [["0"]] * (1 + len(asking))


def test_an_annotation_gives_nothing(pods: Pods) -> None:
    holder = pods.start(UUID, devices=1)
    (uuid,) = pods.output(holder)
    wish = {"cdi.k8s.io/wish": f"k8s.device-plugin.nvidia.com/gpu={uuid}"}
    asking = [pods.start(LIST, annotations=wish, **spec) for spec in ({}, {"runtimeClassName": "nvidia"})]
    assert [pods.output(name) for name in asking] == [["0"], ["0"]]


def test_a_volume_named_after_a_device_gives_nothing(pods: Pods) -> None:
    mount = {"name": "wish", "mountPath": "/var/run/nvidia-container-devices/all"}
    wish: Json = {"name": "wish", "hostPath": {"path": "/dev/null"}}
    name = pods.start("true", runtimeClassName="nvidia", volumes=[wish])
    pods.output(name)
    container = {"name": "c0", "image": BUSYBOX, "command": ["sh", "-c", f"{LIST}; echo END; sleep 3600"]}
    with_mount = pods.start(
        "true", runtimeClassName="nvidia", volumes=[wish], containers=[{**container, "volumeMounts": [mount]}]
    )
    assert pods.output(with_mount) == ["0"]


def test_a_restricted_pod_uses_its_device(pods: Pods) -> None:
    security = {"runAsNonRoot": True, "runAsUser": 12345, "seccompProfile": {"type": "RuntimeDefault"}}
    name = pods.start(LIST, "true", devices=1, securityContext=security)
    assert pods.output(name) == ["1"]
    assert pods.execute(name, UUID)[0].startswith("GPU-")


def test_four_pods_share_one_device_and_the_fifth_waits(pods: Pods) -> None:
    names = [pods.start(UUID, node="gpu-1", devices=1) for _ in range(4)]
    assert len({tuple(pods.output(name)) for name in names}) == 1
    fifth = pods.start(UUID, node="gpu-1", devices=1)
    time.sleep(3)
    assert pods.phase(fifth) == "Pending"
    pods.delete(names[0])
    assert pods.output(fifth) == pods.output(names[1])


def test_load_shows_on_its_device_alone_and_ends_with_the_pod(cluster: Cluster, pods: Pods) -> None:
    busy = pods.start("nvidia-smi simulate-load --utilization 60 --memory 2GiB >/dev/null & true", devices=1)
    idle = pods.start("true", devices=1)
    pods.output(busy)
    pods.output(idle)
    assert pods.execute(busy, FIGURES) == ["60, 2048"]
    assert pods.execute(idle, FIGURES) == ["0, 0"]

    def on_the_node() -> list[str]:
        asked = cluster.enter("gpu-0", ["/run/nvidia/driver/usr/bin/nvidia-smi", *FIGURES.split()[1:]])
        return sorted(asked.stdout.splitlines())

    assert on_the_node() == ["0, 0", "60, 2048"]
    pods.delete(busy)  # forced: the API forgets the pod before its processes end
    _until(lambda: on_the_node() == ["0, 0", "0, 0"])


def test_load_of_sharing_pods_is_summed(pods: Pods) -> None:
    load = "nvidia-smi simulate-load --utilization 30 --memory 1GiB >/dev/null & true"
    names = [pods.start(load, node="gpu-1", devices=1) for _ in range(2)]
    for name in names:
        pods.output(name)
    assert _until(lambda: pods.execute(names[0], FIGURES) == ["60, 2048"])


def test_claims_get_distinct_devices(cluster: Cluster, pods: Pods) -> None:
    request = {"name": "gpu", "exactly": {"deviceClassName": "gpu.example.com"}}
    template = {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaimTemplate",
        "metadata": {"name": "one", "namespace": "default"},
        "spec": {"spec": {"devices": {"requests": [request]}}},
    }
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(template))
    script = "env | grep -oE '^GPU_DEVICE_[0-9]+=gpu-[0-9]+'; echo END; sleep 3600"
    container = {
        "name": "c0",
        "image": BUSYBOX,
        "command": ["sh", "-c", script],
        "resources": {"claims": [{"name": "g"}]},
    }
    claim = {"name": "g", "resourceClaimTemplateName": "one"}
    names = [pods.start("true", resourceClaims=[claim], containers=[container]) for _ in range(2)]
    seen = [pods.output(name) for name in names]
    assert all(len(devices) == 1 for devices in seen)
    assert seen[0] != seen[1]


def test_devices_are_advertised_again_after_the_kubelet_died(cluster: Cluster, pods: Pods) -> None:
    before = pods.start(UUID, devices=1)
    (uuid,) = pods.output(before)
    killed = cluster.enter("gpu-0", ["pidof", "kubelet"]).stdout.strip()
    assert killed
    cluster.enter("gpu-0", ["kill", "-9", killed])
    _until(lambda: cluster.enter("gpu-0", ["pidof", "kubelet"]).stdout.strip() not in {"", killed})
    after = pods.start(UUID, devices=1)
    (other,) = pods.output(after)
    assert other != uuid, "the pod that outlived the kubelet keeps its device"
    assert _node(cluster, "gpu-0")["status"]["allocatable"]["nvidia.com/gpu"] == "2"


@pytest.mark.parametrize("cluster", ["vgpu"], indirect=True)
def test_virtual_devices_are_requested_like_physical_ones(cluster: Cluster, pods: Pods) -> None:
    labels = _node(cluster, "vgpu-0")["metadata"]["labels"]
    assert labels["nvidia.com/vgpu.present"] == "true"
    assert labels["nvidia.com/gpu.product"] == "GRID-T4-4Q"
    mode = "nvidia-smi --query-gpu=gpu_virtualization_mode --format=csv,noheader"
    assert pods.output(pods.start(mode, node="vgpu-0", devices=1)) == ["VGPU"]
    assert pods.output(pods.start(LIST, node="vgpu-0", devices=1)) == ["1"]
    third = pods.start("true", node="vgpu-0", devices=1)
    time.sleep(3)
    assert pods.phase(third) == "Pending"
