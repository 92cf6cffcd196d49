"""What nodes are told to run where a k0s binary was given, and what is refused instead of one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aiconform.errors import UsageError
from aiconform.local import boot, k0s, node_services
from aiconform.local.node.launch import Launch
from aiconform.local.profiles import NodeSpec
from aiconform.local.state import ClusterState, Home, NodeState

CONTROL, WORKER = NodeState("control", 0), NodeState("gpu-0", 1)


def program(path: Path, text: str) -> Path:
    """A program that answers ``version`` with this."""
    path.write_text(f"#!/bin/sh\necho '{text}'\n")
    path.chmod(0o755)
    return path


def test_the_version_is_what_the_binary_says(tmp_path: Path) -> None:
    assert k0s.version(program(tmp_path / "k0s", "v1.35.3+k0s.0")) == "v1.35.3+k0s.0"


def test_what_is_no_k0s_is_refused_with_the_reason(tmp_path: Path) -> None:
    other = program(tmp_path / "other", "kubectl v1.35.3")
    plain = tmp_path / "plain"
    plain.write_text("")
    data = tmp_path / "data"
    data.write_bytes(b"\0\1\2")
    data.chmod(0o755)
    for path, words in (
        (tmp_path / "absent", "there is no such file"),
        (tmp_path, "there is no such file"),
        (plain, "is not executable"),
        (data, "cannot be run"),
        (other, "is no k0s: `version` answered kubectl v1.35.3"),
    ):
        with pytest.raises(UsageError, match=words):
            k0s.version(path)


def launches(tmp_path: Path) -> dict[str, Launch]:
    """What the nodes of a cluster with k0s are told."""
    home = Home("test", tmp_path / "test")
    home.directory.mkdir()
    for place in (CONTROL, WORKER):
        home.node(place.name).mkdir(parents=True)
    binaries = {name: tmp_path / "bin" / name for name in (*boot.PROGRAMS, k0s.PROGRAM)}
    state = ClusterState("test", "default", 1, "boot", 0.0, (CONTROL, WORKER))
    specs = {"control": NodeSpec("control"), "gpu-0": NodeSpec("gpu-0", labels={"a": "b"})}
    boot.write(home, state, specs, boot.Parts(binaries, ()), 9)
    return {place.name: Launch.read(home.node(place.name) / "launch.json") for place in (CONTROL, WORKER)}


def test_k0s_takes_the_place_of_the_control_plane_and_of_the_kubelets(tmp_path: Path) -> None:
    told = launches(tmp_path)
    names = {name: [service.name for service in launch.services] for name, launch in told.items()}
    assert names == {
        "control": ["containerd", "kube-proxy", "k0s-controller", "wait-api", "k0s-token", "relay"],
        "gpu-0": ["containerd", "kube-proxy", "k0s-worker"],
    }
    controller = next(s for s in told["control"].services if s.name == "k0s-controller")
    worker = next(s for s in told["gpu-0"].services if s.name == "k0s-worker")
    assert controller.argv[:2] == ("k0s", "controller")
    assert worker.argv[:3] == ("k0s", "worker", f"--token-file={k0s.TOKEN}")
    for service, address in ((controller, "198.18.0.2"), (worker, "198.18.0.3")):
        assert f"--cri-socket=remote:unix://{node_services.SOCKET}" in service.argv
        assert "--kubelet-root-dir=/var/lib/kubelet" in service.argv
        assert any(f"--node-ip={address}" in word for word in service.argv)
    assert "--labels=a=b" in worker.argv
    assert k0s.TOKEN in worker.after
    assert not any("token" in word for word in controller.argv)


def test_k0s_is_given_our_authority_and_loads_no_kernel_module(tmp_path: Path) -> None:
    told = launches(tmp_path)
    files = {file.path: file for file in told["control"].files}
    authority = (tmp_path / "test" / "pki" / "ca.crt").read_text()
    assert files[f"{k0s.DATA}/pki/ca.crt"].content == authority
    assert files[f"{k0s.DATA}/pki/ca.key"].mode == 0o600
    assert not any("ca.key" in file.path for file in told["gpu-0"].files)
    for launch in told.values():
        assert launch.links["/run/aiconform/bin/modprobe"] == "/bin/true"
        bound = {bind.target: bind for bind in launch.binds}
        assert not bound[k0s.DATA].read_only


def test_the_configuration_pulls_nothing_and_calls_nobody() -> None:
    spec = json.loads(json.dumps(k0s.config(CONTROL)))["spec"]
    assert spec["network"]["provider"] == "custom"
    assert spec["network"]["kubeProxy"] == {"disabled": True}
    assert spec["telemetry"] == {"enabled": False}
    assert {"coredns", "kube-proxy", "konnectivity-server", "metrics-server", "update-prober"} <= set(k0s.UNUSED)
    (profile,) = spec["workerProfiles"]
    assert profile["values"]["failCgroupV1"] is False
    assert "clusterDNS" not in profile["values"], "k0s says itself where DNS is"
    assert "127.0.0.1" in spec["api"]["sans"], "the relay asks for it by that name"


def test_upstream_stays_upstream(tmp_path: Path) -> None:
    assert not boot.Parts({name: tmp_path / name for name in boot.PROGRAMS}, ()).runs_k0s
