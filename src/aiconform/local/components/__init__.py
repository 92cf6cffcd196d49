"""The programs of a local cluster: upstream Go modules at pinned versions, as a table.

To add a component:

1. make ``components/<name>/go.mod`` with the lines ``module aiconform.local/components/<name>`` and ``go 1.25.0``;
2. run ``go get -tool <package>@<version>`` in it, once with every package (a module whose ``k8s.io`` requirements rest
   on ``replace`` lines needs these lines copied: ``replace`` counts in the main module only);
3. add a row to :data:`COMPONENTS` and commit go.mod and go.sum.

Each component has a go.mod of its own because their requirements on ``k8s.io`` modules exclude each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

KUBERNETES_VERSION = "v1.35.3"
"""The Kubernetes of every local cluster; the pin in ``components/kubernetes`` says the same."""


@dataclass(frozen=True)
class Component:
    """What is built from one pin.

    Args:
        name: also the name of the pin's directory beside this file.
        module: the Go module that the version is of.
        version: as in go.mod.
        programs: name of the finished program, to the Go package it is built from.
        tags: Go build tags.
        variables: Go string variables set at link time (``-X``).
        cgo: needs a C compiler; the program is linked to the C library.
        linker: options for the C linker.
        defines: C macros.
        why: what the local cluster needs it for, in a few words.
        optional: built only where it is asked for by name.
    """

    name: str
    module: str
    version: str
    programs: Mapping[str, str]
    why: str
    tags: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    cgo: bool = False
    linker: tuple[str, ...] = ()
    defines: Mapping[str, str] = field(default_factory=dict)
    optional: bool = False

    @property
    def pin(self) -> Path:
        """Directory of the component's go.mod and go.sum."""
        return Path(__file__).parent / self.name


def _packages(module: str, *paths: str) -> dict[str, str]:
    """Programs called like the last part of their package."""
    return {path.rpartition("/")[2]: f"{module}/{path}" for path in paths}


def _kubernetes_version() -> dict[str, str]:
    major, minor, _ = KUBERNETES_VERSION.removeprefix("v").split(".")
    values = {"gitVersion": KUBERNETES_VERSION, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    return {
        f"{package}.{name}": value
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
        for name, value in values.items()
    }


_KUBERNETES = "k8s.io/kubernetes"
_CONTAINERD = "github.com/containerd/containerd/v2"
_CNI = "github.com/containernetworking/plugins"
_NVIDIA = "github.com/NVIDIA"
_KUBERAY = "github.com/ray-project/kuberay/ray-operator"
_PROMETHEUS_OPERATOR = "github.com/prometheus-operator/prometheus-operator"
_GVISOR = "gvisor.dev/gvisor"
_ISTIO = "istio.io/istio"
_EXTENSION = "gateway-api-inference-extension"
_NFD = "sigs.k8s.io/node-feature-discovery"
_LAZY = ("-Wl,--export-dynamic", "-Wl,--unresolved-symbols=ignore-in-object-files", "-Wl,-z,lazy")
"""NVML's functions are bound when first called: the library need not be there to build or start the program."""

_NEWER_SECCOMP = {"SCMP_ARCH_M68K": "0x4", "SCMP_ARCH_SH": "0x4000002a", "SCMP_ARCH_SHEB": "0x2a"}
"""Architectures that headers before libseccomp 2.6 lack; without them Clang refuses the Go binding, whose stand-ins for
all three are equal. Values from ``<linux/audit.h>``."""

COMPONENTS: Mapping[str, Component] = {
    component.name: component
    for component in (
        # What boots Kubernetes comes first, the longest build ahead: its failure should not be found out last.
        Component(
            "kubernetes",
            _KUBERNETES,
            KUBERNETES_VERSION,
            _packages(
                _KUBERNETES,
                "cmd/kube-apiserver",
                "cmd/kube-controller-manager",
                "cmd/kube-scheduler",
                "cmd/kubelet",
                "cmd/kube-proxy",
                "cmd/kubectl",
                "test/images/agnhost",
            ),
            "control plane, kubelet, kube-proxy, kubectl and the test image agnhost",
            variables=_kubernetes_version(),
        ),
        Component(
            "etcd",
            "go.etcd.io/etcd/server/v3",
            "v3.6.7",
            {"etcd": "go.etcd.io/etcd/server/v3"},
            "storage of the API server",
        ),
        Component(
            "containerd",
            _CONTAINERD,
            "v2.2.1",
            _packages(_CONTAINERD, "cmd/containerd", "cmd/containerd-shim-runc-v2", "cmd/ctr"),
            "container runtime",
            tags=("no_btrfs", "no_zfs", "no_devmapper"),
            variables={f"{_CONTAINERD}/version.Version": "v2.2.1"},
        ),
        Component(
            "runc",
            "github.com/opencontainers/runc",
            "v1.5.2",
            {"runc": "github.com/opencontainers/runc"},
            "starts containers; with seccomp, which restricted pods ask for",
            tags=("seccomp",),
            cgo=True,
            defines=_NEWER_SECCOMP,
        ),
        Component(
            "cni",
            _CNI,
            "v1.9.1",
            _packages(
                _CNI, "plugins/main/ptp", "plugins/main/loopback", "plugins/ipam/host-local", "plugins/meta/portmap"
            ),
            "pod network",
            variables={f"{_CNI}/pkg/utils/buildversion.BuildVersion": "v1.9.1"},
        ),
        Component(
            "coredns",
            "github.com/coredns/coredns",
            "v1.13.1",
            {"coredns": "github.com/coredns/coredns"},
            "cluster DNS",
        ),
        Component(
            "nvidia-container-toolkit",
            f"{_NVIDIA}/nvidia-container-toolkit",
            "v1.18.0",
            _packages(
                f"{_NVIDIA}/nvidia-container-toolkit",
                "cmd/nvidia-cdi-hook",
                "cmd/nvidia-container-runtime",
                "cmd/nvidia-ctk",
            ),
            "RuntimeClass nvidia",
            variables={f"{_NVIDIA}/nvidia-container-toolkit/internal/info.version": "1.18.0"},
            cgo=True,
            linker=_LAZY,
        ),
        Component(
            "nvidia-device-plugin",
            f"{_NVIDIA}/k8s-device-plugin",
            "v0.18.0",
            _packages(
                f"{_NVIDIA}/k8s-device-plugin",
                "cmd/nvidia-device-plugin",
                "cmd/gpu-feature-discovery",
                "cmd/config-manager",
            ),
            "advertises and labels accelerators",
            variables={f"{_NVIDIA}/k8s-device-plugin/internal/info.version": "v0.18.0"},
            cgo=True,
            linker=_LAZY,
        ),
        Component(
            "dra-example-driver",
            "sigs.k8s.io/dra-example-driver",
            "v0.2.1",
            _packages("sigs.k8s.io/dra-example-driver", "cmd/dra-example-kubeletplugin"),
            "devices by ResourceClaim",
        ),
        Component(
            "node-feature-discovery",
            _NFD,
            "v0.17.3",
            _packages(_NFD, "cmd/nfd-master", "cmd/nfd-worker", "cmd/nfd-gc"),
            "node labels that gpu-feature-discovery relies on",
            # Its chart shows the node's directories under /host-sys and so on.
            variables={
                f"{_NFD}/pkg/version.version": "v0.17.3",
                f"{_NFD}/pkg/utils/hostpath.pathPrefix": "/host-",
            },
        ),
        Component(
            "helm",
            "helm.sh/helm/v4",
            "v4.3.1",
            _packages("helm.sh/helm/v4", "cmd/helm"),
            "installs upstream charts as shipped",
            variables={"helm.sh/helm/v4/internal/version.version": "v4.3.1"},
        ),
        Component(
            "crane",
            "github.com/google/go-containerregistry",
            "v0.22.1",
            _packages("github.com/google/go-containerregistry", "cmd/crane"),
            "reads an image that the user names; built for nothing else",
            variables={"github.com/google/go-containerregistry/cmd/crane/cmd.Version": "v0.22.1"},
        ),
        # Add-ons, the ones most checks wait for first.
        Component(
            "prometheus-operator",
            _PROMETHEUS_OPERATOR,
            "v0.90.1",
            {
                "prometheus-operator": f"{_PROMETHEUS_OPERATOR}/cmd/operator",
                "prometheus-config-reloader": f"{_PROMETHEUS_OPERATOR}/cmd/prometheus-config-reloader",
            },
            "turns ServiceMonitors into Prometheus' configuration",
            variables={"github.com/prometheus/common/version.Version": "0.90.1"},
        ),
        Component(
            "prometheus",
            "github.com/prometheus/prometheus",
            "v0.309.1",
            _packages("github.com/prometheus/prometheus", "cmd/prometheus"),
            "collects metrics; the Go module's v0.309.1 is release 3.9.1",
            variables={"github.com/prometheus/common/version.Version": "3.9.1"},
        ),
        Component(
            "prometheus-adapter",
            "sigs.k8s.io/prometheus-adapter",
            "v0.12.0",
            {"prometheus-adapter": "sigs.k8s.io/prometheus-adapter/cmd/adapter"},
            "custom.metrics.k8s.io",
        ),
        Component(
            "metrics-server",
            "sigs.k8s.io/metrics-server",
            "v0.9.0",
            _packages("sigs.k8s.io/metrics-server", "cmd/metrics-server"),
            "metrics.k8s.io",
            variables={"k8s.io/client-go/pkg/version.gitVersion": "v0.9.0"},
        ),
        Component(
            "kuberay",
            _KUBERAY,
            "v1.6.1",
            {"kuberay-operator": _KUBERAY},
            "Ray clusters",
        ),
        Component(
            "karpenter",
            "sigs.k8s.io/karpenter",
            "v1.9.0",
            {"karpenter-kwok": "sigs.k8s.io/karpenter/kwok"},
            "autoscales nodes",
        ),
        Component(
            "volcano",
            "volcano.sh/volcano",
            "v1.14.1",
            {
                f"vc-{name}": f"volcano.sh/volcano/cmd/{name}"
                for name in ("scheduler", "controller-manager", "webhook-manager")
            },
            "gang scheduling",
            variables={"volcano.sh/volcano/pkg/version.Version": "v1.14.1"},
        ),
        Component(
            "kueue",
            "sigs.k8s.io/kueue",
            "v0.16.1",
            _packages("sigs.k8s.io/kueue", "cmd/kueue"),
            "admits jobs as a whole",
            variables={"sigs.k8s.io/kueue/pkg/version.GitVersion": "v0.16.1"},
        ),
        Component(
            "envoy-gateway",
            "github.com/envoyproxy/gateway",
            "v1.7.2",
            _packages("github.com/envoyproxy/gateway", "cmd/envoy-gateway"),
            "implements the Gateway API",
            variables={"github.com/envoyproxy/gateway/internal/cmd/version.envoyGatewayVersion": "v1.7.2"},
        ),
        Component(
            "gvisor",
            _GVISOR,
            "v0.0.0-20260905035102-160fafc42237",
            {"runsc": f"{_GVISOR}/runsc", "containerd-shim-runsc-v1": f"{_GVISOR}/shim"},
            "sandboxed pods; upstream tags no versions of its Go module",
            variables={f"{_GVISOR}/runsc/version.version": "20260905"},
        ),
        # What is built only where it is asked for.
        Component(
            "istio",
            _ISTIO,
            "v0.0.0-20260826214018-9739e10eb9d7",
            _packages(_ISTIO, "pilot/cmd/pilot-discovery", "pilot/cmd/pilot-agent"),
            "implements the Gateway API with its inference extension; upstream tags no versions of its Go module",
            tags=("disable_pgv",),
            variables={f"{_ISTIO}/pkg/version.buildVersion": "1.30-dev.20260826"},
            optional=True,
        ),
        Component(
            _EXTENSION,
            f"sigs.k8s.io/{_EXTENSION}",
            "v1.5.0",
            {
                "epp": f"sigs.k8s.io/{_EXTENSION}/cmd/epp",
                "echo-basic": "sigs.k8s.io/gateway-api/conformance/echo-basic",
                "inference-suite": f"aiconform.local/components/{_EXTENSION}",
            },
            "the inference extension's definitions, endpoint picker and conformance suite",
            optional=True,
        ),
        Component(
            "gateway-api",
            "sigs.k8s.io/gateway-api",
            "v1.5.1",
            {},
            "definitions of the Gateway API's kinds; nothing of it is built",
        ),
    )
}
"""Every component by name, in build order."""

CORE: tuple[str, ...] = ("kubernetes", "etcd", "containerd", "runc", "cni", "coredns")
"""What boots Kubernetes without accelerators."""

ACCELERATORS: tuple[str, ...] = (
    *CORE,
    "nvidia-container-toolkit",
    "nvidia-device-plugin",
    "dra-example-driver",
    "node-feature-discovery",
    "helm",
)
"""What boots Kubernetes with simulated accelerators; add-ons are built when something asks for them."""
