"""NVIDIA's device plugin, gpu-feature-discovery and node-feature-discovery, from the device plugin's own chart."""

from __future__ import annotations

import json
from collections.abc import Iterable

from aiconform.local.accelerators.driver_root import DRIVER_ROOT
from aiconform.local.accelerators.node import plugin_config_name
from aiconform.local.accelerators.toolkit import HOOK
from aiconform.local.addons.charts import Chart
from aiconform.local.profiles import Accelerators

RESOURCE = "nvidia.com/gpu"
NAMESPACE = "nvidia-device-plugin"
AUTOSCALED = "aiconform.dev/autoscaled"
"""Taint of nodes that an autoscaler adds: nothing that others leave pending may make their pool grow."""

_TOLERATIONS = [{"key": key, "operator": "Exists"} for key in ("CriticalAddonsOnly", RESOURCE, AUTOSCALED)]

RUNTIME_CLASS = """\
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata:
  name: nvidia
  labels: {aiconform.dev/simulated-accelerator: "true"}
handler: nvidia
"""
"""Selects ``nvidia-container-runtime``; a pod that only requests a device does not need it."""


def device_plugin(accelerators: Iterable[Accelerators]) -> Chart:
    """The chart for nodes with these accelerators.

    Devices reach containers through CDI (``cdi-cri``): the device plugin names them to the kubelet, and containerd
    injects them whatever the pod's RuntimeClass. The plugin's own pods use the RuntimeClass ``nvidia``, because
    gpu-feature-discovery finds the driver library no other way.
    """
    configs = {plugin_config_name(item): json.dumps(_plugin_config(item)) for item in accelerators}
    return Chart(
        release="nvidia-device-plugin",
        namespace=NAMESPACE,
        module="github.com/NVIDIA/k8s-device-plugin",
        path="deployments/helm/nvidia-device-plugin",
        values={
            "config": {"map": configs, "default": min(configs)},
            "runtimeClassName": "nvidia",
            "deviceListStrategy": "cdi-cri",
            "nvidiaDriverRoot": DRIVER_ROOT,
            "nvidiaDevRoot": "/",
            "cdi": {"nvidiaHookPath": HOOK},
            "gfd": {"enabled": True},
            "tolerations": _TOLERATIONS,
            "nfd": _feature_discovery(),
        },
    )


def _plugin_config(accelerators: Accelerators) -> dict[str, object]:
    config: dict[str, object] = {"version": "v1", "flags": {"migStrategy": "none"}}
    if accelerators.time_slices > 1:
        resource = {"name": RESOURCE, "replicas": accelerators.time_slices}
        config["sharing"] = {"timeSlicing": {"resources": [resource]}}
    return config


def _feature_discovery() -> dict[str, object]:
    """Quick and small: labels come through the NodeFeature API, and only nodes with accelerators are looked at."""
    sources = ["pci", "local"]
    where = {"aiconform.dev/simulated-accelerator": "true"}
    return {
        "enableNodeFeatureApi": True,
        "gc": {"enable": False},
        "master": {"resources": {"requests": {"cpu": "10m"}}},
        "worker": {
            "nodeSelector": where,
            "tolerations": _TOLERATIONS,
            "config": {"core": {"labelSources": sources, "featureSources": sources}},
        },
    }
