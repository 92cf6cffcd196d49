"""Manners on a real cluster: killed runs end and are removed from elsewhere, decoys stay, what blocks is named."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.test_checks import command, ours
from tests.mutants.breaking import applied

from aiconform.engine.ownership import ENDS_WITHIN, RUN_LABEL, WHAT, marked, namespaces
from aiconform.local import Cluster
from aiconform.local.images.table import IMAGES

pytestmark = pytest.mark.cluster
Obj = dict[str, Any]

NAMED_WITHIN_S = 60


def cleanup(kubeconfig: Path, elsewhere: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Clean up as from another machine: another home, another directory, no journal."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(elsewhere), "PYTHONPATH": os.pathsep.join(sys.path)}
    argv = [sys.executable, "-m", "aiconform", "cleanup", "--kubeconfig", str(kubeconfig), *arguments]
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, env=environment, cwd=elsewhere, timeout=300
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def killed(cluster: Cluster, output: Path, requirement: str, lane: str) -> str:
    """Begin a run and kill it in the middle of a probe; returns its id."""
    process = subprocess.Popen(command(cluster, output, requirement), stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 90
        log = output / "bundle" / "log.jsonl"
        while not (log.is_file() and any(_creates(line, lane) for line in log.read_text().splitlines())):
            assert time.monotonic() < deadline, "the run did not get far enough"
            assert process.poll() is None, "the run ended before"
            time.sleep(0.05)
        time.sleep(1)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    assert (output / "journal.jsonl").is_file()
    return str(json.loads((output / "bundle" / "plan.json").read_text())["run"])


def _creates(line: str, lane: str) -> bool:
    try:
        record = json.loads(line)
    except ValueError:  # written while we read
        return False
    return record["lane"] == lane and record["data"].get("method") == "POST"


def decoys(run: str) -> list[Obj]:
    """Objects of others that carry some of our marks."""
    labels = {RUN_LABEL: run, "app.kubernetes.io/managed-by": "aiconform"}
    meta: Obj = {"name": f"aiconform-{run}-copy", "labels": labels, "annotations": {WHAT: "a copy"}}
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": meta}
    other = f"aiconform-{secrets.token_hex(8)}"
    return [
        space,
        marked({**space, "metadata": {**meta, "name": "production"}}, run),
        {**space, "metadata": {"name": other, "labels": {RUN_LABEL: other.removeprefix("aiconform-")}}},
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"aiconform-{secrets.token_hex(8)}"}},
        *(
            {"apiVersion": version, "kind": kind, **rest, "metadata": {"name": f"probe-{run[:10]}", "labels": labels}}
            for version, kind, rest in (
                ("v1", "ConfigMap", {}),
                ("v1", "Service", {"spec": {"ports": [{"port": 80}]}}),
                ("rbac.authorization.k8s.io/v1", "ClusterRole", {"rules": []}),
                ("scheduling.k8s.io/v1", "PriorityClass", {"value": 1}),
                ("batch/v1", "Job", {"spec": {"suspend": True, "template": IDLE}}),
                ("resource.k8s.io/v1", "DeviceClass", {"spec": {}}),
            )
        ),
    ]


IDLE = {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "none"}]}}


def states(cluster: Cluster, objects: list[Obj]) -> list[tuple[str, str]]:
    """Uid and resourceVersion of each."""
    found = []
    for obj in objects:
        seen = json.loads(cluster.kubectl("get", f"{obj['kind']}/{obj['metadata']['name']}", "-o", "json"))["metadata"]
        found.append((seen["uid"], seen["resourceVersion"]))
    return found


def test_a_killed_run_is_removed_from_elsewhere_and_no_decoy_with_it(own_cluster: Cluster, tmp_path: Path) -> None:
    run = killed(own_cluster, tmp_path / "run", "gpu_sharing", "gpu_sharing/together")
    assert f"namespace/aiconform-{run}" in ours(own_cluster)
    copies = decoys(run)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with applied(own_cluster, *copies):
        time.sleep(2)  # controllers write to new objects
        before = states(own_cluster, copies)
        careful = cleanup(own_cluster.kubeconfig, elsewhere, "--yes")
        assert careful.returncode == 5
        assert "may still be going on" in careful.stderr
        done = cleanup(own_cluster.kubeconfig, elsewhere, "--yes", "--run", run)
        assert done.returncode == 0, done.stdout + done.stderr
        assert states(own_cluster, copies) == before
        assert f"removed namespace/aiconform-{run}" in done.stdout
        assert "Pod" in done.stderr
    assert ours(own_cluster) == []
    again = cleanup(own_cluster.kubeconfig, elsewhere, "--yes", "--run", run)
    assert (again.returncode, again.stdout) == (0, "")


def test_what_a_killed_run_left_is_ended_by_the_cluster(own_cluster: Cluster, tmp_path: Path) -> None:
    """The deadline of the guard is brought forward; that it is there is seen in every recorded run."""
    run = killed(own_cluster, tmp_path / "run", "gpu_sharing", "gpu_sharing/together")
    space = next(name.removeprefix("namespace/") for name in ours(own_cluster))
    try:
        listed = json.loads(own_cluster.kubectl("-n", space, "get", "jobs,pods", "-o", "json"))["items"]
        (guard,) = [one for one in listed if one["kind"] == "Job"]
        left = [one for one in listed if one["kind"] == "Pod"]
        assert left
        assert guard["status"]["startTime"], "the deadline counts"
        assert guard["spec"]["activeDeadlineSeconds"] >= 900
        name = f"job/{guard['metadata']['name']}"
        own_cluster.kubectl("-n", space, "patch", name, "--type=merge", '--patch={"spec":{"activeDeadlineSeconds":5}}')
        deadline = time.monotonic() + 60
        while own_cluster.kubectl("-n", space, "get", "jobs,pods", "-o", "name"):
            assert time.monotonic() < deadline, own_cluster.kubectl("-n", space, "get", "jobs,pods")
            time.sleep(0.5)
    finally:
        assert cleanup(own_cluster.kubeconfig, tmp_path, "--yes", "--run", run).returncode == 0


@contextmanager
def left_over(cluster: Cluster, *inside: Obj) -> Iterator[str]:
    """What a run of long ago left: its root namespace, with these in it. Goes at the end whatever was tested."""
    run = secrets.token_hex(8)
    name = namespaces(run)["restricted"]
    annotations = {WHAT: "made for a test", ENDS_WITHIN: "0"}
    space = marked(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "annotations": annotations}}, run
    )
    cluster.kubectl("create", "--filename=-", stdin=json.dumps(space))
    try:
        for obj in inside:
            cluster.kubectl("-n", name, "create", "--filename=-", stdin=json.dumps(obj))
        yield run
    finally:
        cluster.kubectl("delete", "namespace", name, "--ignore-not-found", "--timeout=60s")


def release(cluster: Cluster, run: str, *kinds: str) -> None:
    """Take the finalizers off these kinds in what is left: what their owner would do at last."""
    space = namespaces(run)["restricted"]
    for kind in kinds:
        for name in cluster.kubectl("-n", space, "get", kind, "-o", "name").split():
            if kind != "pod" or "held" in name:
                cluster.kubectl("-n", space, "patch", name, "--type=merge", '--patch={"metadata":{"finalizers":null}}')


def named(name: str, **meta: Any) -> Obj:
    return {"name": name, **meta}


HELD = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": named("held", finalizers=["example.com/hold"])}
BALANCER = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": named("balanced", finalizers=["service.kubernetes.io/load-balancer-cleanup"]),
    "spec": {"ports": [{"port": 80}]},
}


def waiting_pod(**spec: Any) -> Obj:
    """A pod that nothing starts and that somebody holds back."""
    container = {"name": "a", "image": "none", **spec.pop("container", {})}
    meta = named("held", finalizers=["example.com/hold"])
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": [container], **spec}}


LOST = waiting_pod(nodeName="a-node-that-is-gone")


@pytest.mark.parametrize(
    ("inside", "said", "held"),
    [
        ([HELD], ["configmap/held in ", "finalizer example.com/hold"], ["configmap"]),
        ([BALANCER], ["service/balanced in ", "load balancer is not removed yet"], ["service"]),
        ([LOST], ["pod/held in ", "finalizer example.com/hold"], ["pod"]),
    ],
    ids=["foreign finalizer", "load balancer", "pod of a lost node"],
)
def test_what_holds_a_namespace_is_named_and_goes_later(
    own_cluster: Cluster, tmp_path: Path, inside: list[Obj], said: list[str], held: list[str]
) -> None:
    with left_over(own_cluster, *inside) as run:
        try:
            blocked(own_cluster.kubeconfig, tmp_path, run, said)
            assert f"namespace/aiconform-{run}" in ours(own_cluster)
        finally:
            release(own_cluster, run, *held)
        later(own_cluster, tmp_path, run)


def blocked(kubeconfig: Path, elsewhere: Path, run: str, said: list[str]) -> None:
    """Clean up in vain: it is said what holds it, in time."""
    begun = time.monotonic()
    done = cleanup(kubeconfig, elsewhere, "--yes", "--run", run, "--wait", "15")
    assert time.monotonic() - begun <= NAMED_WITHIN_S
    assert done.returncode == 5, done.stdout + done.stderr
    assert all(words in done.stdout for words in said), done.stdout


def later(cluster: Cluster, elsewhere: Path, run: str) -> None:
    """Once what held it is gone, a clean-up removes the rest."""
    done = cleanup(cluster.kubeconfig, elsewhere, "--yes", "--run", run)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ours(cluster) == []


SLOW_S = 40


def slow_pod(**spec: Any) -> Obj:
    """A pod that does not end when it is told to, but when it is killed."""
    container = {
        "name": "a",
        "image": IMAGES["busybox"].reference,
        "command": ["sh", "-c", "trap '' TERM; sleep 600 & while true; do wait; done"],
        **spec.pop("container", {}),
    }
    spec = {"terminationGracePeriodSeconds": SLOW_S, "restartPolicy": "Never", "containers": [container], **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": named("slow"), "spec": spec}


def held_by_a_pod(cluster: Cluster, elsewhere: Path, inside: list[Obj], said: str) -> None:
    """A claim that a pod uses stays until the pod has ended, and both are named meanwhile."""
    with left_over(cluster, *inside) as run:
        space = namespaces(run)["restricted"]
        cluster.kubectl("-n", space, "wait", "pod/slow", "--for=jsonpath={.status.phase}=Running", "--timeout=60s")
        blocked(cluster.kubeconfig, elsewhere, run, [said, "a pod that uses it is still there", "pod/slow in "])
        later(cluster, elsewhere, run)


def test_a_volume_claim_in_use_is_named(own_cluster: Cluster, tmp_path: Path) -> None:
    size = {"storage": "1Mi"}
    common = {"accessModes": ["ReadWriteOnce"], "storageClassName": ""}
    name = f"data-{secrets.token_hex(4)}"
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": named(name),
        "spec": {**common, "capacity": size, "hostPath": {"path": "/tmp"}},
    }
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": named("data"),
        "spec": {**common, "resources": {"requests": size}, "volumeName": name},
    }
    pod = slow_pod(volumes=[{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}])
    with applied(own_cluster, volume):
        held_by_a_pod(own_cluster, tmp_path, [claim, pod], "persistentvolumeclaim/data in ")


def test_a_resource_claim_in_use_is_named(own_cluster: Cluster, tmp_path: Path) -> None:
    of = own_cluster.kubectl("get", "deviceclasses", "-o", "name").split()[0].partition("/")[2]
    claim = {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": named("device"),
        "spec": {"devices": {"requests": [{"name": "a", "exactly": {"deviceClassName": of}}]}},
    }
    pod = slow_pod(
        container={"resources": {"claims": [{"name": "device"}]}},
        resourceClaims=[{"name": "device", "resourceClaimName": "device"}],
    )
    held_by_a_pod(own_cluster, tmp_path, [claim, pod], "resourceclaim/device in ")


def test_a_dead_api_service_is_named(own_cluster: Cluster, tmp_path: Path) -> None:
    spec = {
        "group": "dead.example.com",
        "version": "v1",
        "service": {"namespace": "default", "name": "nobody"},
        "insecureSkipTLSVerify": True,
        "groupPriorityMinimum": 1000,
        "versionPriority": 15,
    }
    service = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": named("v1.dead.example.com"),
        "spec": spec,
    }
    with left_over(own_cluster, {**HELD, "metadata": named("free")}) as run:
        with applied(own_cluster, service):
            own_cluster.kubectl("wait", "apiservice/v1.dead.example.com", "--for=condition=Available=False")
            blocked(own_cluster.kubeconfig, tmp_path, run, ["apiservice/v1.dead.example.com is not available"])
        later(own_cluster, tmp_path, run)


def test_a_failing_webhook_is_named(own_cluster: Cluster, tmp_path: Path) -> None:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["DELETE"], "resources": ["namespaces"]}
    hook = {
        "name": "guard.example.com",
        "clientConfig": {"url": "https://127.0.0.1:9/"},
        "rules": [rule],
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 2,
    }
    configuration = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": named("guard.example.com"),
        "webhooks": [hook],
    }
    with left_over(own_cluster) as run:
        with applied(own_cluster, configuration):
            wait_for(lambda: "guard.example.com" in refusal(own_cluster, run))
            blocked(own_cluster.kubeconfig, tmp_path, run, ["guard.example.com"])
        later(own_cluster, tmp_path, run)


def refusal(cluster: Cluster, run: str) -> str:
    """What a delete of the namespace would be answered."""
    from aiconform.errors import LocalClusterError

    try:
        cluster.kubectl("delete", "namespace", namespaces(run)["restricted"], "--dry-run=server")
    except LocalClusterError as problem:
        return problem.render()
    return ""


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_whoever_may_not_delete_is_told_so(own_cluster: Cluster, tmp_path: Path) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": named("looker", namespace="default")}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": named("looker"),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", "name": "looker", "namespace": "default"}],
    }
    with applied(own_cluster, account, binding), left_over(own_cluster) as run:
        token = own_cluster.kubectl("create", "token", "looker").strip()
        text = own_cluster.kubeconfig.read_text()
        authority = re.findall(r"certificate-authority-data: (\S+)", text)[0]
        server = re.findall(r"server: (\S+)", text)[0]
        assert base64.b64decode(authority)
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": server, "certificate-authority-data": authority}}],
            "users": [{"name": "u", "user": {"token": token}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        limited = tmp_path / "limited"
        limited.write_text(json.dumps(config))
        blocked(limited, tmp_path, run, ["403 Forbidden", "cannot delete resource"])
        later(own_cluster, tmp_path, run)


def test_a_namespace_that_somebody_else_finalizes_is_named(own_cluster: Cluster, tmp_path: Path) -> None:
    with left_over(own_cluster) as run:
        name = f"namespace/{namespaces(run)['restricted']}"
        patch = ("patch", name, "--type=merge")
        own_cluster.kubectl(*patch, '--patch={"metadata":{"finalizers":["example.com/hold"]}}')
        try:
            blocked(own_cluster.kubeconfig, tmp_path, run, [f"{name} waits for finalizer example.com/hold"])
        finally:
            own_cluster.kubectl(*patch, '--patch={"metadata":{"finalizers":null}}')
        wait_for(lambda: ours(own_cluster) == [])


def test_runs_at_the_same_time_do_not_meet(own_cluster: Cluster, tmp_path: Path) -> None:
    wanted = ("driver_runtime_management",)
    started = [
        subprocess.Popen(command(own_cluster, tmp_path / str(number), *wanted), stderr=subprocess.PIPE, text=True)
        for number in range(3)
    ]
    for number, process in enumerate(started):
        _, said = process.communicate(timeout=400)
        verdicts = json.loads((tmp_path / str(number) / "bundle" / "verdicts.json").read_text())
        assert [check["outcome"] for check in verdicts["checks"]] == ["passed"], said
        assert verdicts["left_behind"] == []
    assert ours(own_cluster) == []
