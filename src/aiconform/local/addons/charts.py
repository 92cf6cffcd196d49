"""Renders upstream's own helm charts, as shipped, with values only."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiconform.errors import LocalClusterError
from aiconform.local import cache

KUBERNETES = "1.35.3"
API_VERSIONS = ("resource.k8s.io/v1", "resource.k8s.io/v1/DeviceClass", "apps/v1")
"""Told to charts that ask which API versions the cluster serves."""


@dataclass(frozen=True)
class Chart:
    """A chart and how we install it.

    Args:
        release: name of the release, part of the names of its objects.
        namespace: where it goes.
        module: Go module that ships the chart.
        path: directory of the chart inside the module.
        values: what differs from the chart's own values.
        crds: with the definitions in its ``crds`` directory.
        hooks: with the objects that helm makes before an installation, as objects like any other.
    """

    release: str
    namespace: str
    module: str
    path: str
    values: Mapping[str, Any]
    crds: bool = True
    hooks: bool = False


def render(chart: Chart, *, helm: Path, module: Path) -> str:
    """The chart's objects as YAML; taken from the cache when chart, values and helm are the same.

    Args:
        chart: which one.
        helm: helm's program.
        module: directory of the module that ships the chart.

    Raises:
        LocalClusterError: helm refused.
    """
    directory = module / chart.path
    values = json.dumps(chart.values, sort_keys=True)
    arguments = [
        *("template", chart.release, str(directory), f"--namespace={chart.namespace}"),
        *(("--include-crds",) if chart.crds else ("--skip-crds",)),
        *(() if chart.hooks else ("--no-hooks",)),
        *("--values=-", f"--kube-version={KUBERNETES}", *(f"--api-versions={version}" for version in API_VERSIONS)),
    ]
    target = cache.directory() / "charts" / f"{chart.release}-{_key(directory, [values, *arguments], helm)}.yaml"

    def produce(made: Path) -> None:
        made.write_text(_template(helm, arguments, values))

    return cache.make(target, produce).read_text()


def _template(helm: Path, arguments: Sequence[str], values: str) -> str:
    with tempfile.TemporaryDirectory() as scratch:  # helm keeps its own caches where XDG and HOME say
        environment = {**os.environ, "HOME": scratch, **{f"XDG_{n}_HOME": scratch for n in ("CACHE", "CONFIG", "DATA")}}
        done = subprocess.run(
            [str(helm), *arguments], input=values, text=True, capture_output=True, check=False, env=environment
        )
    if done.returncode != 0:
        raise LocalClusterError(f"helm cannot render {arguments[1]}", details=done.stderr.splitlines()[-10:])
    return done.stdout


def _key(directory: Path, words: Sequence[str], helm: Path) -> str:
    digest = hashlib.sha256("\0".join([*words, str(helm.stat().st_size)]).encode())
    for file in sorted(directory.rglob("*")):
        if file.is_file():
            digest.update(str(file.relative_to(directory)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]
