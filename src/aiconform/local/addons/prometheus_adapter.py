"""Prometheus Adapter: what Prometheus collects of pods, as custom metrics for autoscalers.

Upstream's manifests, with a certificate that the API server verifies, and with rules of our own: theirs serve resource
metrics alone, which metrics-server serves here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from aiconform.local.addons import manifests, serving
from aiconform.local.addons.addon import Addon, Manifest, Materials
from aiconform.local.addons.prometheus import NAMESPACE, SERVICE
from aiconform.local.api import Api, ApiError
from aiconform.local.profiles import CONTROL

MODULE = "sigs.k8s.io/prometheus-adapter"
GROUP = "custom.metrics.k8s.io"
_NAME = "prometheus-adapter"
_FILES = (
    "service-account",
    "cluster-role",
    "cluster-role-binding",
    "cluster-role-binding-delegator",
    "role-binding-auth-reader",
    "service",
    "deployment",
)
_CERTIFICATE = f"{_NAME}-tls"
_VOLUME = "volume-serving-cert"
_PLACE = "/var/run/serving-cert"
_OF_OBJECTS = {"overrides": {name: {"resource": name} for name in ("namespace", "pod", "service")}}
_OF_PODS = '{namespace!="",pod!="",__name__!~"^container_.*"}'
_GROUPED = "(<<.GroupBy>>)"

RULES = {
    "rules": [
        {
            "seriesQuery": _OF_PODS,
            "seriesFilters": [{"isNot": "_(total|bucket|sum|count)$"}],
            "resources": _OF_OBJECTS,
            "metricsQuery": f"sum(<<.Series>>{{<<.LabelMatchers>>}}) by {_GROUPED}",
        },
        {
            "seriesQuery": _OF_PODS,
            "seriesFilters": [{"is": "_total$"}],
            "resources": _OF_OBJECTS,
            "name": {"matches": "^(.*)_total$", "as": "${1}_per_second"},
            "metricsQuery": f"sum(rate(<<.Series>>{{<<.LabelMatchers>>}}[30s])) by {_GROUPED}",
        },
    ]
}
"""Every gauge of a pod by its own name, and every counter as its rate."""


def objects(materials: Materials) -> Sequence[Manifest]:
    """Upstream's objects, their certificate and rules, and the APIService of custom metrics."""
    directory = materials.module_dir(MODULE) / "deploy" / "manifests"
    own = serving.certificate(_NAME, NAMESPACE, secret=_CERTIFICATE)
    shipped = [thing for name in _FILES for thing in manifests.parse((directory / f"{name}.yaml").read_text())]
    return [own.secret, _rules(), *(_ours(dict(thing)) for thing in shipped), _api_service(own.ca_bundle)]


def missing(api: Api) -> list[str]:
    """A metric of Prometheus' own pod must be answered; the APIService's condition says less."""
    try:
        found = api.get(f"/apis/{GROUP}/v1beta1/namespaces/{NAMESPACE}/pods/*/up")
    except ApiError as error:
        return [f"a custom metric ({error})"]
    return [] if any(item.get("value") == "1" for item in found.get("items", ())) else ["the value of a custom metric"]


def _rules() -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "adapter-config", "namespace": NAMESPACE},
        "data": {"config.yaml": json.dumps(RULES, indent=1)},
    }


def _ours(thing: dict[str, Any]) -> Manifest:
    if thing["kind"] == "Deployment":
        thing["spec"]["replicas"] = 1
        pod = thing["spec"]["template"]["spec"]
        pod["nodeSelector"] = {"kubernetes.io/hostname": CONTROL}
        pod["securityContext"] = {"runAsNonRoot": True, "runAsUser": 65534}
        others = [volume for volume in pod["volumes"] if volume["name"] != _VOLUME]
        pod["volumes"] = [*others, {"name": _VOLUME, "secret": {"secretName": _CERTIFICATE}}]
        [container] = pod["containers"]
        container["imagePullPolicy"] = "IfNotPresent"
        container["resources"] = {"requests": {"cpu": "10m", "memory": "96Mi"}}
        container["readinessProbe"].update({"initialDelaySeconds": 0, "periodSeconds": 1, "failureThreshold": 30})
        container["args"] = [
            f"--tls-cert-file={_PLACE}/tls.crt",
            f"--tls-private-key-file={_PLACE}/tls.key",
            "--config=/etc/adapter/config.yaml",
            f"--prometheus-url=http://{SERVICE}.{NAMESPACE}.svc:9090/",
            "--secure-port=6443",
            "--metrics-relist-interval=2s",  # a new metric is served after this, by default after ten minutes
            "--metrics-max-age=20s",
        ]
    return thing


def _api_service(ca_bundle: str) -> Manifest:
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": f"v1beta1.{GROUP}"},
        "spec": {
            "group": GROUP,
            "version": "v1beta1",
            "service": {"name": _NAME, "namespace": NAMESPACE},
            "caBundle": ca_bundle,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
        },
    }


ADAPTER = Addon(
    _NAME,
    "Prometheus Adapter 0.12.0",
    "custom metrics of pods for autoscalers",
    images=(_NAME,),
    objects=objects,
    missing=missing,
    requires=("prometheus",),
    namespaces=(NAMESPACE,),
)
