"""Istio's proxy: its agent, a plain Envoy, and the agent's template of Envoy's bootstrap."""

from __future__ import annotations

from aiconform.local.images import envoy
from aiconform.local.images.oci import Entry
from aiconform.local.programs.build import module_dir
from aiconform.progress import Progress

MODULE = "istio.io/istio"
RELEASE = "1.30-dev.20260826"
"""What the pinned commit calls itself, with its date; upstream tags no versions of the module."""
ENVOY = "istio-envoy"
"""The list that pins its Envoy, later than elsewhere here: one before 1.38 does not tell pickers who served."""


def proxy(progress: Progress) -> list[Entry]:
    """Envoy and the template, where Istio's own image has them.

    Raises:
        LocalClusterError: something cannot be downloaded.
    """
    template = module_dir(MODULE, progress) / "tools" / "packaging" / "common" / "envoy_bootstrap.json"
    place = "/var/lib/istio/envoy/envoy_bootstrap_tmpl.json"
    return [*envoy.program(progress, ENVOY), Entry(place, source=template, mode=0o644)]
