"""KubeRay with its admission webhook, from its module's own kustomization; the certificate is ours."""

from __future__ import annotations

from collections.abc import Sequence

from aiconform.local.addons import serving
from aiconform.local.addons.addon import Addon, Manifest, Materials
from aiconform.local.api import Api
from aiconform.local.components import COMPONENTS
from aiconform.local.images.table import IMAGES
from aiconform.local.profiles import CONTROL

MODULE = "github.com/ray-project/kuberay/ray-operator"
NAMESPACE = "ray-system"
CONFIGURATION = "kuberay-validating-webhook-configuration"
WEBHOOK = "vraycluster.kb.io"
_DEPLOYMENT = "kuberay-operator"
_CERTIFICATES = "cert-manager.io/"
_CLUSTERS = "/apis/ray.io/v1/namespaces/default/rayclusters"


def objects(materials: Materials) -> Sequence[Manifest]:
    """Everything but what asks cert-manager for a certificate, which is made here instead."""
    made = materials.kustomize(MODULE, "config/default-with-webhooks")
    own = serving.certificate("kuberay-webhook-service", NAMESPACE, secret="webhook-server-cert")  # noqa: S106 - a name
    kept = [thing for thing in made if not thing["apiVersion"].startswith(_CERTIFICATES)]
    return [own.secret, *(_ours(thing, own.ca_bundle) for thing in kept)]


def _ours(thing: Manifest, ca_bundle: str) -> Manifest:
    if thing["kind"] == "ValidatingWebhookConfiguration":
        return {**thing, "webhooks": [_trusted(hook, ca_bundle) for hook in thing["webhooks"] if _served(hook)]}
    return _placed(thing) if thing["kind"] == "Deployment" else thing


def _served(hook: Manifest) -> bool:
    """Whether there is anything behind a webhook.

    This version's configuration also names webhooks for RayJobs and RayServices, for which the operator answers 404;
    with ``failurePolicy: Fail`` no such object could be made.
    """
    return bool(hook["name"] == WEBHOOK)


def _trusted(hook: Manifest, ca_bundle: str) -> Manifest:
    return {**hook, "clientConfig": {**hook["clientConfig"], "caBundle": ca_bundle}}


def _placed(thing: Manifest) -> Manifest:
    """With our image, where the control plane is, told ready as soon as it is, and not held back while it starts."""
    template = thing["spec"]["template"]
    [container] = template["spec"]["containers"]
    ours = {
        "image": IMAGES["kuberay-operator"].reference,
        "readinessProbe": {**container["readinessProbe"], "initialDelaySeconds": 1, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "20m", "memory": "96Mi"}, "limits": {"memory": "512Mi"}},
    }
    placed = {"containers": [{**container, **ours}], "nodeSelector": {"kubernetes.io/hostname": CONTROL}}
    pod = {**template, "spec": {**template["spec"], **placed}}
    return {**thing, "spec": {**thing["spec"], "template": pod}}


def missing(api: Api) -> list[str]:
    """Its pod is ready, and the webhook refuses what is wrong."""
    deployment = api.get(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{_DEPLOYMENT}")
    if not deployment.get("status", {}).get("readyReplicas"):
        return ["its operator"]
    refusal = api.refusal(_CLUSTERS, _wrong())
    denied = WEBHOOK in refusal and "denied the request" in refusal
    return [] if denied else [f"its webhook ({refusal or 'silent'})"]


def _wrong() -> Manifest:
    """A RayCluster that the schema permits and the webhook does not: two groups of workers with one name."""
    template = {"spec": {"containers": [{"name": "ray"}]}}
    worker = {"groupName": "twice", "replicas": 0, "maxReplicas": 0, "rayStartParams": {}, "template": template}
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayCluster",
        "metadata": {"name": "aiconform-wrong"},
        "spec": {"headGroupSpec": {"rayStartParams": {}, "template": template}, "workerGroupSpecs": [worker, worker]},
    }


KUBERAY = Addon(
    "kuberay",
    f"KubeRay {COMPONENTS['kuberay'].version}",
    "an operator of Ray clusters, with its webhook",
    images=("kuberay-operator", "ray", "python"),
    objects=objects,
    missing=missing,
    namespaces=(NAMESPACE,),
)
