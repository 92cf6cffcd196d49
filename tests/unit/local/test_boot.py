from __future__ import annotations

import json
import stat

import pytest
import yaml

from aiconform.errors import UsageError
from aiconform.local import boot, controlplane, node_services
from aiconform.local.boot import Parts
from aiconform.local.node import launch
from aiconform.local.node.launch import INSIDE, Launch
from aiconform.local.profiles import PROFILES, DeviceNode, NodeExtras, NodeFile, profile
from aiconform.local.state import ClusterState, Home, NodeState


@pytest.fixture
def written(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    home = Home.of("try")
    home.directory.mkdir(parents=True)
    nodes = tuple(NodeState(spec.name, index) for index, spec in enumerate(PROFILES["default"].nodes))
    state = ClusterState("try", "default", 4711, "boot", 1.0, nodes)
    extras = NodeExtras(
        devices=(DeviceNode("/dev/nvidia0", 240, 0),), files=(NodeFile("/etc/x", "y"),), labels={"a.b/c": "d"}
    )
    parts = Parts({"kubelet": tmp_path / "bin" / "kubelet"}, (), prepare=lambda _spec, _dir: extras)
    boot.write(home, state, {spec.name: spec for spec in PROFILES["default"].nodes}, parts, listener=7)
    return home


def read(home, name) -> Launch:
    return Launch.read(home.node(name) / "launch.json")


def names(plan: Launch) -> set[str]:
    return {service.name for service in plan.services}


def test_the_control_plane_is_on_the_control_node_alone(written) -> None:
    assert {"etcd", "kube-apiserver", "relay"} <= names(read(written, "control"))
    assert names(read(written, "gpu-0")) == {"containerd", "kubelet", "kube-proxy"}


def test_accelerators_furnish_their_nodes_only(written) -> None:
    gpu, control = read(written, "gpu-0"), read(written, "control")
    assert gpu.devices[0].path == "/dev/nvidia0"
    assert "/etc/x" in {file.path for file in gpu.files}
    kubelet = next(service for service in gpu.services if service.name == "kubelet")
    assert "--node-labels=a.b/c=d" in kubelet.argv
    assert control.devices == ()


def test_no_two_nodes_share_a_place_on_disk(written) -> None:
    private = [{b.source for b in read(written, n).binds if b.target.startswith("/var")} for n in ("gpu-0", "gpu-1")]
    assert private[0]
    assert private[0].isdisjoint(private[1])


def test_secrets_are_private(written) -> None:
    assert stat.S_IMODE(written.kubeconfig.stat().st_mode) == 0o600
    for key in [*written.pki.glob("*.key"), *written.node("gpu-0").glob("pki/*.key")]:
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE((written.node("gpu-0") / "launch.json").stat().st_mode) == 0o600


def test_workers_do_not_get_the_authority_s_key(written) -> None:
    assert not (written.node("gpu-0") / "pki" / "ca.key").exists()
    assert str(written.pki) not in {bind.source for bind in read(written, "gpu-0").binds}
    assert read(written, "gpu-0").hidden == str(written.directory.parent)


def test_kubeconfig_is_what_kubectl_reads(written) -> None:
    config = yaml.safe_load(written.kubeconfig.read_text())
    assert config["current-context"] == "aiconform-try"
    assert [context["name"] for context in config["contexts"]] == ["aiconform-try"]
    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:4711"


def test_every_service_waits_for_something_that_comes(written) -> None:
    for name in ("control", "gpu-0"):
        plan = read(written, name)
        coming = {launch.API_READY, launch.NETWORK_READY, node_services.SOCKET}
        coming |= {f"{INSIDE}/done/{service.name}" for service in plan.services if service.once}
        for service in plan.services:
            assert set(service.after) <= coming, service.name


def test_programs_are_links_into_their_own_directories(written) -> None:
    plan = read(written, "gpu-0")
    where = plan.links[f"{INSIDE}/bin/kubelet"]
    assert any(where.startswith(bind.target + "/") for bind in plan.binds)


def test_pod_network_does_not_rewrite_addresses() -> None:
    plugins = json.loads(node_services.cni_config(NodeState("a", 3)))["plugins"]
    assert plugins[0]["ipMasq"] is False
    assert plugins[0]["ipam"]["ranges"] == [[{"subnet": "10.244.3.0/24"}]]


def test_runc_is_spared_what_it_may_not_do(monkeypatch) -> None:
    monkeypatch.setattr(node_services.kernel, "has_capability", lambda _bit: False)
    assert "restrict_oom_score_adj = true" in node_services.containerd_config()
    monkeypatch.setattr(node_services.kernel, "has_capability", lambda _bit: True)
    assert "restrict_oom_score_adj = false" in node_services.containerd_config()


def test_the_first_node_of_every_profile_runs_the_control_plane() -> None:
    assert {item.nodes[0].name for item in PROFILES.values()} == {"control"}
    with pytest.raises(UsageError, match="vgpu") as caught:
        profile("vgpus")
    assert "default" in caught.value.hint


def test_api_server_listens_where_the_relay_asks() -> None:
    from aiconform.local.node import relay

    assert relay.TARGET[1] == controlplane.PORT
