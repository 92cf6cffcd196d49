"""Puts together what add-ons make their objects from."""

from __future__ import annotations

from pathlib import Path

from aiconform.local import parts
from aiconform.local.addons.addon import Addon, Manifest, Materials
from aiconform.local.addons.charts import Chart, render
from aiconform.local.addons.manifests import kustomize, parse
from aiconform.local.programs import build
from aiconform.progress import Progress


def gather(addon: Addon, progress: Progress) -> Materials:
    """What one add-on's objects are made from, its programs built.

    Raises:
        LocalClusterError: a program cannot be built.
    """
    programs = build.ensure(["helm", "kubectl", *addon.programs], progress)

    def module_dir(module: str) -> Path:
        return parts.module_dir(module, progress)

    def render_chart(chart: Chart) -> list[Manifest]:
        return parse(render(chart, helm=programs["helm"], module=module_dir(chart.module)))

    def kustomized(module: str, path: str) -> list[Manifest]:
        return kustomize(module_dir(module) / path, programs["kubectl"])

    return Materials(programs, module_dir, render_chart, kustomized)
