"""Kueue, from its module's own kustomization; it makes its certificates itself.

Narrowed so that it concerns nobody who does not ask for it: it manages Jobs alone, its webhooks are called for its own
kinds and for Jobs that name a queue, and it serves no API of its own beside its kinds. As shipped, a Kueue that is down
would keep pods and deployments of the whole cluster from being made, and namespaces from going.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import yaml  # type: ignore[import-untyped]

from aiconform.local.addons.addon import Addon, Manifest, Materials
from aiconform.local.api import Api, ApiError
from aiconform.local.components import COMPONENTS
from aiconform.local.images.table import IMAGES
from aiconform.local.profiles import CONTROL

MODULE = "sigs.k8s.io/kueue"
NAMESPACE = "kueue-system"
CONFIGURATION = "controller_manager_config.yaml"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
_GROUP = "kueue.x-k8s.io"
_DEPLOYMENT = "kueue-controller-manager"
_FLAVORS = f"/apis/{_GROUP}/v1beta2/resourceflavors"
_FLAVOR = {"apiVersion": f"{_GROUP}/v1beta2", "kind": "ResourceFlavor", "metadata": {"name": "ready"}, "spec": {}}
_WEBHOOKS = {
    "MutatingWebhookConfiguration": "kueue-mutating-webhook-configuration",
    "ValidatingWebhookConfiguration": "kueue-validating-webhook-configuration",
}


def objects(materials: Materials) -> Sequence[Manifest]:
    """Everything but the APIServices."""
    made = materials.kustomize(MODULE, "config/default")
    return [_ours(thing) for thing in made if thing["kind"] != "APIService"]


def _ours(thing: Manifest) -> Manifest:
    if thing["kind"] in _WEBHOOKS:
        return {**thing, "webhooks": list(_narrowed(thing["webhooks"]))}
    if thing["kind"] == "ConfigMap" and CONFIGURATION in thing["data"]:
        return {**thing, "data": {CONFIGURATION: _configuration(thing["data"][CONFIGURATION])}}
    return _placed(thing) if thing["kind"] == "Deployment" else thing


def _configuration(text: str) -> str:
    """As shipped, for Jobs alone, and without waiting for a lease: there is one replica."""
    shipped = yaml.safe_load(text)
    ours = {"integrations": {"frameworks": ["batch/job"]}, "leaderElection": {"leaderElect": False}}
    changed: str = yaml.safe_dump({**shipped, **ours})
    return changed


def _narrowed(webhooks: Iterable[Manifest]) -> Iterable[Manifest]:
    """Those for Kueue's own kinds, and those for Jobs, the latter where a Job names a queue."""
    asks = {"matchExpressions": [{"key": QUEUE_LABEL, "operator": "Exists"}]}
    for hook in webhooks:
        groups = {group for rule in hook["rules"] for group in rule["apiGroups"]}
        if groups == {_GROUP}:
            yield hook
        elif groups == {"batch"}:
            yield {**hook, "objectSelector": asks}


def _placed(thing: Manifest) -> Manifest:
    """With our image, where the control plane is, and told ready as soon as it is."""
    template = thing["spec"]["template"]
    [container] = template["spec"]["containers"]
    ours = {
        "image": IMAGES["kueue"].reference,
        "imagePullPolicy": "IfNotPresent",
        "readinessProbe": {**container["readinessProbe"], "initialDelaySeconds": 1, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "20m", "memory": "128Mi"}},
    }
    placed = {"containers": [{**container, **ours}], "nodeSelector": {"kubernetes.io/hostname": CONTROL}}
    pod = {**template, "spec": {**template["spec"], **placed}}
    return {**thing, "spec": {**thing["spec"], "template": pod}}


def missing(api: Api) -> list[str]:
    """It is ready, which it is once its webhooks serve, and the API server trusts them and its conversions."""
    deployment = api.get(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{_DEPLOYMENT}")
    found = [] if deployment.get("status", {}).get("readyReplicas") else ["its controller"]
    for kind, name in _WEBHOOKS.items():
        try:
            configured = api.get(f"/apis/admissionregistration.k8s.io/v1/{kind.lower()}s/{name}")
        except ApiError as error:
            return [*found, str(error)]
        found += [f"the authority of {hook['name']}" for hook in configured["webhooks"] if not _trusted(hook)]
    return found or _unanswered(api)


def _trusted(hook: dict[str, Any]) -> bool:
    return bool(hook["clientConfig"].get("caBundle"))


def _unanswered(api: Api) -> list[str]:
    """A list in a version that is not stored goes through the conversion webhook, an object through the others."""
    try:
        for version in ("v1beta1", "v1beta2"):
            api.get(f"/apis/{_GROUP}/{version}/workloads")
    except ApiError as error:
        return [str(error)]
    # that the pod is ready is not yet that its service is reached: only an object that is let through shows it
    refusal = api.refusal(_FLAVORS, _FLAVOR)
    return [f"its webhooks ({refusal})"] if refusal else []


KUEUE = Addon(
    "kueue",
    f"Kueue {COMPONENTS['kueue'].version}",
    "admission of jobs as a whole",
    images=("kueue",),
    objects=objects,
    missing=missing,
    namespaces=(NAMESPACE,),
)
