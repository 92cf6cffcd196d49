"""The Kubernetes kinds that checks use, and the paths they live at."""

from __future__ import annotations

from dataclasses import dataclass

from aiconform.errors import InternalError


@dataclass(frozen=True)
class Kind:
    """A kind served by the API.

    Attributes:
        api_version: ``v1`` or ``group/version``.
        kind: as in manifests, ``Pod``.
        plural: as in paths, ``pods``.
        namespaced: whether its objects live in a namespace.
    """

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The path of the collection, of an object, or of its subresource."""
        root = f"/api/{self.api_version}" if "/" not in self.api_version else f"/apis/{self.api_version}"
        parts = [root]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts += [part for part in (self.plural, name, subresource) if part]
        return "/".join(parts)


NAMESPACE = Kind("v1", "Namespace", "namespaces", namespaced=False)
NODE = Kind("v1", "Node", "nodes", namespaced=False)
POD = Kind("v1", "Pod", "pods")
SERVICE_ACCOUNT = Kind("v1", "ServiceAccount", "serviceaccounts")
SERVICE = Kind("v1", "Service", "services")
EVENT = Kind("events.k8s.io/v1", "Event", "events")
DAEMON_SET = Kind("apps/v1", "DaemonSet", "daemonsets")
DEPLOYMENT = Kind("apps/v1", "Deployment", "deployments")
HORIZONTAL_POD_AUTOSCALER = Kind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
RUNTIME_CLASS = Kind("node.k8s.io/v1", "RuntimeClass", "runtimeclasses", namespaced=False)
DEVICE_CLASS = Kind("resource.k8s.io/v1", "DeviceClass", "deviceclasses", namespaced=False)
RESOURCE_SLICE = Kind("resource.k8s.io/v1", "ResourceSlice", "resourceslices", namespaced=False)
RESOURCE_CLAIM = Kind("resource.k8s.io/v1", "ResourceClaim", "resourceclaims")
RESOURCE_CLAIM_TEMPLATE = Kind("resource.k8s.io/v1", "ResourceClaimTemplate", "resourceclaimtemplates")
CUSTOM_RESOURCE_DEFINITION = Kind(
    "apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False
)
GATEWAY_CLASS = Kind("gateway.networking.k8s.io/v1", "GatewayClass", "gatewayclasses", namespaced=False)
GATEWAY = Kind("gateway.networking.k8s.io/v1", "Gateway", "gateways")
HTTP_ROUTE = Kind("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes")
INFERENCE_POOL = Kind("inference.networking.k8s.io/v1", "InferencePool", "inferencepools")
PROMETHEUS = Kind("monitoring.coreos.com/v1", "Prometheus", "prometheuses")
POD_MONITOR = Kind("monitoring.coreos.com/v1", "PodMonitor", "podmonitors")
SERVICE_MONITOR = Kind("monitoring.coreos.com/v1", "ServiceMonitor", "servicemonitors")
JOB = Kind("batch/v1", "Job", "jobs")
VOLCANO_JOB = Kind("batch.volcano.sh/v1alpha1", "Job", "jobs")
CLUSTER_POLICY = Kind("nvidia.com/v1", "ClusterPolicy", "clusterpolicies", namespaced=False)
API_SERVICE = Kind("apiregistration.k8s.io/v1", "APIService", "apiservices", namespaced=False)
RESOURCE_QUOTA = Kind("v1", "ResourceQuota", "resourcequotas")
LIMIT_RANGE = Kind("v1", "LimitRange", "limitranges")
POD_GROUP = Kind("scheduling.volcano.sh/v1beta1", "PodGroup", "podgroups")
COSCHEDULING_POD_GROUP = Kind("scheduling.x-k8s.io/v1alpha1", "PodGroup", "podgroups")
KAI_POD_GROUP = Kind("scheduling.run.ai/v2alpha2", "PodGroup", "podgroups")
KAI_QUEUE = Kind("scheduling.run.ai/v2", "Queue", "queues", namespaced=False)
TOPOLOGY = Kind("kueue.x-k8s.io/v1beta2", "Topology", "topologies", namespaced=False)
RESOURCE_FLAVOR = Kind("kueue.x-k8s.io/v1beta2", "ResourceFlavor", "resourceflavors", namespaced=False)
CLUSTER_QUEUE = Kind("kueue.x-k8s.io/v1beta2", "ClusterQueue", "clusterqueues", namespaced=False)
LOCAL_QUEUE = Kind("kueue.x-k8s.io/v1beta2", "LocalQueue", "localqueues")
NODE_POOL = Kind("karpenter.sh/v1", "NodePool", "nodepools", namespaced=False)
CONFIG_MAP = Kind("v1", "ConfigMap", "configmaps")
WORKLOAD = Kind("kueue.x-k8s.io/v1beta2", "Workload", "workloads")
JOB_SET = Kind("jobset.x-k8s.io/v1alpha2", "JobSet", "jobsets")
TRAIN_JOB = Kind("trainer.kubeflow.org/v1alpha1", "TrainJob", "trainjobs")
TRAINING_RUNTIME = Kind("trainer.kubeflow.org/v1alpha1", "TrainingRuntime", "trainingruntimes")
RAY_CLUSTER = Kind("ray.io/v1", "RayCluster", "rayclusters")
RAY_JOB = Kind("ray.io/v1", "RayJob", "rayjobs")
VALIDATING_WEBHOOKS = Kind(
    "admissionregistration.k8s.io/v1",
    "ValidatingWebhookConfiguration",
    "validatingwebhookconfigurations",
    namespaced=False,
)
MUTATING_WEBHOOKS = Kind(
    "admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", namespaced=False
)

NETWORK_POLICY = Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")

MADE_CLUSTER_WIDE = (CLUSTER_QUEUE, RESOURCE_FLAVOR, TOPOLOGY, KAI_QUEUE)
"""Kinds of the whole cluster that checks create, those first that name the others; a clean-up looks for these."""

_KNOWN = {
    (kind.api_version, kind.kind): kind
    for kind in (
        NAMESPACE,
        NODE,
        POD,
        SERVICE_ACCOUNT,
        SERVICE,
        EVENT,
        DAEMON_SET,
        DEPLOYMENT,
        HORIZONTAL_POD_AUTOSCALER,
        RUNTIME_CLASS,
        DEVICE_CLASS,
        RESOURCE_SLICE,
        RESOURCE_CLAIM,
        RESOURCE_CLAIM_TEMPLATE,
        CUSTOM_RESOURCE_DEFINITION,
        GATEWAY_CLASS,
        GATEWAY,
        HTTP_ROUTE,
        INFERENCE_POOL,
        PROMETHEUS,
        POD_MONITOR,
        SERVICE_MONITOR,
        JOB,
        VOLCANO_JOB,
        POD_GROUP,
        COSCHEDULING_POD_GROUP,
        KAI_POD_GROUP,
        KAI_QUEUE,
        TOPOLOGY,
        RESOURCE_FLAVOR,
        CLUSTER_QUEUE,
        LOCAL_QUEUE,
        NODE_POOL,
        CONFIG_MAP,
        WORKLOAD,
        JOB_SET,
        TRAIN_JOB,
        TRAINING_RUNTIME,
        RAY_CLUSTER,
        RAY_JOB,
        VALIDATING_WEBHOOKS,
        MUTATING_WEBHOOKS,
        RESOURCE_QUOTA,
        LIMIT_RANGE,
        NETWORK_POLICY,
    )
}


def of(manifest: dict[str, object]) -> Kind:
    """The kind of a manifest.

    Raises:
        InternalError: if it is not in the table above.
    """
    key = (str(manifest.get("apiVersion")), str(manifest.get("kind")))
    if key not in _KNOWN:
        raise InternalError(f"{key[1]} of {key[0]} is not in engine/kinds.py")
    return _KNOWN[key]
