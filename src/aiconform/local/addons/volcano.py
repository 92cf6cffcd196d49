"""Volcano, from the one manifest that its module ships: scheduler, controllers, and their admission webhooks.

The certificate is ours; the webhooks' server puts its authority into their configurations itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiconform.local.addons import serving
from aiconform.local.addons.addon import Addon, Manifest, Materials
from aiconform.local.addons.manifests import parse
from aiconform.local.api import Api, ApiError
from aiconform.local.components import COMPONENTS
from aiconform.local.images.table import IMAGES
from aiconform.local.profiles import CONTROL

MODULE = "volcano.sh/volcano"
NAMESPACE = "volcano-system"
_MANIFEST = "installer/volcano-development.yaml"
_CERTIFICATE_JOB = "volcano-admission-init"
_WEBHOOKS = ("mutatingwebhookconfigurations", "validatingwebhookconfigurations")


def objects(materials: Materials) -> Sequence[Manifest]:
    """Everything but the Job that makes a certificate, and what that Job alone needs."""
    text = (materials.module_dir(MODULE) / _MANIFEST).read_text()
    kept = [thing for thing in parse(text) if not thing["metadata"]["name"].startswith(_CERTIFICATE_JOB)]
    own = serving.certificate("volcano-admission-service", NAMESPACE, secret="volcano-admission-secret")  # noqa: S106 - a name
    return [own.secret, *(_placed(thing) for thing in kept)]


def _placed(thing: Manifest) -> Manifest:
    """A Deployment with our images, where the control plane is; they say v1.14.0 in the module of v1.14.1."""
    if thing["kind"] != "Deployment":
        return thing
    template = thing["spec"]["template"]
    containers = [
        {**found, "image": _image(found["image"]), "imagePullPolicy": "IfNotPresent"}
        for found in template["spec"]["containers"]
    ]
    placed = {"containers": containers, "nodeSelector": {"kubernetes.io/hostname": CONTROL}}
    pod = {**template, "spec": {**template["spec"], **placed}}
    return {**thing, "spec": {**thing["spec"], "template": pod}}


def _image(reference: str) -> str:
    return IMAGES[reference.rpartition("/")[2].partition(":")[0]].reference


def missing(api: Api) -> list[str]:
    """The default queue is open: the scheduler made it, and the webhooks let it."""
    found = [f"deployment {name}" for name in _unready(api)]
    found += [f"the authority of {name}" for name in _untrusted(api)]
    try:
        queue = api.get("/apis/scheduling.volcano.sh/v1beta1/queues/default")
    except ApiError as error:
        return [*found, "queue default" + ("" if error.status == 404 else f" ({error})")]
    state = queue.get("status", {}).get("state", "not seen by a controller")
    return found if state == "Open" else [*found, f"queue default ({state})"]


def _unready(api: Api) -> list[str]:
    deployments = api.get(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments")["items"]
    return [item["metadata"]["name"] for item in deployments if not item.get("status", {}).get("readyReplicas")]


def _untrusted(api: Api) -> list[str]:
    """Webhooks of ours that the API server could not call yet."""
    configured: list[dict[str, Any]] = []
    for kind in _WEBHOOKS:
        for item in api.get(f"/apis/admissionregistration.k8s.io/v1/{kind}")["items"]:
            configured += item.get("webhooks", [])
    clients = {hook["name"]: hook["clientConfig"] for hook in configured}
    return [
        name
        for name, client in clients.items()
        if client.get("service", {}).get("namespace") == NAMESPACE and not client.get("caBundle")
    ]


VOLCANO = Addon(
    "volcano",
    f"Volcano {COMPONENTS['volcano'].version}",
    "gang scheduling by a scheduler of its own",
    images=("vc-scheduler", "vc-controller-manager", "vc-webhook-manager"),
    objects=objects,
    missing=missing,
    namespaces=(NAMESPACE,),
)
