"""KubeRay among the add-ons: upstream's objects with our certificate, and no webhook that nobody answers."""

from __future__ import annotations

from typing import Any

from aiconform.local.addons import kuberay
from aiconform.local.addons.addon import Materials
from aiconform.local.addons.registry import ADDONS, FOR_REQUIREMENT
from aiconform.local.images.table import IMAGES

Obj = dict[str, Any]

SHIPPED: list[Obj] = [
    {"apiVersion": "cert-manager.io/v1", "kind": "Issuer", "metadata": {"name": "selfsigned-issuer"}},
    {"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": {"name": "serving-cert"}},
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ray-system"}},
    {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": kuberay.CONFIGURATION},
        "webhooks": [
            {"name": name, "clientConfig": {"service": {"name": "kuberay-webhook-service"}}}
            for name in ("vraycluster.kb.io", "vrayjob.kb.io", "vrayservice.kb.io")
        ],
    },
    {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "kuberay-operator"},
        "spec": {
            "template": {
                "spec": {
                    "securityContext": {"runAsNonRoot": True},
                    "containers": [
                        {
                            "name": "kuberay-operator",
                            "image": "quay.io/kuberay/operator:v1.6.1",
                            "env": [{"name": "ENABLE_WEBHOOKS", "value": "true"}],
                            "readinessProbe": {"httpGet": {"path": "/metrics"}, "initialDelaySeconds": 10},
                        }
                    ],
                }
            }
        },
    },
]


def objects() -> dict[str, Obj]:
    made = kuberay.objects(
        Materials(programs=None, module_dir=None, render=None, kustomize=lambda _module, _path: SHIPPED)
    )
    return {thing["kind"]: dict(thing) for thing in made}


def test_the_certificate_is_ours_and_trusted() -> None:
    made = objects()
    assert set(made) == {"Secret", "Namespace", "ValidatingWebhookConfiguration", "Deployment"}
    (hook,) = made["ValidatingWebhookConfiguration"]["webhooks"]
    assert hook["clientConfig"]["caBundle"] == made["Secret"]["data"]["ca.crt"]
    assert hook["clientConfig"]["service"] == {"name": "kuberay-webhook-service"}


def test_webhooks_that_nobody_answers_are_left_out() -> None:
    assert [hook["name"] for hook in objects()["ValidatingWebhookConfiguration"]["webhooks"]] == ["vraycluster.kb.io"]


def test_the_operator_keeps_what_upstream_says() -> None:
    spec = objects()["Deployment"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert spec["securityContext"] == {"runAsNonRoot": True}
    assert container["env"] == [{"name": "ENABLE_WEBHOOKS", "value": "true"}]
    assert container["image"] == IMAGES["kuberay-operator"].reference
    assert container["readinessProbe"] == {
        "httpGet": {"path": "/metrics"},
        "initialDelaySeconds": 1,
        "periodSeconds": 1,
    }


class Api:
    """A cluster with an operator that is ready or not, and a webhook that says something."""

    def __init__(self, ready: int, refusal: str) -> None:
        self._ready = ready
        self._refusal = refusal

    def get(self, _path: str) -> Obj:
        return {"status": {"readyReplicas": self._ready} if self._ready else {}}

    def refusal(self, _path: str, _thing: Obj) -> str:
        return self._refusal


def test_it_is_there_once_its_webhook_refuses() -> None:
    denied = 'POST: 422 {"message":"admission webhook \\"vraycluster.kb.io\\" denied the request: twice"}'
    silent = 'POST: 500 {"message":"failed calling webhook \\"vraycluster.kb.io\\": connection refused"}'
    assert kuberay.missing(Api(1, denied)) == []
    assert kuberay.missing(Api(0, denied)) == ["its operator"]
    assert kuberay.missing(Api(1, silent)) == [f"its webhook ({silent})"]
    assert kuberay.missing(Api(1, "")) == ["its webhook (silent)"]


def test_it_is_brought_for_its_requirement_with_the_images_it_uses() -> None:
    assert FOR_REQUIREMENT["robust_controller"] == ("kuberay",)
    assert set(ADDONS["kuberay"].images) == {"kuberay-operator", "ray", "python"}
