"""``aiconform doctor`` as a person meets it: whole screens, the document, the role."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml
from tests.support import snapshots
from tests.support.fake_cluster import FakeCluster, api_service, meta, node, pod

from aiconform.cli import main
from aiconform.cluster import http
from aiconform.engine import plain, runner
from aiconform.engine.diagnosis import Diagnosis
from aiconform.engine.rights import granting, parse

Streams = pytest.CaptureFixture[str]
GATEWAY = "gateway.networking.k8s.io/v1"
KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: c
clusters: [{name: k, cluster: {server: 'https://127.0.0.1:6443'}}]
users: [{name: u, user: {token: t0ken-t0ken}}]
contexts: [{name: c, context: {cluster: k, user: u}}]
"""


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeCluster:
    fake = FakeCluster()
    assert runner.ClusterHttp is http.ClusterHttp, "bound before it is replaced here"
    monkeypatch.setattr(http, "ClusterHttp", lambda _connection: fake)
    monkeypatch.setattr(plain, "PER_SECOND", 0)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    (tmp_path / "config").write_text(KUBECONFIG)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    return fake


def screen(capsys: Streams, *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(["doctor", *args])
    assert isinstance(left.value.code, int)
    streams = capsys.readouterr()
    return left.value.code, streams.out, streams.err


def whole(capsys: Streams, *args: str) -> str:
    code, out, err = screen(capsys, *args)
    out = re.sub(r"in [\d.]+ ms", "in <n> ms", re.sub(r"requests, [\d.]+ s\)", "requests, <n> s)", out))
    out = re.sub(r"by \d+\.\d s", "by <n> s", out)
    return f"$ aiconform doctor {' '.join(args)}\nexit code {code}\n--- standard output\n{out}--- standard error\n{err}"


def gateways() -> list[dict]:
    accepted = {"conditions": [{"type": "Accepted", "status": "True"}]}
    return [{"metadata": meta("eg"), "spec": {"controllerName": "example.com/controller"}, "status": accepted}]


def test_a_cluster_that_has_all_that_is_asked(cluster: FakeCluster, capsys: Streams) -> None:
    cluster.serve(GATEWAY, "gatewayclasses", "GatewayClass", gateways())
    simulated = {"aiconform.dev/simulated-accelerator": "true", "nvidia.com/gpu.product": "Tesla-T4"}
    cluster.lists["/api/v1/nodes"] = ("Node", [node("control"), node("gpu-0", accelerators=2, **simulated)])
    snapshots.same(
        "doctor-good", whole(capsys, "ai_inference", "secure_accelerator_access", "driver_runtime_management")
    )


def test_a_cluster_with_all_kinds_of_trouble(cluster: FakeCluster, capsys: Streams) -> None:
    cluster.serve(GATEWAY, "gatewayclasses", "GatewayClass", gateways())
    cluster.serve("ray.io/v1", "rayclusters", "RayCluster", [])
    broken = api_service("v1beta1.metrics.k8s.io", available=False, message="endpoints for it are missing")
    cluster.lists["/apis/apiregistration.k8s.io/v1/apiservices"][1].append(broken)
    cluster.lists["/api/v1/pods"][1].append(pod("busy", "gpu-0", nvidia__com_gpu="1"))
    cluster.refuses["Pod"] = "admission webhook said \x1b[31mno\x1b[0m"
    cluster.ahead_s = 90
    cluster.deny(
        "create httproutes.gateway.networking.k8s.io gateways.gateway.networking.k8s.io",
        "list resourcequotas runtimeclasses.node.k8s.io",
        "list gatewayclasses.gateway.networking.k8s.io",
    )
    snapshots.same("doctor-trouble", whole(capsys))


def test_a_cluster_that_cannot_be_read(cluster: FakeCluster, capsys: Streams) -> None:
    cluster.deny("list nodes", "create namespaces")
    snapshots.same("doctor-unread", whole(capsys, "secure_accelerator_access"))


def test_the_document_is_the_whole_diagnosis(cluster: FakeCluster, capsys: Streams) -> None:
    code, out, err = screen(capsys, "--format", "json")
    assert (code, err) == (3, "")
    found = json.loads(out)
    jsonschema.validate(found, Diagnosis.model_json_schema())
    assert found["format"] == "aiconform-doctor/1"
    assert len(found["requirements"]) == 12
    assert found["devices"] == [{"name": "nvidia.com/gpu", "total": 2, "free": 2, "why_not": ""}]


@pytest.mark.parametrize(
    ("given", "image"),
    [
        ((), "docker.io/library/ubuntu:22.04"),
        (("--image-prefix", "example.com/mirror"), "example.com/mirror/library/ubuntu:22.04"),
        (("--image-prefix", "example.com/mirror", "--image", "probe=mine:1"), "mine:1"),
    ],
)
def test_admission_is_asked_about_the_image_of_the_run(
    cluster: FakeCluster, capsys: Streams, given: tuple[str, ...], image: str
) -> None:
    screen(capsys, "dra_support", *given)
    bodies = [json.loads(asked.body) for asked in cluster.requests if asked.path.endswith("/default/pods")]
    assert [container["image"] for body in bodies for container in body["spec"]["containers"]] == [image]


def test_an_image_that_is_none_is_told_before_anything_is_asked(cluster: FakeCluster, capsys: Streams) -> None:
    code, _, err = screen(capsys, "--image", "prob=mine:1")
    assert (code, cluster.requests) == (2, [])
    assert "no such role" in err


def test_every_field_of_the_document_is_described() -> None:
    text = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text(encoding="utf-8")
    for name in Diagnosis.model_fields:
        assert f"`{name}`" in text, name


def test_the_role_is_for_what_is_asked_and_served(cluster: FakeCluster, capsys: Streams) -> None:
    cluster.serve(GATEWAY, "gatewayclasses", "GatewayClass", gateways())
    code, out, _err = screen(capsys, "--rbac", "ai_inference")
    assert code == 0
    snapshots.same("doctor-rbac", out)
    role, binding = yaml.safe_load_all(out)
    for right in parse("create httproutes.gateway.networking.k8s.io", "list nodes", "delete namespaces"):
        assert any(granting(rule)(right) for rule in role["rules"]), right
    for right in parse("create rayclusters.ray.io", "get pods/proxy", "get secrets"):
        assert not any(granting(rule)(right) for rule in role["rules"]), right
    assert binding["kind"] == "ClusterRoleBinding"


def test_a_run_with_the_printed_role_lacks_nothing(cluster: FakeCluster, capsys: Streams) -> None:
    cluster.serve(GATEWAY, "gatewayclasses", "GatewayClass", gateways())
    _code, out, _err = screen(capsys, "--rbac", "ai_inference", "secure_accelerator_access")
    cluster.rules = next(yaml.safe_load_all(out))["rules"]
    code, out, _err = screen(capsys, "ai_inference", "secure_accelerator_access", "--format", "json")
    assert json.loads(out)["rights"]["missing"] == []
    assert code == 0


def test_each_rule_that_is_dropped_is_named(cluster: FakeCluster, capsys: Streams) -> None:
    cluster.serve(GATEWAY, "gatewayclasses", "GatewayClass", gateways())
    _code, out, _err = screen(capsys, "--rbac", "ai_inference")
    rules = next(yaml.safe_load_all(out))["rules"]
    optional = {"daemonsets", "runtimeclasses", "deviceclasses", "resourceslices", "configmaps"}
    optional |= {"resourcequotas", "limitranges", "networkpolicies", "jobs", "apiservices"}
    for number, dropped in enumerate(rules):
        cluster.rules = [rule for other, rule in enumerate(rules) if other != number]
        code, out, _err = screen(capsys, "ai_inference", "--format", "json")
        found = json.loads(out)
        named = {missing["right"] for missing in found["rights"]["missing"]}
        gone = {f"{verb} {resource}" for verb in dropped["verbs"] for resource in dropped["resources"]}
        assert {re.split(r"[.=]", right)[0] for right in named} == gone, dropped
        assert code == (0 if set(dropped["resources"]) <= optional else 3), dropped


def test_a_silent_server_is_one_clear_error(cluster: FakeCluster, capsys: Streams) -> None:
    async def refused(_request: object) -> http.RawAnswer:
        return http.RawAnswer(0, error="connection refused")

    cluster.send = refused  # type: ignore[method-assign, assignment]
    code, out, err = screen(capsys)
    assert (code, out) == (4, "")
    assert err.startswith("error: GET /version: no answer: connection refused\n  server https://127.0.0.1:6443\n")
    assert "hint: " in err
