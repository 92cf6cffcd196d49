"""The Kubernetes project's example DRA driver, from its own chart."""

from __future__ import annotations

from aiconform.local.addons.charts import Chart

DRIVER = "gpu.example.com"
"""Name of the driver and of its DeviceClass."""

DEVICES_PER_NODE = 4

EXAMPLE_DRIVER = Chart(
    release="dra-example-driver",
    namespace="dra-example-driver",
    module="sigs.k8s.io/dra-example-driver",
    path="deployments/helm/dra-example-driver",
    values={
        "kubeletPlugin": {
            "numDevices": DEVICES_PER_NODE,
            "nodeSelector": {"aiconform.dev/dra-example-driver": "true"},
        }
    },
)
