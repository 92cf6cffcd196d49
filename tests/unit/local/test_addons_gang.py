"""Volcano and Kueue among the add-ons: upstream's objects with our changes, and what is still missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from aiconform.local.addons import kueue, volcano
from aiconform.local.addons.addon import Materials
from aiconform.local.addons.registry import FOR_REQUIREMENT, wanted
from aiconform.local.api import ApiError
from aiconform.local.images.table import IMAGES

Obj = dict[str, Any]
ALLOWED = {"matchExpressions": [{"key": "kueue.x-k8s.io/queue-name", "operator": "Exists"}]}


class Api:
    """Answers by the end of the path; what it does not know is refused."""

    def __init__(self, answers: Obj, refusing: str = "") -> None:
        self.answers = answers
        self.refusing = refusing

    def refusal(self, _path: str, _thing: Obj) -> str:
        return self.refusing

    def get(self, path: str) -> Obj:
        if path in self.answers:
            return self.answers[path]
        raise ApiError(404, f"GET {path}: 404")


def materials(directory: Path, kustomized: list[Obj]) -> Materials:
    return Materials(
        programs=None,
        module_dir=lambda _module: directory,
        render=lambda _chart: [],
        kustomize=lambda _module, _path: kustomized,
    )


def thing(kind: str, name: str, **rest: Any) -> Obj:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **rest}


def deployment(name: str, image: str) -> Obj:
    probe = {"httpGet": {"path": "/readyz"}, "initialDelaySeconds": 5, "periodSeconds": 10}
    container = {"name": "c", "image": image, "imagePullPolicy": "Always", "readinessProbe": probe, "resources": {}}
    return thing("Deployment", name, spec={"template": {"spec": {"containers": [container]}}})


def hook(name: str, group: str, **client: str) -> Obj:
    return {"name": name, "rules": [{"apiGroups": [group]}], "clientConfig": client}


def pod_of(objects: Any, name: str) -> Obj:
    found = next(one for one in objects if one["kind"] == "Deployment" and one["metadata"]["name"] == name)
    return found["spec"]["template"]["spec"]


@pytest.fixture
def installer(tmp_path: Path) -> Path:
    (tmp_path / "installer").mkdir()
    documents = [
        thing("Namespace", "volcano-system"),
        thing("Job", "volcano-admission-init"),
        thing("RoleBinding", "volcano-admission-init-role"),
        deployment("volcano-scheduler", "docker.io/volcanosh/vc-scheduler:v1.14.0"),
    ]
    (tmp_path / "installer" / "volcano-development.yaml").write_text(yaml.safe_dump_all(documents))
    return tmp_path


class TestVolcano:
    def test_it_comes_with_a_certificate_and_without_the_job_that_would_make_one(self, installer: Path) -> None:
        made = volcano.objects(materials(installer, []))
        assert [one["metadata"]["name"] for one in made] == [
            "volcano-admission-secret",
            "volcano-system",
            "volcano-scheduler",
        ]
        assert set(made[0]["data"]) == {"tls.crt", "tls.key", "ca.crt"}

    def test_its_pods_use_our_images_and_pull_none(self, installer: Path) -> None:
        pod = pod_of(volcano.objects(materials(installer, [])), "volcano-scheduler")
        assert pod["containers"][0]["image"] == IMAGES["vc-scheduler"].reference
        assert pod["containers"][0]["imagePullPolicy"] == "IfNotPresent"
        assert pod["nodeSelector"] == {"kubernetes.io/hostname": "control"}

    @staticmethod
    def api(*, ready: int = 1, bundle: str = "x", state: str = "Open") -> Api:
        service = {"namespace": "volcano-system"}
        configured = {
            "items": [{"webhooks": [{"name": "jobs", "clientConfig": {"service": service, "caBundle": bundle}}]}]
        }
        foreign = {"items": [{"webhooks": [{"name": "other", "clientConfig": {"url": "https://x"}}]}, {}]}
        return Api(
            {
                "/apis/apps/v1/namespaces/volcano-system/deployments": {
                    "items": [{"metadata": {"name": "volcano-scheduler"}, "status": {"readyReplicas": ready}}]
                },
                "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations": configured,
                "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations": foreign,
                "/apis/scheduling.volcano.sh/v1beta1/queues/default": {"status": {"state": state} if state else {}},
            }
        )

    def test_it_is_ready_when_its_default_queue_is_open(self) -> None:
        assert volcano.missing(self.api()) == []

    @pytest.mark.parametrize(
        ("changed", "missing"),
        [
            ({"ready": 0}, "deployment volcano-scheduler"),
            ({"bundle": ""}, "the authority of jobs"),
            ({"state": "Closed"}, "queue default (Closed)"),
            ({"state": ""}, "queue default (not seen by a controller)"),
        ],
    )
    def test_what_is_missing_is_named(self, changed: Any, missing: str) -> None:
        assert volcano.missing(self.api(**changed)) == [missing]

    def test_a_queue_that_is_not_there_is_missing(self) -> None:
        api = self.api()
        del api.answers["/apis/scheduling.volcano.sh/v1beta1/queues/default"]
        assert volcano.missing(api) == ["queue default"]


def shipped() -> list[Obj]:
    configuration = {"integrations": {"frameworks": ["batch/job", "pod"]}, "webhook": {"port": 9443}}
    hooks = [hook("mjob", "batch"), hook("mpod", ""), hook("mdeployment", "apps"), hook("mworkload", "kueue.x-k8s.io")]
    return [
        thing("APIService", "v1beta1.visibility.kueue.x-k8s.io"),
        thing("ConfigMap", "kueue-manager-config", data={kueue.CONFIGURATION: yaml.safe_dump(configuration)}),
        thing("MutatingWebhookConfiguration", "kueue-mutating-webhook-configuration", webhooks=hooks),
        deployment("kueue-controller-manager", "example.com/kueue:main"),
    ]


class TestKueue:
    @pytest.fixture
    def made(self, tmp_path: Path) -> list[Obj]:
        return [dict(one) for one in kueue.objects(materials(tmp_path, shipped()))]

    def test_it_serves_no_api_beside_its_kinds(self, made: list[Obj]) -> None:
        """Namespaces could not go while such an API is away."""
        assert "APIService" not in {one["kind"] for one in made}

    def test_its_webhooks_concern_its_own_kinds_and_jobs_that_name_a_queue(self, made: list[Obj]) -> None:
        hooks = {one["name"]: one.get("objectSelector") for one in made[1]["webhooks"]}
        assert hooks == {"mjob": ALLOWED, "mworkload": None}

    def test_it_manages_jobs_alone_and_is_else_configured_as_shipped(self, made: list[Obj]) -> None:
        configuration = yaml.safe_load(made[0]["data"][kueue.CONFIGURATION])
        assert configuration["integrations"] == {"frameworks": ["batch/job"]}
        assert configuration["webhook"] == {"port": 9443}

    def test_its_pod_uses_our_image(self, made: list[Obj]) -> None:
        [container] = pod_of(made, "kueue-controller-manager")["containers"]
        assert container["image"] == IMAGES["kueue"].reference
        assert container["imagePullPolicy"] == "IfNotPresent"
        assert container["readinessProbe"] == {
            "httpGet": {"path": "/readyz"},
            "initialDelaySeconds": 1,
            "periodSeconds": 1,
        }

    @staticmethod
    def api(*, ready: int = 1, bundle: str = "x") -> Api:
        configured = {"webhooks": [hook("mjob", "batch", caBundle=bundle)]}
        webhooks = "/apis/admissionregistration.k8s.io/v1"
        manager = "/apis/apps/v1/namespaces/kueue-system/deployments/kueue-controller-manager"
        return Api(
            {
                manager: {"status": {"readyReplicas": ready}},
                f"{webhooks}/mutatingwebhookconfigurations/kueue-mutating-webhook-configuration": configured,
                f"{webhooks}/validatingwebhookconfigurations/kueue-validating-webhook-configuration": {"webhooks": []},
                "/apis/kueue.x-k8s.io/v1beta1/workloads": {"items": []},
                "/apis/kueue.x-k8s.io/v1beta2/workloads": {"items": []},
            }
        )

    def test_it_is_ready_when_its_webhooks_can_be_called(self) -> None:
        assert kueue.missing(self.api()) == []

    @pytest.mark.parametrize(
        ("changed", "missing"), [({"ready": 0}, "its controller"), ({"bundle": ""}, "the authority of mjob")]
    )
    def test_what_is_missing_is_named(self, changed: Any, missing: str) -> None:
        assert kueue.missing(self.api(**changed)) == [missing]

    def test_a_version_that_is_not_converted_is_missing(self) -> None:
        api = self.api()
        del api.answers["/apis/kueue.x-k8s.io/v1beta1/workloads"]
        assert "v1beta1/workloads" in kueue.missing(api)[0]


def test_kueue_is_not_ready_while_its_webhooks_cannot_be_reached() -> None:
    api = TestKueue.api()
    api.refusing = "500 failed calling webhook: connection refused"
    assert kueue.missing(api) == ["its webhooks (500 failed calling webhook: connection refused)"]


def test_both_are_brought_for_the_check() -> None:
    assert {addon.name for addon in wanted(FOR_REQUIREMENT["gang_scheduling"])} == {"volcano", "kueue"}
