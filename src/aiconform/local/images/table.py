"""The images of the local cluster as a table, built from our programs without Docker and without a registry.

Each has the name of a public image with the same programs at the same paths, so that a pod that runs here runs on any
cluster. To add one, add a row to :data:`IMAGES`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache as remembered
from pathlib import Path

from aiconform.errors import LocalClusterError, UsageError
from aiconform.local import cache
from aiconform.local.addons.exporter import image as exporter_image
from aiconform.local.images import envoy, istio, memory, python_image, ray_image
from aiconform.local.images.oci import Config, Entry, write_image
from aiconform.local.programs import build
from aiconform.progress import Progress

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

ACCOUNTS = {
    "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnonroot:x:65532:65532:nonroot:/home:/bin/sh\n"
    "nobody:x:65534:65534:nobody:/home:/bin/false\n",
    "/etc/group": "root:x:0:\nnonroot:x:65532:\nnogroup:x:65534:\n",
    "/etc/nsswitch.conf": "hosts: files dns\n",
}

WAIT = "trap 'exit 0' TERM INT; sleep infinity & wait"
"""What a pod's sandbox does: nothing. The shell's ``wait`` also reaps orphans where a pod shares its processes."""


@dataclass(frozen=True)
class Image:
    """An image.

    Args:
        name: short.
        reference: the public image's full name.
        programs: path in the image to the name of the program of ours.
        config: how it starts.
        busybox: has busybox and its applets in ``/bin``.
        libraries: has the C library, for programs linked to it and for a driver's tools that are mounted into it.
        links: symbolic links, path to target.
        directories: empty directories.
        tree: makes further files (an interpreter, a package from PyPI), fetched once and then from the cache.
    """

    name: str
    reference: str
    programs: Mapping[str, str] = field(default_factory=dict)
    config: Config = field(default_factory=Config)
    busybox: bool = False
    libraries: bool = False
    links: Mapping[str, str] = field(default_factory=dict)
    directories: tuple[str, ...] = ()
    tree: Callable[[Progress], Iterable[Entry]] | None = None


@dataclass(frozen=True)
class ImageFile:
    """A built image: the archive, its full name, and the manifest's digest."""

    path: Path
    reference: str
    digest: str


IMAGES: Mapping[str, Image] = {
    image.name: image
    for image in (
        Image(
            "pause",
            "registry.k8s.io/pause:3.10.1",
            busybox=True,
            config=Config(("/bin/sh", "-c", WAIT), user="65535:65535"),
        ),
        Image(
            "coredns",
            "registry.k8s.io/coredns/coredns:v1.13.1",
            {"/coredns": "coredns"},
            Config(("/coredns",), user="65532:65532"),
        ),
        Image(
            "busybox",
            "aiconform.local/shell:busybox-glibc",
            busybox=True,
            libraries=True,
            config=Config(command=("sh",), environment={"PATH": PATH}),
        ),
        Image(
            "agnhost",
            "registry.k8s.io/e2e-test-images/agnhost:2.59",
            {"/agnhost": "agnhost"},
            Config(("/agnhost",), ("pause",), environment={"PATH": PATH}),
            busybox=True,
            links={"/agnhost-2": "agnhost"},
            directories=("/uploads",),
        ),
        Image(
            "nvidia-device-plugin",
            "nvcr.io/nvidia/k8s-device-plugin:v0.18.0",
            {f"/usr/bin/{name}": name for name in ("nvidia-device-plugin", "gpu-feature-discovery", "config-manager")},
            Config(
                ("nvidia-device-plugin",),
                environment={
                    "PATH": PATH,
                    "NVIDIA_DISABLE_REQUIRE": "true",
                    "NVIDIA_VISIBLE_DEVICES": "all",
                    "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
                },
            ),
            libraries=True,
        ),
        Image(
            "node-feature-discovery",
            "registry.k8s.io/nfd/node-feature-discovery:v0.17.3",
            {f"/usr/bin/{name}": name for name in ("nfd-master", "nfd-worker", "nfd-gc")},
            Config(user="65534:65534", environment={"PATH": PATH, "GRPC_GO_LOG_SEVERITY_LEVEL": "INFO"}),
            directories=("/etc/kubernetes/node-feature-discovery",),
        ),
        Image(
            "dra-example-driver",
            "registry.k8s.io/dra-example-driver/dra-example-driver:v0.2.1",
            {"/usr/bin/dra-example-kubeletplugin": "dra-example-kubeletplugin"},
            Config(environment={"PATH": PATH}),
        ),
        Image(
            "prometheus-operator",
            "quay.io/prometheus-operator/prometheus-operator:v0.90.1",
            {"/bin/operator": "prometheus-operator"},
            Config(("/bin/operator",), user="65534:65534"),
        ),
        Image(
            "prometheus-config-reloader",
            "quay.io/prometheus-operator/prometheus-config-reloader:v0.90.1",
            {"/bin/prometheus-config-reloader": "prometheus-config-reloader"},
            Config(("/bin/prometheus-config-reloader",), user="65534:65534"),
        ),
        Image(
            "prometheus",
            "quay.io/prometheus/prometheus:v3.9.1",
            {"/bin/prometheus": "prometheus"},  # its data is mounted on /prometheus
            Config(("/bin/prometheus",), user="65534:65534", directory="/prometheus"),
            directories=("/prometheus",),
        ),
        Image(
            "prometheus-adapter",
            "registry.k8s.io/prometheus-adapter/prometheus-adapter:v0.12.0",
            {"/adapter": "prometheus-adapter"},
            Config(("/adapter",), user="65534:65534"),
        ),
        Image(
            "metrics-server",
            "registry.k8s.io/metrics-server/metrics-server:v0.9.0",
            {"/metrics-server": "metrics-server"},
            Config(("/metrics-server",), user="65534:65534"),
        ),
        Image(
            "karpenter",
            "aiconform.local/karpenter/kwok:v1.9.0",  # upstream publishes no image of this provider
            {"/karpenter": "karpenter-kwok"},
            Config(("/karpenter",), user="65532:65532"),
        ),
        *(
            Image(
                name,
                f"docker.io/volcanosh/{name}:v1.14.1",
                {f"/{name}": name},
                Config((f"/{name}",), user="1000:1000"),
            )
            for name in ("vc-scheduler", "vc-controller-manager", "vc-webhook-manager")
        ),
        Image(
            "kueue",
            "registry.k8s.io/kueue/kueue:v0.16.1",
            {"/manager": "kueue"},
            Config(("/manager",), user="65532:65532"),
        ),
        Image(
            "envoy-gateway",
            "docker.io/envoyproxy/gateway:v1.7.2",
            {"/usr/local/bin/envoy-gateway": "envoy-gateway"},
            Config(("/usr/local/bin/envoy-gateway",), ("server",), user="65532:65532", environment={"PATH": PATH}),
            directories=("/var/lib/eg",),
        ),
        Image(
            "envoy",
            f"docker.io/envoyproxy/envoy:v{envoy.VERSION}",
            config=Config(("/usr/local/bin/envoy",), environment={"PATH": PATH}),
            libraries=True,
            tree=envoy.program,
        ),
        Image(
            "istio-pilot",
            f"docker.io/istio/pilot:{istio.RELEASE}",
            {"/usr/local/bin/pilot-discovery": "pilot-discovery"},
            Config(("/usr/local/bin/pilot-discovery",), user="1337:1337", environment={"PATH": PATH}),
        ),
        Image(
            "istio-proxy",
            f"docker.io/istio/proxyv2:{istio.RELEASE}",
            {"/usr/local/bin/pilot-agent": "pilot-agent"},
            Config(("/usr/local/bin/pilot-agent",), user="1337:1337", environment={"PATH": PATH}),
            libraries=True,
            directories=("/etc/istio/proxy", "/var/lib/istio/data", "/var/run/secrets"),
            tree=istio.proxy,
        ),
        Image(
            "inference-epp",
            "registry.k8s.io/gateway-api-inference-extension/epp:v1.5.0-rc.1",  # as the suite asks for it
            {"/epp": "epp"},
            Config(("/epp",), user="65532:65532"),
        ),
        Image(
            "inference-echo",
            "gcr.io/k8s-staging-gateway-api/echo-basic:v20251106-v1.3.0-263-g47c3435c",  # as the suite asks for it
            {"/echo-basic": "echo-basic"},
            Config(("/echo-basic",), user="65532:65532"),
        ),
        Image(
            "inference-suite",
            "aiconform.local/inference-suite:v1.5.0",
            {"/inference-suite": "inference-suite"},
            Config(("/inference-suite",), user="65532:65532"),
        ),
        Image(
            "python",
            python_image.REFERENCE,
            busybox=True,
            libraries=True,
            config=Config(command=("python3",), environment={"PATH": PATH, "LANG": "C.UTF-8"}),
            tree=python_image.interpreter,
        ),
        Image("ray", ray_image.REFERENCE, busybox=True, libraries=True, config=ray_image.CONFIG, tree=ray_image.tree),
        Image(
            "accelerator-exporter",
            exporter_image.REFERENCE,
            libraries=True,
            config=Config(
                ("/usr/local/bin/python3", f"{exporter_image.DIRECTORY}/{exporter_image.PROGRAM}.py"),
                user="65534:65534",
                environment={"PATH": PATH},
            ),
            tree=exporter_image.tree,
        ),
        Image(
            "kuberay-operator",
            "quay.io/kuberay/operator:v1.6.1",
            {"/manager": "kuberay-operator"},
            Config(("/manager",), user="65532:65532"),
        ),
    )
}
"""Every image by its short name."""


def ensure_images(names: Iterable[str], binaries: build.Binaries, progress: Progress) -> dict[str, ImageFile]:
    """Build the images that are not in the cache yet.

    Args:
        names: short names.
        binaries: programs already built; what else the images need is built too.
        progress: is told which image is being written.

    Returns:
        The archives by short name, in the order of ``names``.

    Raises:
        UsageError: a name is unknown.
        LocalClusterError: a program cannot be built or is missing, or the cache cannot be written.
    """
    wanted = [_image(name) for name in names]
    missing = {program for image in wanted for program in image.programs.values()} - set(binaries)
    programs = {**binaries, **build.ensure(missing, progress)} if missing else binaries
    return {image.name: _ensure(image, programs, progress) for image in wanted}


def _image(name: str) -> Image:
    try:
        return IMAGES[name]
    except KeyError:
        raise UsageError(f"unknown image {name!r}", hint="images: " + ", ".join(IMAGES)) from None


def _ensure(image: Image, programs: Mapping[str, Path], progress: Progress) -> ImageFile:
    facts = [repr(image.config), *(f"{path} {programs[name]}" for path, name in image.programs.items())]
    place = memory.recall(image.name, facts) if image.tree else None
    if place is None:
        place = _make(image, programs, progress)
        if image.tree:
            memory.remember(image.name, facts, place)
    return ImageFile(place / "image.tar", image.reference, (place / "digest").read_text())


def _make(image: Image, programs: Mapping[str, Path], progress: Progress) -> Path:
    """The directory of the image's archive, written if there is none with the same files."""
    entries = _entries(image, programs, progress)

    def write(target: Path) -> None:
        progress.update(f"writing image {image.reference}")
        target.mkdir()
        digest = write_image(target / "image.tar", image.reference, entries, image.config)
        (target / "digest").write_text(digest)

    place = cache.directory() / "images" / f"{image.name}-{_key(image, entries)}"
    return cache.make(place, write, waiting=lambda: progress.update(f"image {image.name}", waiting="another aiconform"))


def _key(image: Image, entries: Iterable[Entry]) -> str:
    """Changes with everything that goes into the image; sources by size and time, to be quick."""
    facts = [repr(image.config), image.reference]
    for entry in entries:
        facts.append(repr((entry.path, entry.text, entry.link, entry.directory, entry.mode)))
        if entry.source is not None:
            seen = entry.source.stat()
            facts.append(f"{entry.source} {seen.st_size} {seen.st_mtime_ns}")
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()[:12]


def _entries(image: Image, programs: Mapping[str, Path], progress: Progress) -> list[Entry]:
    entries = [Entry(path, text=text, mode=0o644) for path, text in ACCOUNTS.items()]
    entries += [Entry("/tmp", directory=True, mode=0o1777), Entry("/root", directory=True, mode=0o700)]  # noqa: S108
    entries += [Entry(path, directory=True) for path in ("/home", "/var", *image.directories)]
    if image.busybox:
        entries += _shell()
    if image.libraries:
        entries += [Entry(path, source=Path(path)) for path in c_library()]
    entries += [Entry(path, source=programs[name]) for path, name in image.programs.items()]
    entries += [Entry(path, link=target) for path, target in image.links.items()]
    if image.tree is not None:
        entries += image.tree(progress)
    return entries


@remembered
def _shell() -> tuple[Entry, ...]:
    """Busybox with the libraries it needs, and a link to it for each of its applets."""
    busybox = shutil.which("busybox")
    if busybox is None:
        raise LocalClusterError("busybox is missing", hint="apt-get install busybox-static")
    listed = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    links = [Entry(f"/bin/{name}", link="busybox") for name in sorted(listed) if name != "busybox"]
    return (
        Entry("/bin/busybox", source=Path(busybox)),
        *(Entry(path, source=Path(path)) for path in _libraries(Path(busybox))),  # none, if it is the static one
        *links,
        Entry("/usr/bin/env", link="../../bin/busybox"),
    )


@remembered
def c_library() -> tuple[str, ...]:
    """Paths of the machine's dynamic loader and of the parts of its C library.

    Raises:
        LocalClusterError: the machine's programs do not use glibc.
    """
    shell = Path("/bin/sh").resolve()
    found = _libraries(shell) or _libraries(Path(os.__file__).resolve())
    home = next((Path(path).parent for path in found if Path(path).name == "libc.so.6"), None)
    if home is None:
        raise LocalClusterError(
            "the C library of this machine is not glibc", hint="use a distribution with glibc, for example Debian"
        )
    names = ("libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1")
    loader = [path for path in found if Path(path).name.startswith("ld-linux")]
    return (*loader, *(str(home / name) for name in names if (home / name).exists()))


def _libraries(program: Path) -> list[str]:
    """Absolute paths that ``ldd`` names; empty for a static program."""
    done = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False)
    return [word for word in done.stdout.split() if word.startswith("/") and not word.endswith(":")]
