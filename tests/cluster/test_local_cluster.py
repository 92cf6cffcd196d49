"""What a local cluster promises: nodes, networks, isolation from the machine. On the shared cluster."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from aiconform.local import find, status, up

pytestmark = pytest.mark.cluster

AGNHOST = "registry.k8s.io/e2e-test-images/agnhost:2.59"
NODES = ("control", "gpu-0", "gpu-1")


@pytest.fixture(scope="module")
def web(local_cluster):
    """A server pod on every node, behind one Service."""
    pod = {
        "metadata": {"labels": {"app": "web", "of": "daemon-set"}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "web", "image": AGNHOST, "args": ["netexec", "--http-port=8080"]}],
        },
    }
    things = [
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": "web"},
            "spec": {"selector": {"matchLabels": {"of": "daemon-set"}}, "template": pod},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web"},
            "spec": {"type": "NodePort", "selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
        },
    ]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": things})
    local_cluster.kubectl("apply", "-f", "-", stdin=text)
    local_cluster.kubectl("rollout", "status", "daemonset/web", "--timeout=120s")
    pods = local_cluster.api.get("/api/v1/namespaces/default/pods?labelSelector=app=web")["items"]
    service = local_cluster.api.get("/api/v1/namespaces/default/services/web")
    yield {pod["spec"]["nodeName"]: pod for pod in pods}, service
    local_cluster.kubectl("delete", "daemonset/web", "service/web", "--now")


def reach(cluster, pod: str, *targets: str) -> list[str]:
    """Which of the targets the pod can open a connection to."""
    script = "".join(f"/agnhost connect {target} --timeout=5s && echo {target};" for target in targets)
    return cluster.kubectl("exec", pod, "--", "sh", "-c", script + "true").split()


def test_three_nodes_of_the_version_we_say(local_cluster) -> None:
    found = status(local_cluster.name)
    assert found.condition == "running"
    assert [(node.name, node.ready, node.version) for node in found.nodes] == [(n, True, "v1.35.3") for n in NODES]
    assert "v1.35.3" in local_cluster.kubectl("version", "--client")


def test_second_up_finds_it_running(local_cluster) -> None:
    begun = time.monotonic()
    again = up(local_cluster.name)
    assert not again.fresh
    assert again.state == local_cluster.state
    assert time.monotonic() - begun < 5


def test_every_pod_reaches_every_pod_service_and_node(local_cluster, web) -> None:
    pods, service = web
    assert set(pods) == set(NODES)
    port = service["spec"]["ports"][0]["nodePort"]
    targets = [f"{pod['status']['podIP']}:8080" for pod in pods.values()]
    targets += [f"{node.address}:{port}" for node in local_cluster.state.nodes]
    targets += ["web.default.svc.cluster.local:80", "kubernetes.default.svc.cluster.local:443"]
    for pod in pods.values():
        missing, deadline = targets, time.monotonic() + 30  # kube-proxy writes its rules once a second at most
        while missing:
            seen = reach(local_cluster, pod["metadata"]["name"], *missing)
            missing = [target for target in missing if target not in seen]
            assert not missing or time.monotonic() < deadline, missing


def test_addresses_between_nodes_are_not_rewritten(local_cluster, web) -> None:
    pods, _ = web
    near, far = pods["control"], pods["gpu-1"]
    url = f"http://{far['status']['podIP']}:8080/clientip"
    seen = local_cluster.kubectl("exec", near["metadata"]["name"], "--", "/bin/sh", "-c", f"wget -qO- {url}")
    assert seen.rpartition(":")[0] == near["status"]["podIP"]


def test_services_work_on_one_node_whatever_the_machine_does_with_bridges(local_cluster, web) -> None:
    """Without ``br_netfilter`` a bridged pod would get answers from an address it never asked."""
    pods, service = web
    near = pods["control"]["metadata"]["name"]
    setting = "/proc/sys/net/bridge/bridge-nf-call-iptables"  # of the node's network namespace
    local_cluster.enter("control", ["sh", "-c", f"test ! -e {setting} || echo 0 > {setting}"])
    second = f"neighbour-{os.getpid()}"
    overrides = json.dumps({"spec": {"nodeName": "control", "terminationGracePeriodSeconds": 0}})
    run = ["run", second, f"--image={AGNHOST}", "--labels=app=web", f"--overrides={overrides}", "--restart=Never"]
    local_cluster.kubectl(*run, "--", "netexec", "--http-port=8080")
    try:
        local_cluster.kubectl("wait", "--for=condition=Ready", f"pod/{second}", "--timeout=60s")
        ask = f"timeout 5 wget -qO- http://{service['spec']['clusterIP']}/hostname; echo"
        answers: set[str] = set()
        deadline = time.monotonic() + 60
        while second not in answers:
            assert time.monotonic() < deadline, answers
            answers.add(local_cluster.kubectl("exec", near, "--", "sh", "-c", ask).strip())
        assert "" not in answers
    finally:
        local_cluster.enter("control", ["sh", "-c", f"test ! -e {setting} || echo 1 > {setting}"])
        local_cluster.kubectl("delete", f"pod/{second}", "--now")


def test_logs_and_exec_work_on_every_node(local_cluster, web) -> None:
    for pod in web[0].values():
        assert "8080" in local_cluster.kubectl("logs", pod["metadata"]["name"])


def test_pod_addresses_come_from_the_node_s_range(local_cluster, web) -> None:
    for node in local_cluster.state.nodes:
        recorded = local_cluster.api.get(f"/api/v1/nodes/{node.name}")["spec"]["podCIDR"]
        assert recorded == node.pod_cidr
        assert web[0][node.name]["status"]["podIP"].startswith(node.pod_cidr.removesuffix("0/24"))


def test_nodes_share_no_namespace_with_the_machine_or_each_other(local_cluster) -> None:
    kinds = ("net", "mnt", "pid", "uts", "ipc", "cgroup")
    processes = ["self", *(str(local_cluster.node_pid(name)) for name in NODES)]
    for kind in kinds:
        assert len({Path(f"/proc/{process}/ns/{kind}").readlink() for process in processes}) == 4, kind


def test_the_machine_s_files_cannot_be_changed_from_a_node(local_cluster) -> None:
    for path in ("/usr/x", "/root/x", "/x"):
        assert local_cluster.enter("gpu-0", ["touch", path]).returncode != 0
    mark = f"/etc/aiconform-test-{os.getpid()}"
    assert local_cluster.enter("gpu-0", ["touch", mark]).returncode == 0
    assert not Path(mark).exists()
    assert local_cluster.enter("gpu-1", ["test", "-e", mark]).returncode != 0


def test_a_node_cannot_see_the_keys_of_others(local_cluster) -> None:
    seen = local_cluster.enter("gpu-0", ["ls", "-A", str(local_cluster.home.directory.parent)])
    assert seen.stdout.strip() == ""


def test_nodes_have_identities_of_their_own(local_cluster) -> None:
    ids = {local_cluster.enter(name, ["cat", "/etc/machine-id"]).stdout.strip() for name in NODES}
    ids.add(Path("/etc/machine-id").read_text().strip() if Path("/etc/machine-id").exists() else "machine")
    assert len(ids) == 4
    assert [local_cluster.enter(name, ["hostname"]).stdout.strip() for name in NODES] == list(NODES)


def test_settings_of_the_machine_are_shown_not_written(local_cluster) -> None:
    settings = ["/proc/sys/vm/overcommit_memory", "/proc/sys/kernel/panic"]
    before = [Path(setting).read_text() for setting in settings]
    assert local_cluster.enter("control", ["cat", *settings]).stdout.split() == ["1", "10"]
    assert local_cluster.enter("control", ["sh", "-c", f"echo 7 > {settings[1]}"]).returncode == 0
    assert [Path(setting).read_text() for setting in settings] == before
    local_cluster.enter("control", ["sh", "-c", f"echo 10 > {settings[1]}"])


def test_any_kubectl_of_an_ordinary_kubeconfig(local_cluster) -> None:
    assert local_cluster.kubeconfig.stat().st_mode & 0o777 == 0o600
    assert local_cluster.kubectl("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}") == "aiconform-admin"


def test_audit_log_says_who_did_what(local_cluster) -> None:
    local_cluster.api.get("/api/v1/namespaces/default/configmaps?limit=7")
    deadline = time.monotonic() + 10
    while "limit=7" not in local_cluster.audit_log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    event = next(line for line in local_cluster.audit_log.read_text().splitlines() if "limit=7" in line)
    assert json.loads(event)["user"]["username"] == "aiconform-admin"
    assert json.loads(event)["level"] == "Metadata"


def test_restricted_pods_are_enforced(local_cluster) -> None:
    local_cluster.kubectl("create", "namespace", "strict")
    try:
        local_cluster.kubectl("label", "namespace", "strict", "pod-security.kubernetes.io/enforce=restricted")
        command = ["run", "x", f"--image={AGNHOST}", "-n", "strict", "--dry-run=server"]
        with pytest.raises(Exception, match="kubectl run") as caught:
            local_cluster.kubectl(*command)
        assert "violates PodSecurity" in str(caught.value.details)
    finally:
        local_cluster.kubectl("delete", "namespace", "strict", "--wait=false")


def test_a_component_that_dies_comes_back_and_the_log_says_why(local_cluster) -> None:
    def scheduler():
        services = next(node for node in status(local_cluster.name).nodes if node.name == "control").services
        return next(service for service in services if service.name == "kube-scheduler")

    before = scheduler().restarts
    killed = local_cluster.enter("control", ["sh", "-c", "kill -9 $(pidof kube-scheduler)"])
    assert killed.returncode == 0, killed.stderr
    deadline = time.monotonic() + 30
    while not (scheduler().restarts > before and scheduler().condition == "running"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert scheduler().last_end == "signal SIGKILL"
    assert "kube-scheduler ended: signal SIGKILL" in (local_cluster.home.logs / "control" / "node.log").read_text()


def restarts(cluster) -> int:
    """How often containers of the device plugin on gpu-1 were started anew; -1 while one of them is not ready."""
    where = "namespaces/nvidia-device-plugin/pods?fieldSelector=spec.nodeName=gpu-1"
    pods = cluster.api.get(f"/api/v1/{where}")["items"]
    plugin = [pod for pod in pods if "-discovery-" not in pod["metadata"]["name"]]
    containers = [container for pod in plugin for container in pod["status"].get("containerStatuses", [])]
    assert containers
    return sum(one["restartCount"] for one in containers) if all(one["ready"] for one in containers) else -1


def test_a_node_that_dies_comes_back(local_cluster) -> None:
    before, restarted = local_cluster.node_pid("gpu-1"), restarts(local_cluster)
    os.kill(before, 9)
    deadline = time.monotonic() + 90
    while True:
        node = next(node for node in status(local_cluster.name).nodes if node.name == "gpu-1")
        # what the API server says of the node is of before until its kubelet and its device plugin are back
        back = node.pid not in (None, before) and node.ready and restarts(local_cluster) > restarted
        if back and node.allocatable.get("nvidia.com/gpu") == "4":
            break
        assert time.monotonic() < deadline, node
        time.sleep(0.2)
    assert find(local_cluster.name).node_pid("gpu-1") != before
    assert local_cluster.enter("gpu-1", ["ip", "route", "get", "198.18.0.2"]).returncode == 0


def test_idle_memory_is_within_the_figure(local_cluster) -> None:
    assert 100 * 2**20 < local_cluster.home.cgroup.memory_bytes() < 3 * 2**30


def test_nothing_listens_on_the_machine_but_the_relay(local_cluster) -> None:
    ports = subprocess.run(["ss", "-Hltn"], capture_output=True, text=True, check=True).stdout
    assert f"127.0.0.1:{local_cluster.state.port}" in ports
    assert ":6443" not in ports
    assert ":10250" not in ports
