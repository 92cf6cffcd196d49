"""Settings of the NVIDIA container toolkit on a node."""

from __future__ import annotations

from aiconform.local.accelerators.driver_root import DRIVER_ROOT
from aiconform.local.node.launch import INSIDE

CONFIG_PATH = "/etc/nvidia-container-runtime/config.toml"
"""Where ``nvidia-container-runtime`` reads its settings."""

HOOK = f"{INSIDE}/bin/nvidia-cdi-hook"
"""The program that CDI specifications name for links and the loader cache of a container."""

PROGRAMS = ("nvidia-container-runtime", "nvidia-cdi-hook")
"""Programs of the toolkit that a node with accelerators needs."""


def config() -> str:
    """The settings, as TOML.

    ``jit-cdi`` makes the CDI specification when a container starts, so it cannot be stale. An ordinary container gets
    no device by setting ``NVIDIA_VISIBLE_DEVICES``, or by mounting one by name: only the device plugin's word counts.
    That is the known bypass of NVIDIA's defaults, closed as NVIDIA and RKE2 recommend. Containers with CAP_SYS_ADMIN,
    such as gpu-feature-discovery, may still ask.
    """
    return f"""\
# Written by aiconform for a simulated accelerator node.
accept-nvidia-visible-devices-envvar-when-unprivileged = false
accept-nvidia-visible-devices-as-volume-mounts = false

[nvidia-container-cli]
root = "{DRIVER_ROOT}"
ldconfig = "@/sbin/ldconfig"

[nvidia-container-runtime]
mode = "jit-cdi"
runtimes = ["{INSIDE}/bin/runc"]

[nvidia-ctk]
path = "{HOOK}"
"""
